"""The weighted sum of the losses that a configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.extensions.losses import LOSSES, Batch, Layers, LossFunction, LossInputs, Transport

if TYPE_CHECKING:
    from torch import Tensor

    from engine.config import LossConfig


class WeightedLoss:
    """A weighted sum of losses, which is a loss itself.

    Parameters
    ----------
    parts : list of tuple of float and LossFunction
        The weights and the losses.
    """

    def __init__(self, parts: list[tuple[float, LossFunction]]) -> None:
        self.parts = parts

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the weighted sum, a scalar, and the figures of all parts."""
        total = batch.tokens.new_zeros(())
        figures: dict[str, float] = {}
        for weight, loss in self.parts:
            value, details = loss(batch)
            total = total + weight * value
            figures |= details
        return total, figures


def build_loss(config: LossConfig, transport: Transport, layers: Layers | None = None) -> WeightedLoss:
    """Return the loss that `config` describes. Losses of weight 0 are left out.

    Losses of pairs are summed first, then those of batches, each in the order of the registry: the sum of
    floating-point numbers depends on their order.

    Parameters
    ----------
    config : LossConfig
    transport : Transport
        The transport problem that losses solve.
    layers : Layers, optional
        The layers that transport compares; none takes the last layers.
    """
    parts = []
    for kind in ("pairs", "batches"):
        for name, loss in LOSSES.items():
            if loss.compares == kind and (weight := config.weight(name)) > 0:
                inputs = LossInputs(config, config.own_settings(name), transport, layers or Layers())
                parts.append((weight, loss.build(inputs)))
    return WeightedLoss(parts)
