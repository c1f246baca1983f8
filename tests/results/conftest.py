"""Run folders to read, made through the spool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.config import BitextConfig, DistilConfig
from engine.results.run_folder import RunFolder

LANGUAGES = ("so", "sw", "mr")


def score_row(**changes: Any) -> dict[str, Any]:
    row = {
        "collection": "tico",
        "revision": "1",
        "protocol": "bitext",
        "scoring": "maxsim",
        "direction": "xx-en",
        "query_language": "so",
        "document_language": "en",
        "measure": "RR",
        "value": 0.5,
        "low": None,
        "high": 0.6,
        "queries": 4,
    }
    return {**row, **changes}


def plan(**changes: Any) -> dict[str, Any]:
    row = {
        "pair": "p1",
        "source_language": "so",
        "source_text": "biyo nadiif ah",
        "target_text": "clean water",
        "source_tokens": ["biyo", "nadiif", "ah"],
        "target_tokens": ["clean", "water"],
        "plan": np.full((3, 2), 1 / 6, dtype=np.float32),
        "cost": np.arange(6, dtype=np.float64).reshape(3, 2),
        "solver": "sinkhorn",
        "epsilon": 0.05,
        "iterations": np.int64(50),
        "marginal_error": 1e-7,
        "converged": True,
        "value": 2.5,
        "entropy": float(np.log(2)),
    }
    return {**row, **changes}


MakeRun = Callable[..., RunFolder]


@pytest.fixture
def score() -> Callable[..., dict[str, Any]]:
    """A function that makes a row of table scores."""
    return score_row


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results.duckdb"


@pytest.fixture
def make_run(runs: Path) -> MakeRun:
    """A function that makes a run with rows in every table."""

    def make(name: str = "first", *, full: bool = True, value: float = 0.5, **settings: Any) -> RunFolder:
        config = DistilConfig(name=name, bitext=[BitextConfig(path="x.tsv", language="so")], **settings)
        run = RunFolder.create(runs, config, ["optical-workbench", "run", "x.toml"])
        if not full:
            return run
        for step in range(3):
            run.log(step, {"loss": 1 / (step + 1), "held_out/so/RR": 0.1 * step}, elapsed=step * 0.5)
        run.write_table(
            "scores",
            [score_row(query_language=code, value=value + 0.1 * i) for i, code in enumerate(LANGUAGES)],
        )
        common = {
            "collection": "tico",
            "revision": "1",
            "protocol": "bitext",
            "scoring": "maxsim",
            "direction": "xx-en",
            "query_language": "so",
        }
        run.write_table(
            "query_scores",
            [
                {
                    **common,
                    "document_language": "en",
                    "query_id": f"q{i}",
                    "measure": "RR",
                    "value": 1 / i,
                }
                for i in (1, 2)
            ],
        )
        run.write_table(
            "rankings",
            [
                {**common, "query_id": "q1", "rank": r, "document_id": f"d{r}", "score": -r, "grade": g}
                for r, g in ((1, 1), (2, None))
            ],
        )
        told = {"collection": "tico", "revision": "1"}
        run.write_table(
            "texts",
            [
                {**told, "role": "query", "id": "q1", "language": "so", "text": "biyo nadiif ah"},
                {**told, "role": "document", "id": "d1", "language": "en", "text": "clean water"},
            ],
        )
        run.write_table("plans", [plan()])
        run.write_table("plans", [plan(pair="p2")], append=True)
        run.write_table(
            "bitext",
            [
                {
                    "name": "x.tsv",
                    "source_language": "so",
                    "target_language": "en",
                    "pairs": 2100,
                    "dropped": '{"empty": 3}',
                    "hash": "abc",
                }
            ],
        )
        run.finish("finished")
        return run

    return make
