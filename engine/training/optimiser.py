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


def _layers(model: Any, setting: str = "frozen_layers") -> Sequence[torch.nn.Module]:
    """Return the transformer layers of a model, whatever its architecture calls them, for a setting."""
    config = model.config
    depth = getattr(config, "num_hidden_layers", None) or getattr(config, "num_layers", None)
    for _, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
            return list(module)
    raise InputError(
        f"training.{setting}: the layers of a {config.model_type!r} model are not found; leave it out"
    )


def make_optimiser(student: Encoder, training: LoopConfig) -> torch.optim.AdamW:
    """Return AdamW over the student's weights that are trained.

    Parts that begin at random in a trained encoder have a higher learning rate, and lower layers a lower one
    if `training.layer_decay` is below 1.
    """
    rates = layer_rates(student.model, training.layer_decay)
    if student.mass_head is not None:
        rates[id(student.mass_head.weight)] = HEAD_RATE
    if student.projection is not None and student.fresh_projection:
        rates[id(student.projection.weight)] = PROJECTION_RATE
    return adamw(student, training, rates)


def layer_rates(model: Any, decay: float) -> dict[int, float]:
    """Return the learning rate of each weight of a transformers model, as a multiple, by its `id`.

    The highest layer and what is above it have 1, each lower layer `decay` times that of the one above it,
    and the embeddings `decay` times that of the lowest layer.

    Raises
    ------
    InputError
        If the layers are not found.
    """
    if decay == 1:
        return {}
    layers = _layers(model, "layer_decay")
    embeddings = getattr(model, "embeddings", model.get_input_embeddings())
    parts = [embeddings, *layers]
    return {
        id(parameter): decay ** (len(layers) - place)
        for place, part in enumerate(parts)
        for parameter in part.parameters()
    }


def adamw(
    model: torch.nn.Module,
    settings: OptimiserConfig,
    rates: Mapping[int, float] = MappingProxyType({}),
    betas: tuple[float, float] = (0.9, 0.999),
) -> torch.optim.AdamW:
    """Return AdamW over the weights of `model` that are trained. Matrices decay; biases and norms do not.

    Parameters
    ----------
    model : Module
        Its weights that require a gradient are trained.
    settings : OptimiserConfig
        Learning rate and weight decay.
    rates : mapping of int to float
        The learning rate, as a multiple of the usual one, of parameters that have another one, by their `id`.
    betas : (float, float)
        Decay rates of the moments.
    """
    groups: dict[tuple[float, bool], list[Tensor]] = {(1.0, True): [], (1.0, False): []}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        rate = rates.get(id(parameter), 1.0)
        # parts that begin at random have a higher rate and do not decay
        decays = parameter.ndim > 1 and rate <= 1
        groups.setdefault((rate, decays), []).append(parameter)
    made: list[dict[str, Any]] = [
        {"params": found, "weight_decay": settings.weight_decay if decays else 0.0, "rate": rate}
        for (rate, decays), found in groups.items()
    ]
    return torch.optim.AdamW(made, lr=settings.learning_rate, betas=betas, fused=True)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its multiple of the learning rate `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate"]
