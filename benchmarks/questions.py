r"""The tables of docs/recipe.md on people's questions: every system on AfriQA, with several seeds.

    OPTICAL_DATA=../shared/data python benchmarks/questions.py --results questions/results.duckdb
    python benchmarks/questions.py --results questions/results.duckdb --table

Each trained system learns Hausa, Igbo and Swahili from the same pairs with the same loop: TICO-19's training
part, NTREX-128's training documents and MAFAND-MT (research use only), and in the condition ``questions``
also AfriQA's training questions with their human translations, three times each. Training questions that
share a passage or are nearly the same as an evaluated question are dropped. The test questions search all
gold passages. Losses over passages see these passages unlabelled. ``--split dev`` evaluates on the
development questions instead, to choose settings (``--set`` changes them, and the run's name). Finished runs
are not repeated; ``--table`` only prints the table.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.cli.console import ConsoleReporter
from engine.cli.options import refreshed
from engine.config import RunHeader, parse_config
from engine.evaluation.seed_model import System, compare_systems, correct_together
from engine.paths import runs_folder
from engine.results.queries import list_runs, query_scores_of
from engine.runs.execute import execute

LANGUAGES = {"ha": "hau", "ig": "ibo", "sw": "swa"}
MAFAND = {"ha": ("train", "dev", "test"), "ig": ("train", "dev", "test"), "sw": ("dev", "test")}
CONDITIONS = ("bitext", "questions")
SPLITS = {"test": ["ha", "ig", "sw"], "dev": ["ha", "ig"]}
CONTRAST = {"maxsim_contrast": 1.0, "negatives": 64}
LOSSES: dict[str, dict[str, Any]] = {
    "optical": {"transport": 1.0},
    "contrast": CONTRAST,
    "optical-contrast": {"maxsim_contrast": 0.5, "transport_contrast": 0.5, "hardest": 15, "negatives": 64},
    "pooled-mse": {"pooled_mse": 1.0},
    "jsd-contrast": {"pooled_jsd": 1.0, "pooled_contrast": 1.0},
    "passages": {"passages": 1.0},
    "passages+contrast": {"passages": 1.0, **CONTRAST},
    "passages+transport": {"passages": 1.0, "transport": 1.0},
    "mixture": {"pooled_mse": 1.0, "passages": 1.0},
    "mixture+transport": {"pooled_mse": 1.0, "passages": 1.0, "transport": 1.0},
    "mixture+contrast": {"pooled_mse": 1.0, "passages": 1.0, **CONTRAST},
}
#: Systems that read each query with a gloss: translations of its words, learnt from the same pairs.
GLOSSED = "glossed "
LOSSES |= {GLOSSED + name: LOSSES[name] for name in ("optical", "contrast", "mixture", "mixture+transport")}
BASELINE = "zero-shot"
GLOSSED_BASELINE = GLOSSED + BASELINE
ENGLISH = "english"
#: Systems that learn nothing from training questions, so the conditions are the same to them.
ONCE = (BASELINE, ENGLISH, "lir", "shift")
MEASURE = "nDCG@10"


def pairs(condition: str) -> list[dict[str, Any]]:
    """Return the sources of sentence pairs of a condition."""
    sources: list[dict[str, Any]] = [
        {"path": "tico-19/all.en-sw.tmx.zip", "language": "sw", "start": 971},
        *({"path": "ntrex-128", "language": code, "part": "train"} for code in LANGUAGES),
        *(
            {"path": f"lafand-mt/en-{LANGUAGES[code]}/{part}.json", "language": code}
            for code, parts in MAFAND.items()
            for part in parts
        ),
    ]
    if condition == "questions":
        sources += [{"path": "afriqa", "language": code, "repeat": 3} for code in LANGUAGES]
    return sources


def questions(split: str) -> dict[str, Any]:
    """Return the settings of AfriQA's questions."""
    return {"name": "afriqa", "split": split, "languages": SPLITS[split]}


def configuration(system: str, condition: str, seed: int, arguments: argparse.Namespace) -> RunHeader:
    """Return the configuration of a run."""
    split = arguments.split
    common = {
        "name": run_name(system, condition, seed, split, arguments.set),
        "seed": seed,
        "tags": ["questions", system, condition],
        "collections": [questions(split)],
        "evaluation": {"scoring": ["maxsim", "dense"]},
    }
    encoder = {"checkpoint": "multilingual-e5-small"}
    if system == ENGLISH:
        common["collections"] = [{**questions(split), "languages": [*SPLITS[split], "en"]}]
    if system == GLOSSED_BASELINE:
        glossed = {"kind": "evaluate", "encoder": encoder, "gloss": True, "bitext": pairs(condition)}
        return parse_config({**glossed, **common})
    if system in (BASELINE, ENGLISH):
        return parse_config({"kind": "evaluate", "encoder": encoder, **common})
    if system in ("lir", "shift"):
        own = {"language_components": 1} if system == "lir" else {"language_shift": True}
        return parse_config(
            {"kind": "evaluate", "encoder": encoder, "bitext": pairs("bitext"), **own, **common}
        )
    loss = dict(LOSSES[system])
    if weight := loss.pop("passages", 0.0):
        loss["passages"] = {"weight": weight, "nearest": 2, "random": 16}
    training = {
        "steps": arguments.steps,
        "learning_rate": 1e-4,
        "longest_target": 120,
        "held_out": 60,
        "evaluate_every": arguments.steps,
        "alignment": "trust",
        **arguments.set,
    }
    return parse_config(
        {
            "kind": "distil",
            "teacher": encoder,
            "bitext": pairs(condition),
            "loss": loss,
            "gloss": system.startswith(GLOSSED),
            "training": training,
            **common,
        }
    )


def run_name(system: str, condition: str, seed: int, split: str, changed: dict[str, Any]) -> str:
    """Return the name of a run; systems without training have one run for each split."""
    parts = [system] if system in ONCE else [system, condition]
    parts += [str(seed)] if system in LOSSES else []
    parts += [f"{key}={value}" for key, value in changed.items()]
    return " ".join([*parts, *([split] if split != "test" else [])])


def main() -> None:
    """Run the missing systems and print the table."""
    untrained = (*ONCE, GLOSSED_BASELINE)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("questions/results.duckdb"))
    parser.add_argument("--systems", nargs="+", choices=(*untrained, *LOSSES), default=(*untrained, *LOSSES))
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=CONDITIONS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--set", nargs="*", default=[], help="settings of [training], such as ema=0.99")
    parser.add_argument("--table", action="store_true", help="only print the table of the finished runs")
    arguments = parser.parse_args()
    arguments.set = {key: float(value) for key, _, value in (item.partition("=") for item in arguments.set)}
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    asked = [(system, "bitext", 0) for system in arguments.systems if system in ONCE] + [
        (system, condition, seed)
        for seed, condition, system in itertools.product(
            arguments.seeds, arguments.conditions, arguments.systems
        )
        if system in LOSSES or (system == GLOSSED_BASELINE and seed == arguments.seeds[0])
    ]
    if not arguments.table:
        known = finished(arguments.results)
        for system, condition, seed in asked:
            config = configuration(system, condition, seed, arguments)
            if config.name not in known:
                with ConsoleReporter() as reporter:
                    reporter.say(f"── {config.name} ──")
                    execute(config, runs_folder(arguments.results), sys.argv, reporter=reporter)
    print_table(arguments)


def finished(results: Path) -> dict[str, str]:
    """Return the ids of the finished runs by name."""
    if not runs_folder(results).is_dir():
        return {}
    runs = list_runs(refreshed(results), "tags=questions")
    return {str(run["name"]): str(run["id"]) for run in runs if run["state"] == "finished"}


def scores(results: Path, run: str, scoring: str, languages: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the nDCG@10 of each query by language."""
    values: dict[str, dict[str, float]] = {}
    for row in query_scores_of(results, [run], scoring=scoring, measure=MEASURE).records():
        if row["query_language"] in languages:
            values.setdefault(row["query_language"], {})[row["query_id"]] = row["value"]
    return values


def print_table(arguments: argparse.Namespace) -> None:
    """Print the systems' means over seeds, and their differences from zero-shot by the model of seeds."""
    known = finished(arguments.results)
    languages = SPLITS[arguments.split]
    for scoring in ("maxsim", "dense"):
        systems: dict[str, System] = {}
        for system, condition in itertools.product(arguments.systems, arguments.conditions):
            trained = system in LOSSES
            if system in ONCE and condition != arguments.conditions[0]:
                continue
            names = [
                run_name(system, condition, seed, arguments.split, arguments.set) for seed in arguments.seeds
            ]
            ids = [known[name] for name in dict.fromkeys(names) if name in known]
            asked = ["en"] if system == ENGLISH else languages
            runs = [scores(arguments.results, run, scoring, asked) for run in ids]
            if runs and all(runs):
                label = system if system in ONCE else f"{system}, {condition}"
                systems[label] = System(label, runs, trained)
        print(f"\n{MEASURE}, {scoring}, {arguments.split} questions; differences from {BASELINE}")
        compared = {
            name: compare_systems(systems[BASELINE], system)
            for name, system in systems.items()
            if BASELINE in systems and name not in (BASELINE, ENGLISH)
        }
        corrected = dict(zip(compared, correct_together(list(compared.values())), strict=True))
        for name, system in systems.items():
            means = [{code: statistics.fmean(q.values()) for code, q in run.items()} for run in system.runs]
            cells = [statistics.fmean(mean[code] for mean in means) for code in means[0]]
            line = f"| {name} | {len(means)} | " + " | ".join(f"{v:.4f}" for v in cells)
            line += f" | {statistics.fmean(cells):.4f} |"
            if name in corrected:
                mean = corrected[name].mean
                interval = "" if mean.low is None else f" [{mean.low:+.4f}, {mean.high:+.4f}]"
                p = "" if mean.p_holm is None else f"{mean.p_holm:.4f}"
                line += f" {mean.delta:+.4f}{interval} | {p} |"
            print(line)


if __name__ == "__main__":
    main()
