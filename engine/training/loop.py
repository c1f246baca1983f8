"""The loop that every training run shares: best weights by held-out retrieval, stops, state for a resume.

A run subclasses `TrainingLoop`: it says which batches come, what a step does with one, and how the model is
judged. What it saves depends on its configuration and its data alone (see `engine.training.state`).
"""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from engine.config.optimisation import LoopConfig
from engine.errors import DivergedError
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.training.averaging import averaged
from engine.training.interrupts import held_back
from engine.training.optimiser import set_rate
from engine.training.precision import autocast_dtype
from engine.training.schedule import learning_rate_factor
from engine.training.state import STATE_FILE, Progress, dropped_on_divergence, load_state, save_state

#: Held-out retrieval below this share of where it began counts as divergence ...
COLLAPSED = 0.25
#: ... if it began at least here: a student that comes from another space begins near chance.
STANDING = 0.1

Item = TypeVar("Item")


class TrainingLoop(ABC, Generic[Item]):
    """A model that learns step by step, in a run folder.

    A subclass prepares its data and models, then calls `begin` with the model that learns.

    Parameters
    ----------
    training : LoopConfig
        The settings of the loop.
    seed : int
        The run's seed.
    run : RunFolder
        Where metrics and the state go.
    reporter : Reporter
        Who watches.
    """

    def __init__(self, training: LoopConfig, seed: int, run: RunFolder, reporter: Reporter) -> None:
        self.training, self.run, self.reporter = training, run, reporter
        torch.manual_seed(seed)
        if training.threads:
            torch.set_num_threads(training.threads)
        torch.set_flush_denormal(True)  # denormals slow CPU kernels many times over
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = autocast_dtype(training.precision, self.device)
        self.generator = np.random.default_rng(seed)

    def begin(
        self, learner: torch.nn.Module, optimiser: torch.optim.Optimizer, hashes: list[str], averaging: float
    ) -> None:
        """Take the model that learns, as it stands before the first step.

        Parameters
        ----------
        learner : Module
            Its weights that require a gradient learn.
        optimiser : Optimizer
            Its groups have a ``rate``, see `engine.training.optimiser`.
        hashes : list of str
            Hashes of the data; a state of other data is refused.
        averaging : float
            Share of the weights it began with in the final ones.
        """
        self.learner, self.optimiser, self.hashes, self.averaging = learner, optimiser, hashes, averaging
        # the first weights, for averaging at the end
        self.origin = copy.deepcopy(self._weights()) if averaging else None
        self.progress = Progress()
        self.kept = copy.deepcopy(self._weights())

    # -- what a run says of itself ----------------------------------------------------------------

    #: The figure that `_measure` is judged by.
    judged_by = "held_out_rr"

    @abstractmethod
    def _batches(self) -> Iterator[Item]:
        """Yield batches without end, the same in every process that begins anew."""

    @abstractmethod
    def _step(self, step: int, batch: Item) -> dict[str, float]:
        """Learn from a batch, and return figures worth logging."""

    @abstractmethod
    def _measure(self) -> dict[str, float] | None:
        """Measure the model on what was held out, None where nothing was."""

    def _said(self, figures: dict[str, float]) -> str:
        """Return a sentence on figures of `_measure`."""
        return f"held-out MRR {figures[self.judged_by]:.4f}"

    # -- the loop ---------------------------------------------------------------------------------

    def run_loop(self) -> None:
        """Run all steps, or those that are left where the run folder holds a saved state.

        Raises
        ------
        DivergedError
            If the loss stops being a number, or held-out retrieval collapses.
        InputError
            If the saved state does not belong to this run as it is configured now.
        KeyboardInterrupt
            If it is told to stop; the state after the step under way is saved first.
        """
        config, batches = self.training, self._batches()
        if self.state_file.is_file():
            self.progress = load_state(self.state_file, *self._state())
            batches = islice(batches, self.progress.step, None)
            self.reporter.say(f"going on after step {self.progress.step}, where the last state was saved")
        progress = self.progress
        started = time.monotonic() - progress.elapsed
        if not progress.step:
            progress.first = progress.best_value = self._judge(0, started)
        self.reporter.stage("training", config.steps)
        if progress.step:
            self.reporter.advance(progress.step)
        with dropped_on_divergence(self.state_file), held_back() as told_to_stop:
            for step in range(progress.step + 1, config.steps + 1):
                if self._out_of_patience():
                    break
                begun = time.monotonic()
                figures = self._step(step, next(batches))
                now = time.monotonic()
                progress.step, progress.elapsed = step, now - started
                progress.trained += now - begun
                figures["pairs_per_second"] = config.batch_size * step / progress.trained
                self.run.log(step, figures, progress.elapsed)
                self.reporter.advance()
                self.reporter.figures({**figures, self.judged_by: progress.best_value})
                judged = step % config.evaluate_every == 0 or step == config.steps
                if judged:
                    self.run.update(summary={"pairs_per_second": figures["pairs_per_second"]})
                    self._compare(self._judge(step, started))
                    progress.elapsed = time.monotonic() - started
                if judged or told_to_stop():
                    save_state(self.state_file, progress, *self._state())
                if told_to_stop():
                    raise KeyboardInterrupt
        if self._out_of_patience():
            self.reporter.say(
                f"no gain in {progress.since} held-out retrievals; stopped at step {progress.step}"
            )

    def _update(self, step: int, loss: Tensor, figures: dict[str, float]) -> dict[str, float]:
        """Move the weights down the gradient of `loss`, at the learning rate of `step`."""
        config = self.training
        factor = learning_rate_factor(step - 1, config.steps, config.warmup, config.decay)
        set_rate(self.optimiser, config.learning_rate * factor)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(self.learner.parameters(), config.clip))
        if not (math.isfinite(norm) and math.isfinite(float(loss.detach()))):
            raise DivergedError(
                f"the loss or its gradient is not a number at step {step}; lower training.learning_rate"
            )
        self.optimiser.step()
        return {
            "loss": float(loss.detach()),
            "gradient_norm": norm,
            "learning_rate": config.learning_rate * factor,
            **figures,
        }

    def _out_of_patience(self) -> bool:
        patience = self.training.patience
        return patience is not None and self.progress.since >= patience

    def _judge(self, step: int, started: float) -> float:
        """Measure, log and report held-out retrieval; not a number where nothing is held out."""
        with averaged(self._weights(), self.origin, self.averaging):
            figures = self._measure()
        if figures is None:
            return math.nan
        self.run.log(step, figures, time.monotonic() - started)
        self.reporter.say(f"step {step}: {self._said(figures)}")
        return figures[self.judged_by]

    def _compare(self, value: float) -> None:
        """Keep the weights if held-out retrieval, now `value`, is at its best; stop if it collapsed."""
        progress = self.progress
        if progress.first >= STANDING and value < COLLAPSED * progress.first:
            raise DivergedError(
                f"held-out retrieval fell from {progress.first:.3f} to {value:.3f} by step {progress.step}; "
                "lower training.learning_rate or raise the weight of a contrastive loss"
            )
        progress.since += 1
        if value > progress.best_value or math.isnan(value):
            progress.best_step, progress.best_value, progress.since = progress.step, value, 0
            self.kept = copy.deepcopy(self._weights())
            self._note_best()

    # -- weights ----------------------------------------------------------------------------------

    @property
    def state_file(self) -> Path:
        """Where the state is saved for a resume."""
        return self.run.path / "checkpoints" / STATE_FILE

    def _state(self) -> tuple[Any, ...]:
        """Return the parts of the state beside the progress, as `save_state` and `load_state` take them."""
        return self.hashes, self._parameters(), self.kept, self.optimiser, self.generator

    def _parameters(self) -> dict[str, Parameter]:
        return {name: p for name, p in self.learner.named_parameters() if p.requires_grad}

    def _weights(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self._parameters().items()}

    def _note_best(self) -> None:
        """Write the best so far into the run's record, where whoever watches finds it."""
        step, best = self.progress.best_step, self.progress.best_value
        self.run.update(summary={"best_step": step, self.judged_by: None if math.isnan(best) else best})

    def restore_best(self) -> None:
        """Give the model its best weights so far, averaged if so configured."""
        live = self._weights()
        for name, value in self.kept.items():
            live[name].copy_(value)
        if self.origin is not None:
            for name in live:
                live[name].lerp_(self.origin[name], self.averaging)
        self._note_best()
