"""From token states to a sentence vector: pooling, and the dense layers behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.config.declared import DenseLayer
from engine.errors import InputError

UNIT = "Unit"
"""The kind of the layers that scale to unit length."""


def pool(states: Tensor, attend: Tensor, mode: str) -> Tensor:
    """Return vectors (B, W) of the attended `states` (B, T, W), as sentence-transformers' pooling `mode`."""
    if mode == "cls":
        return states[:, 0]
    if mode == "lasttoken":
        places = torch.arange(attend.shape[1], device=attend.device)
        last = (attend * places).argmax(1)
        return states[torch.arange(len(states), device=states.device), last]
    if mode == "max":
        return states.masked_fill(~attend.unsqueeze(-1), float("-inf")).amax(1)
    weights = attend.unsqueeze(-1).to(states.dtype)
    if mode == "weightedmean":
        places = torch.arange(1, attend.shape[1] + 1, device=attend.device, dtype=states.dtype)
        weights = weights * places[None, :, None]
    total = weights.sum(1)
    return (states * weights).sum(1) / (total.sqrt() if mode == "mean_sqrt_len_tokens" else total)


class SentenceHead(torch.nn.Module):
    """Dense layers behind the pooling, as sentence-transformers' ``Dense`` and ``Normalize``.

    Parameters
    ----------
    layers : sequence of (str, Linear or None)
        The activation and the layer; None scales to unit length.
    """

    def __init__(self, layers: Sequence[tuple[str, torch.nn.Linear | None]]) -> None:
        super().__init__()
        self.kinds = [kind for kind, _ in layers]
        self.linear = torch.nn.ModuleList([layer or torch.nn.Identity() for _, layer in layers])
        self.width = next(layer.out_features for _, layer in reversed(layers) if layer is not None)

    @classmethod
    def read(cls, folder: Path, layers: Sequence[DenseLayer | None], width: int) -> SentenceHead:
        """Read the layers of a folder whose pooled vectors have `width` dimensions.

        Raises
        ------
        InputError
            If weights are missing or do not fit.
        """
        found: list[tuple[str, torch.nn.Linear | None]] = []
        for layer in layers:
            if layer is None:
                found.append((UNIT, None))
                continue
            weight = _read(folder / layer.folder / "model.safetensors", "linear.weight")
            bias = _read(folder / layer.folder / "model.safetensors", "linear.bias") if layer.bias else None
            if (
                weight.ndim != 2
                or weight.shape[1] != width
                or (bias is not None and len(bias) != len(weight))
            ):
                raise InputError(
                    f"the dense layer {layer.folder} has weights {tuple(weight.shape)}, but its input has "
                    f"width {width}",
                    path=folder,
                )
            found.append((layer.activation, _linear(weight, bias)))
            width = len(weight)
        return cls(found)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> SentenceHead | None:
        """Return the head that `tensors` wrote among `tensors`; None if there is none."""
        found: dict[int, tuple[str, dict[str, Tensor]]] = {}
        for key, tensor in tensors.items():
            head, *rest = key.split(".")
            if head == "head":
                found.setdefault(int(rest[0]), (rest[1], {}))[1][rest[2]] = tensor
        if not found:
            return None
        return cls(
            [
                (kind, None if kind == UNIT else _linear(parts["weight"], parts.get("bias")))
                for _, (kind, parts) in sorted(found.items())
            ]
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights by names that also say the activations."""
        found: dict[str, Tensor] = {}
        for place, (kind, layer) in enumerate(zip(self.kinds, self.linear, strict=True)):
            found[f"head.{place}.{kind}.weight"] = torch.zeros(1)
            for name, value in layer.named_parameters():
                found[f"head.{place}.{kind}.{name}"] = value.detach().contiguous()
        return found

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the sentence vectors (B, H') of pooled vectors (B, W)."""
        for kind, layer in zip(self.kinds, self.linear, strict=True):
            if kind == UNIT:
                pooled = torch.nn.functional.normalize(pooled, dim=-1)
            else:
                pooled = getattr(torch.nn, kind)()(layer(pooled))
        return pooled


def read_projection(folder: Path, layers: Sequence[DenseLayer]) -> tuple[Tensor, Tensor | None]:
    """Return the product of the linear layers of token vectors: one weight (H, W), and the mean (W,).

    A layer with a bias subtracts a mean before it projects. The mean is the shortest vector that the weight
    maps to minus the bias; None if no layer has a bias.

    Raises
    ------
    InputError
        If weights are missing or do not fit together.
    """
    product: Tensor | None = None
    mean: Tensor | None = None
    for layer in layers:
        weight = _read(folder / layer.folder / "model.safetensors", "linear.weight")
        if weight.ndim != 2 or (product is not None and weight.shape[1] != len(product)):
            raise InputError(f"the projection {layer.folder} does not fit the one before it", path=folder)
        if layer.bias:
            bias = _read(folder / layer.folder / "model.safetensors", "linear.bias").double()
            mean = -torch.linalg.pinv(weight.double()) @ bias
            if not torch.allclose(weight.double() @ mean, -bias, atol=1e-5):
                raise InputError(
                    f"the bias of {layer.folder} is no projected mean, which is not supported here",
                    path=folder,
                )
            mean = mean.float()
        product = weight if product is None else weight @ product
    assert product is not None
    return product, mean


def _linear(weight: Tensor, bias: Tensor | None) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight.data.copy_(weight)
    if bias is not None:
        layer.bias.data.copy_(bias)
    return layer


def _read(path: Path, name: str) -> Tensor:
    try:
        with safe_open(str(path), framework="pt") as file:
            if name not in file.keys():  # noqa: SIM118 (it is not iterable)
                raise InputError(f"there is no {name} in these weights", path=path)
            tensor: Tensor = file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise InputError(f"the weights cannot be read: {error}", path=path) from error
    return tensor.float()
