"""Compare all methods with the same teacher, bitext and budget, in one table.

    OPTICAL_DATA=../shared/data python benchmarks/methods.py --results methods/results.duckdb
    python benchmarks/methods.py --results methods/results.duckdb --table docs/methods.md

Each method trains one student for Somali, Swahili, Tagalog and Marathi on TICO-19's training part (segments
971 to 3070). It is evaluated on TICO-19's evaluation part (0 to 970), whose pool is the 971 English
sentences, and on LAReQA, whose eleven languages are not in the training data. The table also has baselines
without training. Each run has its own process, so that its peak memory can be measured. Finished runs are not
repeated, so the benchmark can be stopped and started again; it refuses finished runs with another budget.

The budget is ``--steps`` of 32 pairs. LAReQA is a sample of ``--lareqa-limit`` questions of each
language. With the defaults, a run takes about four minutes on two cores. Systems without training run only
with the first of ``--seeds``. ``--dry`` checks every configuration and runs nothing; ``--table`` prints the
table of the finished runs, or writes it between the marks in a Markdown file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from methods_table import BASELINE, TAG, markdown, write_between_marks

from engine.cli.options import refreshed
from engine.config import RunHeader, parse_config, preset_settings, presets
from engine.errors import OpticalError
from engine.paths import runs_folder
from engine.results.queries import list_runs

LANGUAGES = ("so", "sw", "tl", "mr")
GOLD, FUSED, FUSED_TRAINED = "translate-gold", "rrf: zero-shot, tfidf", "rrf: optical-contrast, tfidf"
#: Fusion -> the systems whose runs it fuses.
FUSIONS = {FUSED: (BASELINE, "tfidf"), FUSED_TRAINED: ("optical-contrast", "tfidf")}
#: How many documents the cross-encoder re-ranks; each costs a forward pass over query and document.
RERANKED = 10


def distilled_presets() -> list[str]:
    """Return the presets that distil the teacher into itself in the loop of `optical`.

    The demo has another budget, and presets with a loss over passages another learning rate.
    """
    found = {name: preset_settings(name) for name in presets() if name != "demo"}
    rate = found["optical"]["training"]["learning_rate"]
    return [
        name
        for name, one in found.items()
        if one.get("kind") == "distil" and "student" not in one and one["training"]["learning_rate"] == rate
    ]


def systems() -> list[str]:
    """Return all systems; a system comes after those that it uses."""
    untrained = [name for name in ("bm25", "tfidf", "lir", "shift") if name in presets()]
    reranked = ["cross-encoder"] if "cross-encoder" in presets() else []
    return [BASELINE, *untrained, GOLD, *distilled_presets(), *FUSIONS, *reranked]


def sources(start: int, stop: int) -> list[dict[str, Any]]:
    """Return the four languages' segments from `start` to `stop`."""
    return [
        {"path": f"tico-19/all.en-{code}.tmx.zip", "language": code, "start": start, "stop": stop}
        for code in LANGUAGES
    ]


def settings_of(system: str, seed: int, steps: int, lareqa_limit: int | None) -> RunHeader:
    """Return the configuration of one run."""
    lareqa: dict[str, Any] = {"name": "lareqa", **({"limit": lareqa_limit} if lareqa_limit else {})}
    header = {"name": f"{system}-{seed}", "seed": seed, "tags": [TAG, system]}
    evaluated = {"collections": [{"name": "bitext", "label": "tico-19", "bitext": sources(0, 971)}, lareqa]}
    training_bitext = {"bitext": sources(971, 3071)}
    plain = {
        "kind": "evaluate",
        "encoder": preset_settings("optical")["teacher"],
        **training_bitext,
        **evaluated,
    }
    if system == BASELINE:
        return parse_config({**plain, **header})
    if system == GOLD:
        return parse_config({**plain, **header, "translation": {"checkpoint": "gold"}})
    if system in FUSIONS:
        return parse_config(
            {
                **preset_settings("rrf"),
                **header,
                "systems": [{"run": f"{one}-{seed}"} for one in FUSIONS[system]],
            }
        )
    settings = {**preset_settings(system), **header}
    match settings["kind"]:
        case "lexical":
            settings |= evaluated
        case "evaluate":
            settings |= {**training_bitext, **evaluated, "evaluation": {"scoring": ["maxsim"]}}
        case "cross-encoder":
            training = {**settings.get("training", {}), "steps": steps, "evaluate_every": max(1, steps // 2)}
            first = {"run": f"{BASELINE}-{seed}", "depth": RERANKED}
            settings |= {**training_bitext, "training": training, "first_stage": first}
        case _:
            training = {**settings["training"], "steps": steps, "evaluate_every": max(1, steps // 2)}
            settings |= {**training_bitext, **evaluated, "training": training}
    return parse_config(settings)


def main() -> None:
    """Run the missing systems, each in its own process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("methods/results.duckdb"))
    parser.add_argument("--systems", nargs="+", choices=systems(), default=systems())
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=120, help="training steps of every system (default 120)")
    parser.add_argument(
        "--lareqa-limit",
        type=int,
        default=300,
        help="questions of each language; 0 uses all 1,190 (default 300)",
    )
    parser.add_argument(
        "--table",
        nargs="?",
        const="-",
        metavar="FILE",
        help="print the table, or write it into FILE; runs nothing",
    )
    parser.add_argument("--dry", action="store_true", help="check every configuration and run nothing")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    wanted = [
        settings_of(system, seed, arguments.steps, arguments.lareqa_limit)
        for system in arguments.systems
        for seed in (arguments.seeds if system in distilled_presets() else arguments.seeds[:1])
    ]
    try:
        if arguments.dry:
            for config in wanted:
                print(f"{config.name:36} {describe(config)}")
        elif arguments.one:
            run_here(wanted[0], arguments.results)
        elif arguments.table:
            text = markdown(arguments.results, systems())
            print(text) if arguments.table == "-" else write_between_marks(
                Path(arguments.table), "methods", text
            )
        else:
            arguments.results.parent.mkdir(parents=True, exist_ok=True)
            for config in wanted:
                run_in_own_process(config, arguments)
            print(markdown(arguments.results, systems()))
    except OpticalError as error:
        sys.exit(str(error))


def describe(config: RunHeader) -> str:
    """Return the settings in which a configuration differs from the others."""
    if config.kind != "distil":
        return config.kind
    differing = {**config.loss.model_dump(exclude_defaults=True)}
    differing |= config.transport.model_dump(include={"solver", "marginals", "layers"}, exclude_defaults=True)
    differing |= config.training.model_dump(include={"student_role", "anchor"}, exclude_defaults=True)
    return ", ".join(f"{key} {value}" for key, value in differing.items())


def run_in_own_process(config: RunHeader, arguments: argparse.Namespace) -> None:
    """Execute one run in its own process, unless it is finished already."""
    if finished(arguments.results, config):
        return
    system, _, seed = config.name.rpartition("-")
    budget = ["--steps", str(arguments.steps), "--lareqa-limit", str(arguments.lareqa_limit)]
    command = [sys.executable, __file__, "--one", "--systems", system, "--seeds", seed, *budget]
    if subprocess.run([*command, "--results", str(arguments.results)], check=False).returncode:
        print(f"{config.name} failed; the table leaves it out", file=sys.stderr)


def run_here(config: RunHeader, results: Path) -> None:
    """Execute a run in this process."""
    from engine.cli.console import ConsoleReporter
    from engine.runs.execute import execute

    with ConsoleReporter() as reporter:
        reporter.say(f"── {config.name} ──")
        execute(config, runs_folder(results), sys.argv, reporter=reporter)


def finished(results: Path, config: RunHeader) -> bool:
    """Return whether a finished run of that name exists; exit if it was made with other settings."""
    if not runs_folder(results).is_dir():
        return False
    for run in list_runs(refreshed(results), f"tags={TAG}"):
        if run["name"] == config.name and run["state"] == "finished":
            if parse_config(run["config"]) != config:
                sys.exit(f"{config.name} in {results} has other settings; use them or another --results")
            return True
    return False


if __name__ == "__main__":
    main()
