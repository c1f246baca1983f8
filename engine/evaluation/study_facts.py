"""A study's circumstances, read from the database: text by language, curves, sizes and times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.config.study import STAGES
from engine.results.queries import ask


def sizes_of(results: Path, run: str) -> dict[str, dict[str, float]]:
    """Return how much text each language had."""
    rows = ask(results, "SELECT * FROM pretraining WHERE run = ? ORDER BY language", [run]).records()
    return {row["language"]: {name: row[name] for name in ("sentences", "tokens")} for row in rows}


def curves_of(
    results: Path, ids: Mapping[tuple[str, int, Any], str], arms: list[str], seeds: list[int]
) -> dict[str, dict[str, dict[int, float]]]:
    """Return the pre-training's loss on held-out text and distillation's held-out retrieval."""
    curves: dict[str, dict[str, dict[int, float]]] = {}
    for stage, metric in (("pretrain", "held_out_loss"), ("distil", "held_out_rr")):
        for arm in arms:
            rows = ask(
                results,
                "SELECT step, avg(value) FROM steps WHERE metric = ? AND list_contains(?::VARCHAR[], run) "
                "GROUP BY step ORDER BY step",
                [metric, [ids[arm, seed, stage] for seed in seeds]],
            ).rows
            curves.setdefault(stage, {})[arm] = dict(rows)
    return curves


def facts_of(
    results: Path,
    config: Mapping[str, Any],
    ids: Mapping[tuple[str, int, Any], str],
    arms: list[str],
    seeds: list[int],
) -> dict[str, Any]:
    """Return how large the models and how long the runs were."""
    first = ids[arms[0], seeds[0], "pretrain"]
    (row,) = ask(results, "SELECT summary FROM runs WHERE id = ?", [first]).rows
    mine = [ids[arm, seed, stage] for arm in arms for seed in seeds for stage in STAGES]
    taken = ask(
        results,
        "SELECT sum(epoch(ended - started)) FROM runs WHERE list_contains(?::VARCHAR[], id)",
        [mine],
    ).rows[0][0]
    return {
        "layers": config["pretrain"]["model"]["layers"],
        "width": config["pretrain"]["model"]["width"],
        "steps": {stage: config[stage][loop]["steps"] for stage, loop in _LOOPS.items()},
        "pretraining": json.loads(row[0] or "{}"),
        "runs": len(mine),
        "hours": (taken or 0.0) / 3600,
    }


_LOOPS = {"pretrain": "pretraining", "transfer": "training", "distil": "training"}
