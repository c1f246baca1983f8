"""Every method that ships as a preset, with one teacher, one body of bitext and one budget: the table.

    OPTICAL_DATA=../shared/data python benchmarks/methods.py --results methods/results.duckdb

One student for Somali, Swahili, Tagalog and Marathi learns from TICO-19's training part (segments 971 to
3070). It is asked TICO-19's evaluation part (0 to 970) among its 971 English sentences, and LAReQA, whose
eleven languages it did not learn from. Each run is a process of its own, so that its peak memory is its own.
Runs that are finished are not repeated.

``--table`` prints the table of what is there, ``--dry`` checks every configuration and runs nothing. With
``--lareqa-limit N`` LAReQA is asked its first N questions of each language only.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.cli.options import refreshed
from engine.config import AnyConfig, parse_config, preset_settings, presets
from engine.errors import OpticalError
from engine.evaluation.significance import LanguageComparison, compare_languages, holm
from engine.paths import runs_folder
from engine.results.queries import list_runs, query_scores_of
from engine.results.spool import RunFolder, tail

LANGUAGES = ("so", "sw", "tl", "mr")
BASELINE = "zero-shot"
TAG = "methods"
#: The collections and the measure of each that the table shows.
MEASURES = {"tico-19": "RR", "lareqa": "mAP@20"}

Scores = dict[str, dict[str, float]]


def systems() -> tuple[str, ...]:
    """Return the baseline and every preset that distils but the demo's, which has a budget of its own."""
    distil = [n for n in presets() if n != "demo" and preset_settings(n).get("kind") == "distil"]
    return BASELINE, *distil


def sources(start: int, stop: int) -> list[dict[str, Any]]:
    """Return the four languages' segments from `start` to `stop`."""
    return [
        {"path": f"tico-19/all.en-{code}.tmx.zip", "language": code, "start": start, "stop": stop}
        for code in LANGUAGES
    ]


def settings_of(system: str, seed: int, lareqa_limit: int | None = None) -> AnyConfig:
    """Return the configuration of one run."""
    lareqa: dict[str, Any] = {"name": "lareqa", **({"limit": lareqa_limit} if lareqa_limit else {})}
    common = {
        "name": f"{system}-{seed}",
        "seed": seed,
        "tags": [TAG, system],
        "collections": [{"name": "bitext", "label": "tico-19", "bitext": sources(0, 971)}, lareqa],
        "bitext": sources(971, 3071),
    }
    if system == BASELINE:
        return parse_config({"kind": "evaluate", "encoder": preset_settings("optical")["teacher"], **common})
    return parse_config({**preset_settings(system), **common})


def main() -> None:
    """Run what is missing, each in its own process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("methods/results.duckdb"))
    parser.add_argument("--systems", nargs="+", choices=systems(), default=systems())
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--lareqa-limit", type=int)
    parser.add_argument("--table", action="store_true", help="print the table of what is there")
    parser.add_argument("--dry", action="store_true", help="check every configuration and run nothing")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    wanted = [
        settings_of(system, seed, arguments.lareqa_limit)
        for seed in arguments.seeds
        for system in arguments.systems
        if system != BASELINE or seed == arguments.seeds[0]  # nothing in it is random
    ]
    if arguments.dry:
        for config in wanted:
            print(f"{config.name:32} {described(config)}")
        return
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        carry_out(wanted[0], arguments.results)
        return
    if not arguments.table:
        for config in wanted:
            run_apart(config, arguments)
    table(arguments.results)


def described(config: AnyConfig) -> str:
    """Return what sets a configuration apart from the others."""
    if config.kind != "distil":
        return "no training"
    set_apart = {**config.loss.model_dump(exclude_defaults=True)}
    set_apart |= config.transport.model_dump(include={"solver", "marginals"}, exclude_defaults=True)
    set_apart |= config.training.model_dump(include={"student_role", "anchor"}, exclude_defaults=True)
    return ", ".join(f"{key} {value}" for key, value in set_apart.items())


def run_apart(config: AnyConfig, arguments: argparse.Namespace) -> None:
    """Carry out one run in a process of its own, unless it is there."""
    if finished(arguments.results, config.name):
        return
    system, _, seed = config.name.rpartition("-")
    limit = ["--lareqa-limit", str(arguments.lareqa_limit)] if arguments.lareqa_limit else []
    where = ["--results", str(arguments.results)]
    command = [sys.executable, __file__, "--one", "--systems", system, "--seeds", seed, *where, *limit]
    if subprocess.run(command, check=False).returncode:
        print(f"{config.name} failed; the table goes without it", file=sys.stderr)


def carry_out(config: AnyConfig, results: Path) -> None:
    """Carry out a run here, and note in its summary the most memory that this process held (Linux: KiB)."""
    from engine.cli.console import ConsoleReporter
    from engine.training.runs import execute

    with ConsoleReporter() as reporter:
        reporter.say(f"── {config.name} ──")
        try:
            run, _ = execute(config, runs_folder(results), sys.argv, reporter=reporter)
        except OpticalError as error:
            sys.exit(f"{config.name}: {error}")
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run.update(summary={"peak_memory_mib": round(kibibytes / 1024)})


def finished(results: Path, name: str) -> bool:
    """Tell whether a finished run of that name is there."""
    if not runs_folder(results).is_dir():
        return False
    return any(run["name"] == name and run["state"] == "finished" for run in list_runs(refreshed(results)))


def table(results: Path) -> None:
    """Print what each system reached, what it gained over zero-shot, and what it cost."""
    runs = [run for run in list_runs(refreshed(results), f"tags={TAG}") if run["state"] == "finished"]
    by_system = {
        system: [run["id"] for run in reversed(runs) if run["name"].rpartition("-")[0] == system]
        for system in systems()
    }
    found = {system: ids for system, ids in by_system.items() if ids}
    for collection, measure in MEASURES.items():
        scores = {system: averaged(results, collection, measure, ids) for system, ids in found.items()}
        quality(collection, measure, {system: one for system, one in scores.items() if one})
    print(f"\n{'system':28}{'runs':>5}{'pairs/s':>10}{'peak MiB':>10}{'best step':>14}")
    for system, ids in found.items():
        folders = [RunFolder.open(runs_folder(results) / run) for run in ids]
        speeds = [speed for folder in folders if (speed := speed_of(folder)) is not None]
        summaries = [folder.record["summary"] or {} for folder in folders]
        memory = [one["peak_memory_mib"] for one in summaries if "peak_memory_mib" in one]
        best = [str(one["best_step"]) for one in summaries if "best_step" in one]
        cells = (
            f"{statistics.mean(speeds):.1f}" if speeds else "–",
            f"{max(memory):,}" if memory else "–",
            ", ".join(best) or "–",
        )
        print(f"{system:28}{len(ids):>5}{cells[0]:>10}{cells[1]:>10}{cells[2]:>14}")


def quality(collection: str, measure: str, scores: Mapping[str, Scores]) -> None:
    """Print a collection's figures, and paired tests against zero-shot.

    p values are corrected (Holm) over all systems: those of the means together, those of the languages
    together.
    """
    if not scores:
        return
    baseline = scores.get(BASELINE)
    tested = {
        system: compare_languages(baseline, one)
        for system, one in scores.items()
        if baseline and system != BASELINE
    }
    languages = list(next(iter(scores.values())))
    of_means = dict(zip(tested, holm([one.mean.p for one in tested.values()]), strict=True))
    of_languages = corrected(tested)
    print(f"\n{collection}, {measure}: query scores averaged over seeds; * differs from zero-shot, p < .05")
    print(
        f"{'system':28}"
        + "".join(f"{code:>8}" for code in (*languages, "mean"))
        + f"{'Δ mean':>9}{'95 % interval':>20}{'p':>8}"
    )
    for system, one in scores.items():
        means = {code: statistics.mean(one[code].values()) for code in languages}
        stars = {code: "*" if of_languages.get((system, code), 1.0) < 0.05 else " " for code in languages}
        line = f"{system:28}" + "".join(f"{means[code]:7.4f}{stars[code]}" for code in languages)
        line += f"{statistics.mean(means.values()):7.4f} "
        if system in tested:
            mean = tested[system].mean
            line += f"{mean.delta:+9.4f}  [{mean.low:+.4f}, {mean.high:+.4f}]{of_means[system]:8.4f}"
        print(line)


def corrected(tested: Mapping[str, LanguageComparison]) -> dict[tuple[str, str], float]:
    """Return the p value of every system and language, corrected over all of them."""
    raw = {(system, code): c.p for system, one in tested.items() for code, c in one.languages.items()}
    return dict(zip(raw, holm(list(raw.values())), strict=True))


def speed_of(run: RunFolder) -> float | None:
    """Return the pairs a second that a run's steps reached, if it trained."""
    speeds = [r.metrics["pairs_per_second"] for r in tail(run.metrics_path).records if "loss" in r.metrics]
    return speeds[-1] if speeds else None


def averaged(results: Path, collection: str, measure: str, runs: Sequence[str]) -> Scores:
    """Return each query's score averaged over `runs`, by language."""
    values: dict[str, dict[str, list[float]]] = {}
    for row in query_scores_of(results, list(runs), measure=measure, collection=collection).records():
        values.setdefault(row["query_language"], {}).setdefault(row["query_id"], []).append(row["value"])
    return {
        language: {query: statistics.mean(found) for query, found in queries.items()}
        for language, queries in values.items()
    }


if __name__ == "__main__":
    main()
