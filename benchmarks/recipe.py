r"""The table of docs/recipe.md: every system on TICO-19 with the same teacher and budget and several seeds.

    OPTICAL_DATA=../shared/data python benchmarks/recipe.py --results recipe/results.duckdb \
        --pools tico-19 tico-19-large elsewhere

Each system trains one student for Somali, Swahili, Tagalog and Marathi on TICO-19's training part (segments
971 to 3070). It is evaluated on the evaluation part (0 to 970) in two pools: the 971 English sentences, and
these together with the English sides of the training part and of all Tatoeba files. ``elsewhere`` evaluates
the same students on Tatoeba and LAReQA. ``--segments 100 500 2100`` trains on only the first 100, 500 or
2,100 segments of the training part. Finished runs are not repeated; ``--table`` only prints the tables.
"""

from __future__ import annotations

import argparse
import itertools
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from engine.cli.console import ConsoleReporter
from engine.cli.options import refreshed
from engine.config import RunHeader, parse_config, preset_settings
from engine.evaluation.significance import compare_languages
from engine.paths import runs_folder
from engine.results.queries import list_runs, query_scores_of, scores_of
from engine.runs.execute import execute

LANGUAGES = ("so", "sw", "tl", "mr")
SYSTEMS = ("zero-shot", "pooled-mse", "optical", "contrast", "contrast-and-transport", "optical-contrast")
POOLS = ("tico-19", "tico-19-large")
SEGMENTS = 2100
ELSEWHERE = [
    {"name": "tatoeba", "languages": list(LANGUAGES[1:]), "directions": ["xx-en"]},
    {"name": "lareqa"},
]


def sources(start: int, stop: int, **more: Any) -> list[dict[str, Any]]:
    """Return the four languages' segments from `start` to `stop`."""
    return [
        {"path": f"tico-19/all.en-{code}.tmx.zip", "language": code, "start": start, "stop": stop, **more}
        for code in LANGUAGES
    ]


def training_config(system: str, seed: int, segments: int) -> RunHeader:
    """Return the configuration of a run that trains `system`, or of the zero-shot run, on the small pool."""
    common = {
        "name": run_name(system, seed, segments),
        "seed": seed,
        "tags": ["recipe", system, f"segments-{segments}"],
        "collections": [pool_of("tico-19")],
        "bitext": sources(971, 971 + segments),
    }
    if system == "zero-shot":
        return parse_config({"kind": "evaluate", "encoder": preset_settings("optical")["teacher"], **common})
    preset = preset_settings(system)
    held_out = min(preset["training"]["held_out"], segments // 5)
    return parse_config({**preset, **common, "training": {**preset["training"], "held_out": held_out}})


def evaluation_config(pool: str, base: RunHeader, run: dict[str, Any], results: Path) -> RunHeader:
    """Return the configuration of a run that evaluates the student of `run`, trained as `base`, in `pool`."""
    common = {
        "kind": "evaluate",
        "name": f"{base.name}, {pool}",
        "seed": base.seed,
        "tags": [*base.tags, pool],
        "collections": ELSEWHERE if pool == "elsewhere" else [pool_of(pool)],
    }
    encoder = preset_settings("optical")["teacher"]
    if base.kind == "evaluate":
        return parse_config({**common, "encoder": encoder, "bitext": base.model_dump()["bitext"]})
    folder = runs_folder(results) / run["id"] / "checkpoints"
    return parse_config(
        {
            **common,
            "encoder": {**encoder, "checkpoint": str(folder / "student")},
            "teacher": {**encoder, "checkpoint": str(folder / "teacher")},
        }
    )


def pool_of(name: str) -> dict[str, Any]:
    """Return the settings of a pool of English sentences."""
    large = {"distractors": ["tatoeba"], "distractor_bitext": sources(971, 3071)[:1]}
    return {
        "name": "bitext",
        "label": name,
        "bitext": sources(0, 971),
        "upper_line": True,
        **(large if name == "tico-19-large" else {}),
    }


def run_name(system: str, seed: int, segments: int) -> str:
    """Return the name of a run."""
    few = "" if segments == SEGMENTS else f"-{segments}"
    return f"{system}{few}-{seed}"


def main() -> None:
    """Run the missing systems and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("recipe/results.duckdb"))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--segments", nargs="+", type=int, default=[SEGMENTS], help="how many segments to train on"
    )
    parser.add_argument("--pools", nargs="+", choices=(*POOLS, "elsewhere"), default=["tico-19"])
    parser.add_argument("--table", action="store_true", help="only print the tables of the finished runs")
    arguments = parser.parse_args()
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    if not arguments.table:
        for segments, seed, system in itertools.product(
            arguments.segments, arguments.seeds, arguments.systems
        ):
            if system == "zero-shot" and (seed, segments) != (arguments.seeds[0], SEGMENTS):
                continue  # no training and nothing random: one run is enough
            base = training_config(system, seed, segments)
            run = finished(arguments.results, base.name) or run_and_find(base, arguments.results)
            for pool in (pool for pool in arguments.pools if pool != "tico-19"):
                config = evaluation_config(pool, base, run, arguments.results)
                finished(arguments.results, config.name) or run_and_find(config, arguments.results)
    for segments in arguments.segments:
        print_tables(arguments.results, segments)


def run_and_find(config: RunHeader, results: Path) -> dict[str, Any]:
    """Execute `config` and return the run."""
    with ConsoleReporter() as reporter:
        reporter.say(f"── {config.name} ──")
        execute(config, runs_folder(results), sys.argv, reporter=reporter)
    run = finished(results, config.name)
    assert run is not None
    return run


def finished(results: Path, name: str) -> dict[str, Any] | None:
    """Return the finished run of that name, or None."""
    if not runs_folder(results).is_dir():
        return None
    runs = list_runs(refreshed(results))
    return next((run for run in runs if run["name"] == name and run["state"] == "finished"), None)


def print_tables(results: Path, segments: int) -> None:
    """Print every system's mean over seeds for each pool and measure, and significance tests."""
    runs = [run for run in list_runs(refreshed(results), "tags=recipe") if run["state"] == "finished"]
    names = {system: re.compile(run_name(system, 0, segments)[:-1] + r"\d+(, .*)?") for system in SYSTEMS}
    names["zero-shot"] = re.compile(r"zero-shot-\d+(, .*)?")
    by_system = {
        system: [run["id"] for run in reversed(runs) if pattern.fullmatch(run["name"])]
        for system, pattern in names.items()
    }
    for pool in POOLS:
        for measure in ("RR", "R@1"):
            print(f"\n{pool}, {segments} segments, {measure} (mean of seeds ± standard deviation)")
            print(f"{'system':24}{'seeds':>6}" + "".join(f"{c:>14}" for c in (*LANGUAGES, "mean", "en")))
            for system, ids in by_system.items():
                rows = (
                    scores_of(results, ids, scoring="maxsim", measure=measure, collection=pool).records()
                    if ids
                    else []
                )
                if not rows:
                    continue
                found = {(row["run"], row["query_language"]): row["value"] for row in rows}
                seeds = [run for run in ids if (run, "so") in found]
                cells = {code: [found[run, code] for run in seeds] for code in LANGUAGES}
                english = scores_of(
                    results, seeds, scoring="maxsim", measure=measure, collection=f"{pool}-upper-line"
                ).records()
                cells["en"] = [row["value"] for row in english]
                cells["mean"] = [statistics.mean(found[run, code] for code in LANGUAGES) for run in seeds]
                print(
                    f"{system:24}{len(seeds):>6}"
                    + "".join(f"{mean_and_deviation(cells[code]):>14}" for code in (*LANGUAGES, "mean", "en"))
                )
        print_tests(results, pool, by_system)
    print_elsewhere(results, by_system)


def print_elsewhere(results: Path, by_system: dict[str, list[str]]) -> None:
    """Print every system's mean over seeds on Tatoeba and LAReQA, by language."""
    for collection, measure in (("tatoeba", "R@1"), ("lareqa", "AP@20"), ("lareqa", "AP")):
        for system, ids in by_system.items():
            rows = (
                scores_of(results, ids, scoring="maxsim", measure=measure, collection=collection).records()
                if ids
                else []
            )
            values: dict[str, list[float]] = {}
            for row in rows:
                values.setdefault(row["query_language"], []).append(row["value"])
            if values:
                cells = "  ".join(f"{code} {mean_and_deviation(found)}" for code, found in values.items())
                mean = statistics.mean(statistics.mean(found) for found in values.values())
                print(f"\n{collection}, {measure}, {system}: mean {mean:.4f}  {cells}")


def mean_and_deviation(values: list[float]) -> str:
    """Return the mean and the standard deviation of `values`."""
    deviation = f" ±{statistics.stdev(values):.4f}"[:7] if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{deviation}"


def print_tests(results: Path, pool: str, by_system: dict[str, list[str]]) -> None:
    """Print paired tests of optical-contrast against the others; query scores are means over seeds."""
    print(f"\n{pool}, RR: optical-contrast against each, paired by query, Holm over languages")
    scores = {system: average_scores(results, pool, ids) for system, ids in by_system.items() if ids}
    target = scores.pop("optical-contrast", None)
    for system, baseline in scores.items():
        if not target or not baseline:
            continue
        compared = compare_languages(baseline, target)
        for code, c in [*compared.languages.items(), ("mean", compared.mean)]:
            p = c.p if code == "mean" else c.p_holm
            print(
                f"  {system:24} {code:5} {c.delta:+.4f} [{c.low:+.4f}, {c.high:+.4f}] p {p:.4f} "
                f"{c.wins}/{c.ties}/{c.losses}"
            )


def average_scores(results: Path, pool: str, runs: list[str]) -> dict[str, dict[str, float]]:
    """Return each query's RR by MaxSim averaged over `runs`, by language."""
    values: dict[str, dict[str, list[float]]] = {}
    for row in query_scores_of(results, runs, scoring="maxsim", measure="RR", collection=pool).records():
        values.setdefault(row["query_language"], {}).setdefault(row["query_id"], []).append(row["value"])
    return {
        language: {query: statistics.mean(found) for query, found in queries.items()}
        for language, queries in values.items()
    }


if __name__ == "__main__":
    main()
