"""The recipe's table: every system on TICO-19 with one teacher, one budget and several seeds.

    OPTICAL_DATA=../shared/data python benchmarks/recipe.py --results recipe/results.duckdb

One student for Somali, Swahili, Tagalog and Marathi learns from TICO-19's training part (segments 971 to
3070) and is asked its evaluation part (0 to 970), in two pools: the 971 English sentences, and these with
the English sides of the training part and of all Tatoeba files. Runs that are finished are not repeated.
``--table`` prints the table alone.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from engine.cli.console import ConsoleReporter
from engine.cli.options import refreshed
from engine.config import AnyConfig, parse_config, preset_settings
from engine.evaluation.significance import compare_languages
from engine.paths import runs_folder
from engine.results.queries import list_runs, query_scores_of, scores_of
from engine.training.runs import execute

LANGUAGES = ("so", "sw", "tl", "mr")
SYSTEMS = ("zero-shot", "pooled-mse", "optical", "contrast", "optical-contrast")
POOLS = ("tico-19", "tico-19-large")


def sources(start: int, stop: int, **more: Any) -> list[dict[str, Any]]:
    """Return the four languages' segments from `start` to `stop`."""
    return [
        {"path": f"tico-19/all.en-{code}.tmx.zip", "language": code, "start": start, "stop": stop, **more}
        for code in LANGUAGES
    ]


def settings_of(system: str, seed: int, pools: tuple[str, ...]) -> AnyConfig:
    """Return the configuration of one run."""
    evaluation = sources(0, 971)
    collections = [
        {
            "name": "bitext",
            "label": pool,
            "bitext": evaluation,
            "upper_line": True,
            **(
                {"distractors": ["tatoeba"], "distractor_bitext": sources(971, 3071)[:1]}
                if pool == "tico-19-large"
                else {}
            ),
        }
        for pool in pools
    ]
    common = {
        "name": f"{system}-{seed}",
        "seed": seed,
        "tags": ["recipe", system],
        "collections": collections,
        "bitext": sources(971, 3071),
    }
    if system == "zero-shot":
        return parse_config({"kind": "evaluate", "encoder": preset_settings("optical")["teacher"], **common})
    return parse_config({**preset_settings(system), **common})


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("recipe/results.duckdb"))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--pools", nargs="+", choices=POOLS, default=POOLS)
    parser.add_argument("--table", action="store_true", help="print the table of what is there")
    arguments = parser.parse_args()
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    if not arguments.table:
        for seed in arguments.seeds:
            for system in arguments.systems:
                if system == "zero-shot" and seed != arguments.seeds[0]:
                    continue  # nothing in it is random
                config = settings_of(system, seed, tuple(arguments.pools))
                if finished(arguments.results, config.name):
                    continue
                with ConsoleReporter() as reporter:
                    reporter.say(f"── {config.name} ──")
                    execute(config, runs_folder(arguments.results), sys.argv, reporter=reporter)
    table(arguments.results)


def finished(results: Path, name: str) -> bool:
    """Tell whether a finished run of that name is there."""
    if not runs_folder(results).is_dir():
        return False
    runs = list_runs(refreshed(results))
    return any(run["name"] == name and run["state"] == "finished" for run in runs)


def table(results: Path) -> None:
    """Print, for each pool and measure, every system's mean over seeds, and Δ to zero-shot on seed 0."""
    runs = [run for run in list_runs(refreshed(results), "tags=recipe") if run["state"] == "finished"]
    by_system = {
        system: [run["id"] for run in reversed(runs) if run["name"].rpartition("-")[0] == system]
        for system in SYSTEMS
    }
    for pool in POOLS:
        for measure in ("RR", "R@1"):
            print(f"\n{pool}, {measure} (mean of seeds, standard deviation behind it)")
            print(f"{'system':18}{'seeds':>6}" + "".join(f"{c:>14}" for c in (*LANGUAGES, "mean", "en")))
            for system, ids in by_system.items():
                rows = scores_of(results, ids, measure=measure, collection=pool).records() if ids else []
                if not rows:
                    continue
                found = {(row["run"], row["query_language"]): row["value"] for row in rows}
                seeds = [run for run in ids if (run, "so") in found]
                cells = {code: [found[run, code] for run in seeds] for code in LANGUAGES}
                english = scores_of(
                    results, seeds, measure=measure, collection=f"{pool}-upper-line"
                ).records()
                cells["en"] = [row["value"] for row in english]
                cells["mean"] = [statistics.mean(found[run, code] for code in LANGUAGES) for run in seeds]
                print(
                    f"{system:18}{len(seeds):>6}"
                    + "".join(f"{spread(cells[code]):>14}" for code in (*LANGUAGES, "mean", "en"))
                )
        tests(results, pool, by_system)


def spread(values: list[float]) -> str:
    """Return the mean and the standard deviation of `values`."""
    deviation = f" ±{statistics.stdev(values):.4f}"[:7] if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{deviation}"


def tests(results: Path, pool: str, by_system: dict[str, list[str]]) -> None:
    """Print paired tests of optical-contrast against each other system, query scores averaged over seeds."""
    print(f"\n{pool}, RR: optical-contrast against each, paired by query, Holm over languages")
    scores = {system: averaged(results, pool, ids) for system, ids in by_system.items() if ids}
    target = scores.pop("optical-contrast", None)
    for system, baseline in scores.items():
        if not target or not baseline:
            continue
        compared = compare_languages(baseline, target)
        for code, c in [*compared.languages.items(), ("mean", compared.mean)]:
            p = c.p if code == "mean" else c.p_holm
            print(
                f"  {system:12} {code:5} {c.delta:+.4f} [{c.low:+.4f}, {c.high:+.4f}] p {p:.4f} "
                f"{c.wins}/{c.ties}/{c.losses}"
            )


def averaged(results: Path, pool: str, runs: list[str]) -> dict[str, dict[str, float]]:
    """Return each query's RR averaged over `runs`, by language."""
    values: dict[str, dict[str, list[float]]] = {}
    for row in query_scores_of(results, runs, measure="RR", collection=pool).records():
        values.setdefault(row["query_language"], {}).setdefault(row["query_id"], []).append(row["value"])
    return {
        language: {query: statistics.mean(found) for query, found in queries.items()}
        for language, queries in values.items()
    }


if __name__ == "__main__":
    main()
