"""The steps that kinds of run share: train and save, evaluate encoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from engine.config import RunConfig
from engine.encoders.encoder import Encoder
from engine.evaluation.runner import evaluate
from engine.evaluation.scores import Scores
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.training.runtime import Runtime
from engine.training.trainer import Task, Trainer

Item = TypeVar("Item")


def train_and_save(trainer: Trainer, task: Task[Item], save: Callable[[], None]) -> None:
    """Train `task` and save it; a training that is interrupted is saved as far as it is.

    Raises
    ------
    DivergedError, InputError, KeyboardInterrupt
        As `Trainer.fit`.
    """
    try:
        trainer.fit(task)
    except KeyboardInterrupt:
        save()
        raise
    save()


def evaluate_run_encoders(
    config: RunConfig,
    queries: Encoder,
    documents: Encoder,
    runtime: Runtime,
    run: RunFolder,
    reporter: Reporter,
) -> list[Scores]:
    """Search the run's collections with its encoders, and store and return the scores.

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
    )
