"""Distillations of the tiny checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import DistilConfig, parse_config
from engine.encoders.encoder import Encoder
from engine.results.run_folder import RunFolder
from engine.training.distillation.task import prepare_distillation
from engine.training.runtime import Runtime
from engine.training.trainer import Trainer

torch.set_num_threads(1)  # the models are too small to share


@dataclass(frozen=True)
class Trained:
    """What a distillation leaves."""

    teacher: Encoder
    student: Encoder
    best_step: int
    held_out: float


class Prepared:
    """A distillation in a new run folder, ready to train. It has the attributes of its task."""

    def __init__(self, config: DistilConfig, runs: Path) -> None:
        self.run = RunFolder.create(runs, config, ["test"])
        self.runtime = Runtime.start(config.seed, config.training)
        self.task = prepare_distillation(config, self.runtime)
        self.task.bitext.record(self.run)
        self.trainer = Trainer(config.training, self.runtime, self.run)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def trained_weights(self) -> dict[str, torch.Tensor]:
        """Return the student's weights that are trained."""
        named = self.task.student.named_parameters()
        return {name: value.detach() for name, value in named if value.requires_grad}

    def step(self, step: int, batch: Any) -> dict[str, float]:
        """Train on a batch and return the figures."""
        return self.trainer.train_step(self.task, step, batch)

    def train(self) -> Trained:
        """Train as a run does, and return what it leaves."""
        progress = self.trainer.fit(self.task)
        return Trained(self.task.teacher, self.task.finish(), progress.best_step, progress.best_value)


Prepare = Callable[..., Prepared]


@pytest.fixture
def prepare(tiny: Any, tmp_path: Path) -> Prepare:
    """A function that prepares a distillation in a new run folder."""

    def make(*languages: str, **changes: Any) -> Prepared:
        config = parse_config(tiny.settings(*languages, **changes))
        assert isinstance(config, DistilConfig)
        return Prepared(config, tmp_path / "runs")

    return make
