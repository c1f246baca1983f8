"""The training loop of all kinds of training.

A `Task` says which batches come, what the loss of a batch is and how the model is measured. The `Trainer`
runs the steps, measures the model between them, keeps its best weights, and saves the state that a resumed
run continues from (see `engine.training.state`).
"""

from __future__ import annotations

import copy
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from engine.errors import DivergedError
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder
from engine.training import processes
from engine.training.averaging import averaged
from engine.training.interrupts import held_back
from engine.training.optimiser import set_rate
from engine.training.runtime import Runtime
from engine.training.schedule import learning_rate_factor
from engine.training.state import STATE_FILE, Progress, dropped_on_divergence, load_state, save_state

#: Training diverged if held-out retrieval falls below this share of its first value ...
COLLAPSED_SHARE = 0.25
#: ... unless the first value was below this: a student that starts in another space is near chance.
LEAST_FIRST = 0.1

Item = TypeVar("Item")


class TrainerSettings(Protocol):
    """The settings of the loop that every kind of training has."""

    @property
    def steps(self) -> int:
        """Optimiser steps."""

    @property
    def batch_size(self) -> int:
        """Examples a step."""

    @property
    def learning_rate(self) -> float:
        """Peak learning rate."""

    @property
    def warmup(self) -> float:
        """Share of the steps over which the learning rate rises."""

    @property
    def decay(self) -> str:
        """How the learning rate falls."""

    @property
    def clip(self) -> float:
        """Largest norm of the gradient."""

    @property
    def evaluate_every(self) -> int:
        """Steps between two measurements."""


def describe_retrieval(figures: Mapping[str, float]) -> str:
    """Return a sentence about figures of held-out retrieval."""
    return f"held-out MRR {figures['held_out_rr']:.4f}"


@dataclass(frozen=True)
class TaskInfo:
    """How a task is named, logged and judged.

    Attributes
    ----------
    name : str
        Name of the stage that the reporter shows.
    section : str
        The settings that hold the loop, for messages.
    speed : str
        Name of the figure of speed.
    units : int, optional
        Units a step that the speed counts; None takes the batch size.
    log_every : int
        Steps between two records of the loss.
    best_by : str, optional
        The measured figure whose largest value decides which weights are kept; None keeps the last weights.
    patience : int, optional
        Stop after this many measurements without a gain; None runs all steps.
    averaging : float
        Share of the weights before training in the final ones (WiSE-FT).
    ema : float
        Decay of a moving average of the weights, which is measured and kept instead of the weights; 0 has
        none.
    describe : callable
        Returns a sentence about the measured figures.
    summarised : tuple of str
        Measured figures that are kept in the run's summary.
    speed_summary : callable, optional
        Takes the speed and returns what is kept of it in the run's summary; None keeps the speed.
    """

    name: str = "training"
    section: str = "training"
    speed: str = "pairs_per_second"
    units: int | None = None
    log_every: int = 1
    best_by: str | None = "held_out_rr"
    patience: int | None = None
    averaging: float = 0.0
    ema: float = 0.0
    describe: Callable[[Mapping[str, float]], str] = describe_retrieval
    summarised: tuple[str, ...] = ()
    speed_summary: Callable[[float], dict[str, float]] | None = None


class Task(Protocol[Item]):
    """What a trainer trains.

    `learner` is the module whose weights with a gradient are trained by `optimiser` (its groups have a
    ``rate``, see `engine.training.optimiser`); `hashes` identify the data, so that a state of other data is
    refused.
    """

    @property
    def info(self) -> TaskInfo:
        """How it is named, logged and judged."""

    @property
    def learner(self) -> torch.nn.Module:
        """The module that is trained."""

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """The optimiser of the learner's weights."""

    @property
    def hashes(self) -> Sequence[str]:
        """Hashes of the data."""

    def batches(self) -> Iterator[Item]:
        """Return at least as many batches as there are steps, the same ones in a run that is resumed.

        It is called before a saved state is loaded, which replaces the states of the random generators.
        """

    def loss(self, step: int, batch: Item, generator: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch, and figures to log; `generator` draws what is random in it."""

    def measure(self) -> dict[str, float] | None:
        """Measure the learner on held-out data; None if there is none."""


class Trainer:
    """Trains a task.

    Parameters
    ----------
    settings : TrainerSettings
        The settings of the loop.
    runtime : Runtime
        Where it computes. Only the main process writes to the run folder.
    run : RunFolder
        Where metrics and the state go.
    reporter : Reporter
        Receives progress and figures.

    Attributes
    ----------
    progress : Progress
        How far the training is.
    """

    def __init__(
        self, settings: TrainerSettings, runtime: Runtime, run: RunFolder, reporter: Reporter = SILENT
    ) -> None:
        self.settings, self.runtime, self.run, self.reporter = settings, runtime, run, reporter
        self.generator = np.random.default_rng(runtime.seed)
        self.progress = Progress()

    @property
    def state_file(self) -> Path:
        """Where the state is saved that a stopped run resumes from."""
        return self.run.path / "checkpoints" / STATE_FILE

    def fit(self, task: Task[Item]) -> Progress:
        """Run all steps, or those that are left if the run folder holds a saved state.

        Afterwards, and also if it is interrupted, the learner has its best weights so far, averaged with its
        first ones if the task says so.

        Raises
        ------
        DivergedError
            If the loss is not a number, or held-out retrieval collapses.
        InputError
            If the saved state belongs to another configuration or other data.
        KeyboardInterrupt
            If it is told to stop; the state after the current step is saved first.
        """
        weights = _Weights.of(task)
        try:
            self._run(task, weights)
        except KeyboardInterrupt:
            self._finish(task, weights)
            raise
        self._finish(task, weights)
        return self.progress

    def _run(self, task: Task[Item], weights: _Weights) -> None:
        settings, info = self.settings, task.info
        batches = task.batches()
        if self.state_file.is_file():
            self.progress = load_state(self.state_file, *self._state(task, weights))
            # Now, because a task counts what it draws and there may be no step left.
            deque(islice(batches, self.progress.step), maxlen=0)
            self.reporter.say(f"going on after step {self.progress.step}, where the last state was saved")
        progress = self.progress
        started = time.monotonic() - progress.elapsed
        if not progress.step:
            progress.first = progress.best_value = self._measure(task, weights, 0, started)
        self.reporter.stage(info.name, settings.steps)
        if progress.step:
            self.reporter.advance(progress.step)
        units = settings.batch_size if info.units is None else info.units
        with dropped_on_divergence(self.state_file), held_back() as told_to_stop:
            for step in range(progress.step + 1, settings.steps + 1):
                if self._out_of_patience(task):
                    break
                begun = time.monotonic()
                figures = self.train_step(task, step, next(batches))
                weights.move(info.ema)
                now = time.monotonic()
                progress.step, progress.elapsed = step, now - started
                progress.trained += now - begun
                speed = figures[info.speed] = units * step / progress.trained
                if step % info.log_every == 0:
                    self._log(step, figures, progress.elapsed)
                    self.reporter.figures(self._shown(info, figures))
                self.reporter.advance()
                measured = step % settings.evaluate_every == 0 or step == settings.steps
                if measured:
                    value = self._measure(task, weights, step, started)
                    summarise = info.speed_summary
                    self._summarise({info.speed: speed} if summarise is None else summarise(speed))
                    if info.best_by is not None:
                        self._compare(info.best_by, weights, value)
                    progress.elapsed = time.monotonic() - started
                told = processes.any_of(told_to_stop())
                if measured or told:
                    self._save(task, weights)
                if told:
                    raise KeyboardInterrupt
        if self._out_of_patience(task):
            self.reporter.say(
                f"no gain in {progress.since} held-out retrievals; stopped at step {progress.step}"
            )

    def train_step(self, task: Task[Item], step: int, batch: Item) -> dict[str, float]:
        """Train on a batch and return the figures of the step."""
        settings = self.settings
        processes.seed_step(self.runtime.seed, step)
        loss, figures = task.loss(step, batch, self.generator)
        factor = learning_rate_factor(step - 1, settings.steps, settings.warmup, settings.decay)
        set_rate(task.optimiser, settings.learning_rate * factor)
        task.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        value = processes.average(task.learner.parameters(), loss)
        norm = float(torch.nn.utils.clip_grad_norm_(task.learner.parameters(), settings.clip))
        if not (math.isfinite(norm) and math.isfinite(value)):
            raise DivergedError(
                f"the loss or its gradient is not a number at step {step}; lower "
                f"{task.info.section}.learning_rate"
            )
        task.optimiser.step()
        return {
            "loss": value,
            "gradient_norm": norm,
            "learning_rate": settings.learning_rate * factor,
            **figures,
        }

    def _out_of_patience(self, task: Task[Item]) -> bool:
        return task.info.patience is not None and self.progress.since >= task.info.patience

    def _measure(self, task: Task[Item], weights: _Weights, step: int, started: float) -> float:
        """Measure, log and report; return the figure that decides, NaN if there is none."""
        info = task.info
        with (
            averaged(weights.live, weights.moving, 1.0),
            averaged(weights.live, weights.first, info.averaging),
        ):
            figures = processes.from_first(task.measure() if self.runtime.is_main else None)
        if figures is None:
            return math.nan
        self._log(step, figures, time.monotonic() - started)
        self.reporter.say(f"step {step}: {info.describe(figures)}")
        if info.summarised:
            self._summarise({name: figures[name] for name in info.summarised if name in figures})
        return math.nan if info.best_by is None else figures[info.best_by]

    def _compare(self, best_by: str, weights: _Weights, value: float) -> None:
        """Keep the weights if `value` is the best so far, or if nothing is held out; stop if it collapsed."""
        progress = self.progress
        if progress.first >= LEAST_FIRST and value < COLLAPSED_SHARE * progress.first:
            raise DivergedError(
                f"held-out retrieval fell from {progress.first:.3f} to {value:.3f} by step {progress.step}; "
                "lower training.learning_rate or raise the weight of a contrastive loss"
            )
        progress.since += 1
        if value > progress.best_value or math.isnan(value):
            progress.best_step, progress.best_value, progress.since = progress.step, value, 0
            weights.keep()
            self._note_best(best_by)

    def _finish(self, task: Task[Item], weights: _Weights) -> None:
        if task.info.best_by is not None:
            weights.restore_kept(task.info.averaging)
            self._note_best(task.info.best_by)

    def _note_best(self, best_by: str) -> None:
        step, best = self.progress.best_step, self.progress.best_value
        self._summarise({"best_step": step, best_by: None if math.isnan(best) else best})

    # -- what is written, by the main process only ------------------------------------------------------

    def _shown(self, info: TaskInfo, figures: dict[str, float]) -> dict[str, float]:
        return figures if info.best_by is None else {**figures, info.best_by: self.progress.best_value}

    def _log(self, step: int, figures: dict[str, float], elapsed: float) -> None:
        if self.runtime.is_main:
            self.run.log(step, figures, elapsed)

    def _summarise(self, summary: Mapping[str, Any]) -> None:
        if self.runtime.is_main:
            self.run.update(summary=dict(summary))

    def _save(self, task: Task[Item], weights: _Weights) -> None:
        if task.info.best_by is None:
            self.progress.best_step = self.progress.step  # the last weights are the ones that are kept
        if self.runtime.is_main:
            save_state(self.state_file, self.progress, *self._state(task, weights))

    def _state(self, task: Task[Item], weights: _Weights) -> tuple[Any, ...]:
        """Return the parts of the state after the progress, in the order of `save_state` and `load_state`."""
        return task.hashes, weights.trained, weights.kept, task.optimiser, self.generator, weights.moving


@dataclass
class _Weights:
    """The weights of a learner that are trained, by name.

    Attributes
    ----------
    trained : dict of Parameter
        The parameters themselves.
    live : dict of Tensor
        Their values; they share memory with the parameters.
    kept : dict of Tensor
        The best values so far; `live` itself if the last ones are kept.
    first : dict of Tensor, optional
        The values before training, if they are needed for averaging.
    moving : dict of Tensor, optional
        The moving average of the values, if there is one.
    """

    trained: dict[str, Parameter]
    live: dict[str, Tensor]
    kept: dict[str, Tensor]
    first: dict[str, Tensor] | None
    moving: dict[str, Tensor] | None

    @classmethod
    def of(cls, task: Task[Any]) -> _Weights:
        """Return the weights of a task before its first step."""
        trained = {name: p for name, p in task.learner.named_parameters() if p.requires_grad}
        live = {name: p.detach() for name, p in trained.items()}
        kept = live if task.info.best_by is None else copy.deepcopy(live)
        first = copy.deepcopy(live) if task.info.averaging else None
        return cls(trained, live, kept, first, copy.deepcopy(live) if task.info.ema else None)

    def move(self, ema: float) -> None:
        """Move the average, if there is one, towards the current values: ema average + (1 - ema) current."""
        if self.moving is not None:
            torch._foreach_lerp_(list(self.moving.values()), list(self.live.values()), 1 - ema)

    def keep(self) -> None:
        """Make the current values, or their moving average, the best ones."""
        self.kept = copy.deepcopy(self.live if self.moving is None else self.moving)

    def restore_kept(self, averaging: float) -> None:
        """Give the learner the kept values, moved by the share `averaging` towards the first ones."""
        for name, value in self.kept.items():
            self.live[name].copy_(value)
        if self.first is not None:
            for name, value in self.live.items():
                value.lerp_(self.first[name], averaging)
