"""Which of the student's weights learn, and AdamW over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.config.optimisation import LoopConfig
from engine.encoders.encoder import Encoder
from engine.errors import InputError

#: The mass head's learning rate, in those of the encoder: AdamW moves a weight by about its rate a step, and
#: the head, which begins at zero, has far to go in a few hundred steps.
HEAD_RATE = 100.0
#: The learning rate of a projection that begins at random, in those of the encoder.
PROJECTION_RATE = 10.0


def freeze(student: Encoder, training: LoopConfig) -> None:
    """Keep the weights that `training` freezes, and the fitted mean, from learning.

    Raises
    ------
    InputError
        If the student has fewer layers than are to be frozen.
    """
    freeze_model(student.model, training)
    student.mean.requires_grad_(False)


def freeze_model(model: Any, training: LoopConfig) -> None:
    """Keep the layers and embeddings of a transformers model that `training` freezes from learning.

    Raises
    ------
    InputError
        If it has fewer layers than are to be frozen.
    """
    layers = getattr(getattr(model, "encoder", None), "layer", [])
    if training.frozen_layers > len(layers):
        raise InputError(
            f"training.frozen_layers = {training.frozen_layers}, but the student has {len(layers)} layers"
        )
    for layer in layers[: training.frozen_layers]:
        layer.requires_grad_(False)
    if training.frozen_embeddings or training.frozen_layers:
        # the whole block, positions and norm too: else backward runs through every frozen layer
        getattr(model, "embeddings", model.get_input_embeddings()).requires_grad_(False)


def make_optimiser(student: Encoder, training: LoopConfig) -> torch.optim.AdamW:
    """Return AdamW over the student's weights that learn; matrices decay, biases and norms do not.

    What begins at random beside a trained encoder has a higher rate.
    """
    fresh: dict[int, float] = {}
    if student.mass_head is not None:
        fresh[id(student.mass_head.weight)] = HEAD_RATE
    if student.projection is not None and student.fresh_projection:
        fresh[id(student.projection.weight)] = PROJECTION_RATE
    return adamw(student, training, fresh)


def adamw(model: torch.nn.Module, training: LoopConfig, fresh: Mapping[int, float]) -> torch.optim.AdamW:
    """Return AdamW over the weights of `model` that learn, those of ids in `fresh` at a rate of their own."""
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    apart: list[dict[str, Any]] = []
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in fresh:
            apart.append({"params": [parameter], "weight_decay": 0.0, "rate": fresh[id(parameter)]})
        else:
            (decayed if parameter.ndim > 1 else plain).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": training.weight_decay, "rate": 1.0},
        {"params": plain, "weight_decay": 0.0, "rate": 1.0},
        *apart,
    ]
    return torch.optim.AdamW(groups, lr=training.learning_rate, fused=True)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its multiple of the learning rate `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate"]
