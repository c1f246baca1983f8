"""Encoders over the tiny checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from engine.config import EncoderConfig
from engine.encoders.encoder import Encoder

torch.set_num_threads(1)  # the models are too small to share

Open = Callable[..., Encoder]


@pytest.fixture
def open_encoder(tiny: Any) -> Open:
    """A function that loads the tiny checkpoint with settings; centring is off unless asked for."""

    def load(**changes: Any) -> Encoder:
        return Encoder.load(EncoderConfig(**tiny.encoder(**{"centring": False, **changes})))

    return load
