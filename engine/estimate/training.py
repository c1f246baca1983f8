"""The cost of a step of training, and what training keeps in memory and on disk."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from engine.config import RunHeader
from engine.estimate.sheet import Cost, Sheet
from engine.results.run_folder import RunFolder
from engine.training.runtime import Runtime
from engine.training.trainer import Task, Trainer, TrainerSettings

Item = TypeVar("Item")

#: Steps that are timed.
TIMED = 4
#: Copies of the trained weights in a saved state: the weights, the best ones, and AdamW's two moments.
OF_STATE = 4
#: Above this share of all weights, a student is saved whole (`engine.encoders.saving`).
WHOLE = 0.7


def add_steps(
    sheet: Sheet,
    config: RunHeader,
    settings: TrainerSettings,
    runtime: Runtime,
    task: Task[Item],
    batches: Sequence[Item],
    *,
    units: int,
    unit: str,
    size: Callable[[Item], int] | None = None,
) -> None:
    """Add the steps of a training, measured on a few of `batches`, and what it needs.

    Parameters
    ----------
    sheet : Sheet
    config : RunHeader
    settings : TrainerSettings
    runtime : Runtime
    task : Task
        The task, which may have fewer data than the run's.
    batches : sequence
        Batches as they are drawn.
    units, unit : int, str
        What is in a batch.
    size : callable, optional
        Returns a number by which batches are compared. Those that are timed are evenly spaced in this order;
        the largest is trained on first, without timing.
    """
    order = list(batches) if size is None else sorted(batches, key=size)
    count = min(TIMED, len(order))
    timed = [order[(2 * place + 1) * len(order) // (2 * count)] for place in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder), config, ["config", "estimate"])
        trainer = Trainer(settings, runtime, run)
        total = Cost()
        for number, batch in enumerate([order[-1], *timed], 1):
            step = partial(trainer.train_step, task, min(number, settings.steps), batch)
            cost, _ = sheet.meter.of(step)
            total += cost if number > 1 else Cost()
    sheet.train(settings.steps, units, unit, total * (1 / count))
    weights = trained_bytes(task.learner)
    copies = (task.info.best_by is not None) + bool(task.info.averaging) + bool(task.info.ema)
    sheet.need(weights * copies)
    sheet.disk["state of training"] = max(
        sheet.disk["state of training"], weights * (OF_STATE + bool(task.info.ema))
    )


def saved_bytes(trained: int, whole: int) -> int:
    """Return the size of a trained encoder on disk.

    Parameters
    ----------
    trained : int
        Bytes of what is trained, with the word pieces that are trained (`trained_bytes`).
    whole : int
        Bytes of all its weights, with all word pieces; they are saved if little is left out.
    """
    return trained if trained <= WHOLE * whole else whole


def trained_bytes(learner: torch.nn.Module) -> int:
    """Return the bytes of the weights that are trained."""
    return sum(value.nbytes for value in learner.parameters() if value.requires_grad)


def bytes_of(module: torch.nn.Module) -> int:
    """Return the bytes of a module's weights."""
    return sum(value.nbytes for value in module.parameters())


def measurements(settings: TrainerSettings) -> int:
    """Return how often held-out data is measured: before the first step, at intervals, and at the end."""
    return 1 + math.ceil(settings.steps / settings.evaluate_every)


def distinct_drawn(draws: float, pairs: int, distinct: int) -> float:
    """Return the expected number of distinct targets among drawn pairs.

    Parameters
    ----------
    draws : float
        Pairs that are drawn, each once before any again.
    pairs, distinct : int
        Number of pairs, and of their distinct targets, which occur equally often.
    """
    if draws >= pairs:
        return float(distinct)
    return distinct * (1 - math.pow(1 - draws / pairs, pairs / distinct))
