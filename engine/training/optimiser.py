"""Which weights are trained, and AdamW over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from engine.config.optimisation import LoopConfig, OptimiserConfig
from engine.encoders.encoder import Encoder
from engine.errors import InputError

#: Learning rate of the mass head, as a multiple of the encoder's. AdamW moves a weight by about its learning
#: rate a step, and the head, which begins at zero, has to move far in a few hundred steps.
HEAD_RATE = 100.0
#: Learning rate of a projection that begins at random, as a multiple of the encoder's.
PROJECTION_RATE = 10.0
#: The share of frozen layers that messages suggest, and presets have.
DEFAULT_SHARE = 0.5


def check_batch_size(batch_size: int, count: int, what: str = "pairs") -> None:
    """Check that a batch is not larger than the `count` examples that are trained on.

    Raises
    ------
    InputError
        If it is.
    """
    if batch_size > count:
        raise InputError(
            f"training.batch_size = {batch_size} is more than the {count} {what} that are trained on; "
            "lower it"
        )


def freeze(student: Encoder, training: LoopConfig) -> None:
    """Freeze the weights that `training` names, and the fitted mean.

    Raises
    ------
    InputError
        If the student has fewer layers, or nothing would be left to train.
    """
    frozen = freeze_model(student.model, training)
    if frozen == student.depth and student.projection is None and student.mass_head is None:
        raise InputError(
            f"training.frozen_layers = {training.frozen_layers} freezes all {frozen} layers of the student, "
            f"so nothing would be trained; lower it, for example to {DEFAULT_SHARE}, a share of the layers"
        )
    student.mean.requires_grad_(False)


def frozen_layers(asked: float, depth: int) -> int:
    """Return how many of `depth` layers the setting `frozen_layers` freezes: its number, or its share.

    Raises
    ------
    InputError
        If there are fewer.
    """
    frozen = int(asked * depth) if 0 < asked < 1 else int(asked)
    if frozen > depth:
        raise InputError(f"training.frozen_layers = {asked}, but the encoder has {depth} layers; lower it")
    return frozen


def freeze_model(model: Any, training: LoopConfig) -> int:
    """Freeze the layers and embeddings of a transformers model that `training` names.

    Returns
    -------
    int
        How many layers are frozen.

    Raises
    ------
    InputError
        If it has fewer layers.
    """
    layers = _layers(model) if training.frozen_layers else []
    frozen = frozen_layers(training.frozen_layers, len(layers))
    for layer in layers[:frozen]:
        layer.requires_grad_(False)
    if training.frozen_embeddings or frozen:
        # positions and norm too: otherwise the backward pass runs through every frozen layer
        getattr(model, "embeddings", model.get_input_embeddings()).requires_grad_(False)
    return frozen


def _layers(model: Any) -> Sequence[torch.nn.Module]:
    """Return the transformer layers of a model, whatever its architecture calls them."""
    config = model.config
    depth = getattr(config, "num_hidden_layers", None) or getattr(config, "num_layers", None)
    for _, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
            return list(module)
    raise InputError(
        f"training.frozen_layers: the layers of a {config.model_type!r} model are not found; set it to 0"
    )


def make_optimiser(student: Encoder, training: LoopConfig) -> torch.optim.AdamW:
    """Return AdamW over the student's weights that are trained.

    Parts that begin at random in a trained encoder have a higher learning rate.
    """
    fresh: dict[int, float] = {}
    if student.mass_head is not None:
        fresh[id(student.mass_head.weight)] = HEAD_RATE
    if student.projection is not None and student.fresh_projection:
        fresh[id(student.projection.weight)] = PROJECTION_RATE
    return adamw(student, training, fresh)


def adamw(
    model: torch.nn.Module,
    settings: OptimiserConfig,
    fresh: Mapping[int, float] = MappingProxyType({}),
    betas: tuple[float, float] = (0.9, 0.999),
) -> torch.optim.AdamW:
    """Return AdamW over the weights of `model` that are trained. Matrices decay; biases and norms do not.

    Parameters
    ----------
    model : Module
        Its weights that require a gradient are trained.
    settings : OptimiserConfig
        Learning rate and weight decay.
    fresh : mapping of int to float
        The learning rate, as a multiple of the usual one, of parameters that begin at random, by their `id`.
    betas : (float, float)
        Decay rates of the moments.
    """
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
        {"params": decayed, "weight_decay": settings.weight_decay, "rate": 1.0},
        {"params": plain, "weight_decay": 0.0, "rate": 1.0},
        *apart,
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas, fused=True)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its multiple of the learning rate `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate"]
