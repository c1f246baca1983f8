r"""The tables of docs/recipe.md on people's questions: every system on AfriQA, with several seeds.

    OPTICAL_DATA=../shared/data python benchmarks/questions.py --results questions/results.duckdb
    python benchmarks/questions.py --results questions/results.duckdb --table

Each trained system learns Hausa, Igbo and Swahili from the same pairs with the same loop: TICO-19's training
part, NTREX-128's training documents and MAFAND-MT (research use only), and in the condition ``questions``
also AfriQA's training questions with their human translations, three times each. Training questions that
share a passage or are nearly the same as an evaluated question are dropped. The test questions, and the
development questions on which weights of fusion are chosen, search all gold passages. Losses over passages
see these passages unlabelled. ``--split dev`` prints the development questions' table, to choose settings
(``--set`` changes them, and the run's name). Finished runs are not repeated; ``--table`` only prints.
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
#: Search with the same translations of words without an encoder, and systems that are fused with it.
LEXICAL = "psq"
FUSED = " & psq"
#: Ranks that are stored: a weighted sum of scores needs deep ones.
DEPTH = 1000
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


def questions(system: str) -> list[dict[str, Any]]:
    """Return the settings of AfriQA's test questions, and of the development questions, labelled ``dev``."""
    english = ["en"] if system == ENGLISH else []
    return [
        {"name": "afriqa", "split": split, "label": label, "languages": [*SPLITS[split], *english]}
        for split, label in (("test", "test"), ("dev", "dev"))
    ]


def configuration(
    system: str, condition: str, seed: int, arguments: argparse.Namespace, known: dict[str, str]
) -> RunHeader:
    """Return the configuration of a run; `known` has the ids of finished runs by name."""
    common = {
        "name": run_name(system, condition, seed, arguments.set),
        "seed": seed,
        "tags": ["questions", system, condition],
    }
    if system.endswith(FUSED):
        encoder_run = run_name(system.removesuffix(FUSED), condition, seed, arguments.set)
        fused = [
            {"run": known[encoder_run], "scoring": "maxsim"},
            {"run": known[run_name(LEXICAL, condition, seed, arguments.set)]},
        ]
        return parse_config(
            {"kind": "fuse", "method": "zscore", "choose_on": "dev", "systems": fused, **common}
        )
    common["collections"] = questions(system)
    if system == LEXICAL:
        bitext = [without_repeat(source) for source in pairs(condition)]
        return parse_config({"kind": "lexical", "method": "psq", "depth": DEPTH, "bitext": bitext, **common})
    common["evaluation"] = {"scoring": ["maxsim", "dense"], "depth": DEPTH}
    encoder = {"checkpoint": "multilingual-e5-small", "query_length": 64}
    if system == GLOSSED_BASELINE:
        bitext = [without_repeat(source) for source in pairs(condition)]
        return parse_config(
            {"kind": "evaluate", "encoder": encoder, "gloss": True, "bitext": bitext, **common}
        )
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


def without_repeat(source: dict[str, Any]) -> dict[str, Any]:
    """Return a source of pairs for a run that does not train, and so repeats none."""
    return {key: value for key, value in source.items() if key != "repeat"}


def run_name(system: str, condition: str, seed: int, changed: dict[str, Any]) -> str:
    """Return the name of a run."""
    if system in ONCE:
        return system
    parts = [system, condition, *([str(seed)] if has_seeds(system) else [])]
    return " ".join([*parts, *(f"{key}={value}" for key, value in changed.items())])


def has_seeds(system: str) -> bool:
    """Return whether a system is trained, or fused with one that is."""
    return system.removesuffix(FUSED) in LOSSES


def main() -> None:
    """Run the missing systems and print the table."""
    systems = (*ONCE, GLOSSED_BASELINE, *LOSSES, LEXICAL)
    systems += tuple(f"{name}{FUSED}" for name in (BASELINE, GLOSSED_BASELINE, *LOSSES))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("questions/results.duckdb"))
    parser.add_argument("--systems", nargs="+", choices=systems, default=systems)
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=CONDITIONS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--set", nargs="*", default=[], help="settings of [training], such as ema=0.99")
    parser.add_argument("--table", action="store_true", help="only print the table of the finished runs")
    arguments = parser.parse_args()
    arguments.set = {key: float(value) for key, _, value in (item.partition("=") for item in arguments.set)}
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    asked = [(system, "bitext", 0) for system in arguments.systems if system in ONCE]
    asked += [
        (system, condition, seed)
        for seed, condition, system in itertools.product(
            arguments.seeds, arguments.conditions, arguments.systems
        )
        if system not in ONCE and (has_seeds(system) or seed == arguments.seeds[0])
    ]
    if not arguments.table:
        for system, condition, seed in asked:
            known = finished(arguments.results)
            if run_name(system, condition, seed, arguments.set) not in known:
                config = configuration(system, condition, seed, arguments, known)
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


def scores(
    results: Path, run: str, scoring: str, split: str, languages: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the nDCG@10 of each query by language."""
    values: dict[str, dict[str, float]] = {}
    found = query_scores_of(results, [run], scoring=scoring, measure=MEASURE, collection=split)
    for row in found.records():
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
            if system in ONCE and condition != arguments.conditions[0]:
                continue
            if scoring == "dense" and (system == LEXICAL or system.endswith(FUSED)):
                continue
            names = [run_name(system, condition, seed, arguments.set) for seed in arguments.seeds]
            ids = [known[name] for name in dict.fromkeys(names) if name in known]
            asked = ["en"] if system == ENGLISH else languages
            runs = [scores(arguments.results, run, scoring, arguments.split, asked) for run in ids]
            if runs and all(runs):
                label = system if system in ONCE else f"{system}, {condition}"
                systems[label] = System(label, runs, has_seeds(system))
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
        for name, system in systems.items():
            without = name.replace("+transport", "")
            if without != name and without in systems:
                added = compare_systems(systems[without], system).mean
                interval = "" if added.low is None else f" [{added.low:+.4f}, {added.high:+.4f}]"
                print(f"{name} minus {without}: {added.delta:+.4f}{interval}")


if __name__ == "__main__":
    main()
