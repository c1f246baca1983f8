"""What reading run folders into the database costs: the first time, for new runs only, and for none.

    python benchmarks/reading.py small [--runs 200] [--before 0] [--folder FOLDER]
    python benchmarks/reading.py large [--runs 100]

A small run has 60 query scores, 30 mean scores, 40 steps and 8 plans; a large one 50,000 query scores. The
times, the size of the database and the most memory used are printed. `--before` runs of the same kind are
read before the new ones.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.config import BitextConfig, DistilConfig
from engine.results.ingest import ingest
from engine.results.run_folder import RunFolder

LANGUAGES = ("so", "sw", "tl", "mr", "de", "fr")
FIGURE = {
    "collection": "tico",
    "revision": "1",
    "protocol": "bitext",
    "scoring": "maxsim",
    "direction": "xx-en",
}


def make(runs: Path, number: int, queries: int) -> None:
    """Write one run folder with `queries` scores of single queries in each of six languages."""
    draw = np.random.default_rng(number)
    bitext = BitextConfig(path="so-en.tsv", language="so")
    run = RunFolder.create(runs, DistilConfig(name=f"run {number}", bitext=[bitext]), ["benchmark"])
    for step in range(20):
        run.log(step, {"loss": float(draw.random()), "held_out_rr": float(draw.random())}, float(step))
    languages = np.repeat(LANGUAGES, queries)
    total = len(languages)
    columns: dict[str, Any] = {name: [value] * total for name, value in FIGURE.items()}
    columns |= {
        "query_language": languages,
        "document_language": ["en"] * total,
        "query_id": [f"q{place % queries}" for place in range(total)],
        "measure": ["RR"] * total,
        "value": draw.random(total),
    }
    run.write_table("query_scores", pa.table(columns))
    run.write_table(
        "scores",
        [
            {**FIGURE, "query_language": code, "document_language": "en", "measure": measure}
            | {"value": float(draw.random()), "low": 0.1, "high": 0.9, "queries": queries}
            for code in LANGUAGES
            for measure in ("RR", "Success@1", "Success@5", "Success@10", "nDCG@10")
        ],
    )
    run.write_table("plans", [_plan(pair, draw) for pair in range(8)])
    run.finish("finished")


def _plan(pair: int, draw: np.random.Generator) -> dict[str, Any]:
    tokens = [f"token{place}" for place in range(24)]
    matrix = draw.random((24, 24)).astype(np.float32)
    return {
        **{"pair": f"p{pair}", "source_language": "so", "source_text": "one", "target_text": "two"},
        **{"source_tokens": tokens, "target_tokens": tokens, "plan": matrix, "cost": matrix},
        **{
            "solver": "sinkhorn",
            "epsilon": 0.05,
            "iterations": 50,
            "marginal_error": 1e-7,
            "converged": True,
        },
        **{"value": 2.5, "entropy": 0.7},
    }


def _timed(what: str, results: Path, runs: Path) -> None:
    start, busy = time.perf_counter(), time.process_time()
    report = ingest(results, runs)
    spent, cpu = time.perf_counter() - start, time.process_time() - busy
    size = results.stat().st_size / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"{what}: {spent:.2f} s ({cpu:.2f} s of CPU), {len(report.added)} runs added; "
        f"database {size:.0f} MiB, at most {peak:.0f} MiB of memory",
        flush=True,
    )


def main() -> None:
    """Make the run folders and time the reading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kind", choices=["small", "large"])
    parser.add_argument("--runs", type=int)
    parser.add_argument("--before", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    queries = 10 if arguments.kind == "small" else 50_000 // len(LANGUAGES)
    count = arguments.runs or (200 if arguments.kind == "small" else 100)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        results, runs = folder / "results.duckdb", folder / "runs"
        for number in range(arguments.before):
            make(runs, number, queries)
        if arguments.before:
            _timed(f"the {arguments.before} runs before", results, runs)
        for number in range(count):
            make(runs, arguments.before + number, queries)
        _timed(f"{count} new runs", results, runs)
        _timed("nothing new", results, runs)
        make(runs, arguments.before + count, queries)
        _timed("one new run", results, runs)


if __name__ == "__main__":
    main()
