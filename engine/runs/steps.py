"""The steps that kinds of run share: train and save, evaluate encoders."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TypeVar

import numpy as np

from engine.config import RunConfig
from engine.encoders.encoder import Encoder
from engine.evaluation.language_removal import Removal
from engine.evaluation.runner import evaluate
from engine.evaluation.scores import Scores
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.training.distillation.batches import WINDOW
from engine.training.memory import check_memory
from engine.training.runtime import Runtime
from engine.training.trainer import Task, Trainer

Item = TypeVar("Item")
Batch = TypeVar("Batch")

#: Examples by which the memory of a batch is estimated.
PART = 2


def train_and_save(
    trainer: Trainer, task: Task[list[Item]], save: Callable[[], None], size: Callable[[Item], int]
) -> None:
    """Train `task` and save it; a training that is interrupted is saved as far as it is.

    Parameters
    ----------
    trainer : Trainer
    task : Task
        Its batches are lists of examples.
    save : callable
        Saves what was trained.
    size : callable
        Returns the length of an example's text.

    Raises
    ------
    InputError
        If a step does not fit into memory.
    DivergedError, InputError, KeyboardInterrupt
        As `Trainer.fit`.
    """
    # Batches of similar length are drawn together, so the longest of the first ones is among the longest.
    batch = max(islice(task.batches(), WINDOW), key=lambda batch: sum(map(size, batch)))
    longest = sorted(batch, key=size)[-PART:]
    info = task.info
    check_memory(
        task.learner,
        lambda: task.loss(0, longest, np.random.default_rng(0))[0],
        len(longest) / len(batch),
        setting=f"{info.section}.batch_size",
        batch_size=len(batch),
        copies=(info.best_by is not None) + bool(info.averaging) + bool(info.ema),
    )
    fit_and_save(trainer, task, save)


def fit_and_save(trainer: Trainer, task: Task[Batch], save: Callable[[], None]) -> None:
    """Train `task` and save it, without checking the memory.

    Raises
    ------
    DivergedError, InputError, KeyboardInterrupt
        As `Trainer.fit`.
    """
    try:
        trainer.fit(task)
    except KeyboardInterrupt:
        if trainer.runtime.is_main:
            save()
        raise
    if trainer.runtime.is_main:
        save()


def evaluate_run_encoders(
    config: RunConfig,
    queries: Encoder,
    documents: Encoder,
    runtime: Runtime,
    run: RunFolder,
    reporter: Reporter,
    isolation: Removal | None = None,
) -> list[Scores]:
    """Search the run's collections with its encoders, and store and return the scores.

    `isolation` removes what vectors have from their language.

    Raises
    ------
    InputError
        As `engine.evaluation.runner.evaluate`.
    """
    return evaluate(
        config.collections,
        config.evaluation,
        queries=queries,
        documents=documents,
        precision=runtime.precision,
        run=run,
        seed=config.seed,
        reporter=reporter,
        isolation=isolation,
    )
