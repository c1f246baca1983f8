"""Runs over the tiny checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import DistilConfig, parse_config
from engine.results.run_folder import RunFolder
from engine.training.distillation.distillation import Distillation

torch.set_num_threads(1)  # the models are too small to share

Prepare = Callable[..., Distillation]


@pytest.fixture
def prepare(tiny: Any, tmp_path: Path) -> Prepare:
    """A function that prepares a distillation in a new run folder."""

    def make(*languages: str, **changes: Any) -> Distillation:
        config = parse_config(tiny.settings(*languages, **changes))
        assert isinstance(config, DistilConfig)
        return Distillation(config, RunFolder.create(tmp_path / "runs", config, ["test"]))

    return make
