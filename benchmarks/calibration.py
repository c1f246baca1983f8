r"""How often the tests of `compare` call two samples of seeds of one system different (A/A comparisons).

    python benchmarks/calibration.py                                  # the tables of docs/statistics.md
    OPTICAL_DATA=... python benchmarks/calibration.py --train 24 --results calibration/results.duckdb

A calibrated test at the 5 % level says so in 5 % of such comparisons. They are made in two ways:

- on simulated scores with crossed topics and seeds, for several variances of seeds;
- on scores of real queries: of the seeds of one system, two disjoint samples are drawn many times. The scores
  are in docs/evidence/calibration.parquet. ``--train N`` makes them again: it pre-trains one small encoder on
  TICO-19's training part and distils it with N seeds. ``--results`` without ``--train`` reads the scores of
  all systems with enough seeds from any results database.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.evaluation.seed_model import LEVEL, Scores, System, compare_systems
from engine.evaluation.significance import compare_languages

SCORES = Path(__file__).resolve().parent.parent / "docs" / "evidence" / "calibration.parquet"
ERROR = 0.1
"""Standard deviation of the errors of simulated scores."""


def main() -> None:
    """Train if asked, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--train", type=int, default=0, metavar="N", help="train N seeds first")
    parser.add_argument("--results", type=Path, help="take the scores of this database")
    parser.add_argument("--save", type=Path, help="write the scores that were used to this Parquet file")
    parser.add_argument("--comparisons", type=int, default=400, help="comparisons of each row (default 400)")
    arguments = parser.parse_args()
    if arguments.train:
        if arguments.results is None:
            parser.error("--train needs --results")
        train(arguments.train, arguments.results)
    systems = read_results(arguments.results) if arguments.results else read_scores(SCORES)
    if arguments.save:
        save_scores(systems, arguments.save)
    print(simulated(arguments.comparisons))
    print()
    print(real(systems, arguments.comparisons))


def simulated(count: int) -> str:
    """Return the table of simulated comparisons: 200 topics, two samples of seeds of one system."""
    lines = ["| seeds each | SD of seeds | mixed model | topics only |", "| ---: | ---: | ---: | ---: |"]
    for seeds in (2, 3, 5):
        for spread in (0.0, 0.01, 0.02, 0.05):
            generator = np.random.default_rng([seeds, round(1000 * spread)])
            mixed = topics = 0
            for trial in range(count):
                base = generator.normal(0.5, 0.2, 200)
                scores = (
                    base
                    + generator.normal(0, spread, (2, seeds, 1))
                    + generator.normal(0, ERROR, (2, seeds, 200))
                )
                one, other = ([as_scores(run) for run in system] for system in scores)
                first, second = rejections(one, other, trial)
                mixed, topics = mixed + first, topics + second
            lines.append(f"| {seeds} | {spread:g} | {mixed / count:.1%} | {topics / count:.1%} |")
    return "\n".join(lines)


def real(systems: Mapping[str, Sequence[Scores]], count: int) -> str:
    """Return the table of comparisons of disjoint samples of the seeds of each system."""
    lines = [
        "| system | seeds | seeds each | comparisons | mixed model | topics only |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, runs in systems.items():
        for size in (2, 3, 5):
            if 2 * size > len(runs):
                continue
            generator = np.random.default_rng(size)
            mixed = topics = 0
            for trial in range(count):
                drawn = generator.permutation(len(runs))[: 2 * size]
                first, second = rejections(
                    [runs[place] for place in drawn[:size]], [runs[place] for place in drawn[size:]], trial
                )
                mixed, topics = mixed + first, topics + second
            lines.append(
                f"| {name} | {len(runs)} | {size} | {count} | {mixed / count:.1%} | {topics / count:.1%} |"
            )
    return "\n".join(lines)


def rejections(one: Sequence[Scores], other: Sequence[Scores], trial: int) -> tuple[bool, bool]:
    """Return whether the model of topics and seeds and the test over topics alone reject at 5 %."""
    found = compare_systems(System("A", one), System("A again", other)).mean
    before, after = (
        {
            code: {query: float(np.mean([run[code][query] for run in runs])) for query in runs[0][code]}
            for code in runs[0]
        }
        for runs in (one, other)
    )
    over_topics = compare_languages(before, after, seed=trial, resamples=199).mean.p
    assert found.p is not None
    return found.p < LEVEL, over_topics < LEVEL


def as_scores(values: np.ndarray) -> Scores:
    """Return the scores of one run as those of one language."""
    return {"xx": dict(zip(map("xx:{}".format, range(len(values))), values.tolist(), strict=True))}


def read_results(results: Path) -> dict[str, list[Scores]]:
    """Return the scores of all seeds of each system that has at least four, by its name and collection."""
    from engine.cli.options import refreshed
    from engine.cli.score_groups import read_groups
    from engine.results.queries import query_scores_of
    from engine.results.systems import Systems

    stored = Systems.read(refreshed(results))
    found: dict[str, list[Scores]] = {}
    done: set[str] = set()
    for run in stored.runs:
        if stored.key(run) in done or not stored.trained(run):
            continue
        done.add(stored.key(run))
        system = stored.of(stored.siblings(run))
        groups = read_groups(results, system.runs)
        if len(groups) < 4:
            continue
        group = groups[next(iter(groups))][0]
        answer = query_scores_of(
            results,
            list(groups),
            scoring=group.key.scoring,
            measure=group.measures[0],
            collection=group.key.collection,
        )
        by_run: dict[str, dict[str, dict[str, float]]] = {}
        for row in answer.records():
            by_run.setdefault(row["run"], {}).setdefault(row["query_language"], {})[row["query_id"]] = row[
                "value"
            ]
        found[f"{stored.runs[run].name.rpartition('-')[0]}, {group.key.collection}"] = list(by_run.values())
    return found


def read_scores(file: Path) -> dict[str, list[Scores]]:
    """Return the scores in a Parquet file of `save_scores`."""
    found: dict[str, dict[int, dict[str, dict[str, float]]]] = {}
    table = pq.read_table(file)
    for system, seed, query, value in zip(*(column.to_pylist() for column in table.columns), strict=True):
        code = query.partition(":")[0]
        found.setdefault(system, {}).setdefault(seed, {}).setdefault(code, {})[query] = value
    return {system: list(runs.values()) for system, runs in found.items()}


def save_scores(systems: Mapping[str, Sequence[Scores]], file: Path) -> None:
    """Write scores as a table of system, seed, query and value."""

    def rows() -> Iterator[tuple[str, int, str, float]]:
        for system, runs in systems.items():
            for seed, run in enumerate(runs):
                for values in run.values():
                    for query, value in sorted(values.items()):
                        yield system, seed, query, value

    names = ("system", "seed", "query", "value")
    columns = zip(*rows(), strict=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(zip(names, map(list, columns), strict=True))), file, compression="zstd")


def train(seeds: int, results: Path) -> None:
    """Pre-train one small encoder and distil it with each seed; finished runs are not repeated."""
    from engine.cli.console import ConsoleReporter
    from engine.cli.options import refreshed
    from engine.config import parse_config
    from engine.paths import runs_folder
    from engine.results.queries import list_runs
    from engine.runs.execute import execute

    def source(code: str, start: int, stop: int, **more: object) -> dict[str, object]:
        return {
            "path": f"tico-19/all.en-{code}.tmx.zip",
            "language": code,
            "start": start,
            "stop": stop,
            **more,
        }

    codes = ("sw", "mr")
    english = {**source("sw", 971, 3071), "side": "target"}
    pretraining: dict[str, object] = {
        "kind": "pretrain",
        "name": "calibration-encoder",
        "text": [english, *(source(code, 971, 3071) for code in codes)],
        "model": {"layers": 2, "width": 128, "heads": 4},
        "tokenizer": {"vocabulary": 4000},
        "pretraining": {"steps": 100, "batch_size": 32, "length": 64, "learning_rate": 1e-3},
    }
    evaluated = [source(code, 0, 971) for code in codes]
    distillation: dict[str, object] = {
        "kind": "distil",
        "bitext": [source(code, 971, 1571) for code in codes],
        "loss": {"maxsim_contrast": 1.0},
        "training": {
            **{"steps": 60, "batch_size": 32, "learning_rate": 1e-3, "held_out": 40, "evaluate_every": 60},
            **{"trim_vocabulary": False, "alignment": "trust"},
        },
        "collections": [{"name": "bitext", "label": "tico-19", "bitext": evaluated}],
    }
    results.parent.mkdir(parents=True, exist_ok=True)

    def finished(name: str) -> str | None:
        if not runs_folder(results).is_dir():
            return None
        runs = list_runs(refreshed(results))
        return next((run["id"] for run in runs if run["name"] == name and run["state"] == "finished"), None)

    def run(settings: dict[str, object]) -> str:
        found = finished(str(settings["name"]))
        if found is None:
            with ConsoleReporter() as reporter:
                execute(parse_config(settings), runs_folder(results), sys.argv, reporter=reporter)
            found = finished(str(settings["name"]))
        assert found is not None
        return found

    checkpoint = runs_folder(results) / run(pretraining) / "checkpoints" / "encoder"
    small = {
        **{"checkpoint": str(checkpoint), "query_length": 64, "passage_length": 64},
        **{"query_prefix": "", "passage_prefix": ""},
    }
    for seed in range(seeds):
        run({**distillation, "name": f"small-{seed}", "seed": seed, "teacher": small, "student": small})


if __name__ == "__main__":
    main()
