"""Facts about a study, read from the database: text by language, curves, sizes and times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.results.queries import ask


def read_text_sizes(results: Path, run: str) -> dict[str, dict[str, float]]:
    """Return the number of sentences and tokens of each language's pre-training text."""
    rows = ask(results, "SELECT * FROM pretraining WHERE run = ? ORDER BY language", [run]).records()
    return {row["language"]: {name: row[name] for name in ("sentences", "tokens")} for row in rows}


def read_curves(
    results: Path, ids: Mapping[tuple[str, int, Any], str], arms: list[str], seeds: list[int]
) -> dict[str, dict[str, dict[int, float]]]:
    """Return the held-out loss of pre-training and the held-out retrieval of distillation, means over seeds.

    The keys are the stage, the arm and the step. Arms that are not pre-trained have no curve of that stage.
    """
    curves: dict[str, dict[str, dict[int, float]]] = {}
    for stage, metric in (("pretrain", "held_out_loss"), ("distil", "held_out_rr")):
        for arm in arms:
            if (arm, seeds[0], stage) not in ids:
                continue
            rows = ask(
                results,
                "SELECT step, avg(value) FROM steps WHERE metric = ? AND list_contains(?::VARCHAR[], run) "
                "GROUP BY step ORDER BY step",
                [metric, [ids[arm, seed, stage] for seed in seeds]],
            ).rows
            curves.setdefault(stage, {})[arm] = dict(rows)
    return curves


@dataclass(frozen=True)
class StudyFacts:
    """The size of a study's models and the length of its runs.

    Attributes
    ----------
    layers, width : int or None
        Shape of the pre-trained encoders; None if no arm is pre-trained, or a checkpoint is continued.
    steps : dict of stage to int
        Training steps of each stage.
    block : int
        Tokens of a step of pre-training, the same in every arm; 0 if no arm is pre-trained.
    pretraining : dict
        The summary of the first pre-training: number of parameters and others.
    runs : int
        Number of runs.
    hours : float
        Their time in all.
    """

    layers: int | None
    width: int | None
    steps: dict[str, int]
    block: int
    pretraining: dict[str, Any]
    runs: int
    hours: float


def read_facts(
    results: Path,
    config: Mapping[str, Any],
    ids: Mapping[tuple[str, int, Any], str],
    seeds: list[int],
) -> StudyFacts:
    """Return the facts of a study with the configuration `config`.

    `ids` are the ids of its runs by arm, seed and stage; only `seeds` count.
    """
    runs = [run for (_, seed, _), run in ids.items() if seed in seeds]
    first = next(
        (run for (_, seed, stage), run in ids.items() if (seed, stage) == (seeds[0], "pretrain")), None
    )
    rows = ask(results, "SELECT summary FROM runs WHERE id = ?", [first]).rows if first else []
    seconds = ask(
        results,
        "SELECT sum(epoch(ended - started)) FROM runs WHERE list_contains(?::VARCHAR[], id)",
        [runs],
    ).rows[0][0]
    settings = config["pretrain"]
    new = settings is not None and settings["model"].get("checkpoint") is None
    loop = settings["pretraining"] if settings is not None else {}
    return StudyFacts(
        layers=settings["model"]["layers"] if new else None,
        width=settings["model"]["width"] if new else None,
        steps={stage: config[stage][loop]["steps"] for stage, loop in _LOOPS.items() if config[stage]},
        block=loop["batch_size"] * loop["length"] if loop else 0,
        pretraining=json.loads(rows[0][0] or "{}") if rows else {},
        runs=len(runs),
        hours=(seconds or 0.0) / 3600,
    )


_LOOPS = {"pretrain": "pretraining", "transfer": "training", "distil": "training"}
"""The settings of the training loop in each stage's configuration."""
