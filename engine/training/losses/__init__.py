"""Distillation losses behind one interface; `build` makes the weighted sum a configuration asks for."""

from __future__ import annotations

from torch import Tensor

from engine.config import LossConfig, TransportConfig
from engine.training.losses.base import Batch, Loss, Targets
from engine.training.losses.contrast import MaxSimContrastLoss, TransportContrastLoss
from engine.training.losses.pooled_mse import PooledMSELoss
from engine.training.losses.transport import TransportLoss

__all__ = ["Batch", "Loss", "Targets", "WeightedLoss", "build"]


class WeightedLoss:
    """A weighted sum of losses, which is a loss itself."""

    def __init__(self, parts: list[tuple[float, Loss]]) -> None:
        self.parts = parts

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the weighted sum, and every part's diagnostics."""
        total = batch.tokens.new_zeros(())
        figures: dict[str, float] = {}
        for weight, loss in self.parts:
            value, details = loss(batch)
            total = total + weight * value
            figures |= details
        return total, figures


def build(config: LossConfig, transport: TransportConfig, idf: Tensor | None = None) -> WeightedLoss:
    """Return the loss that `config` describes; parts of weight zero are left out."""
    parts: list[tuple[float, Loss]] = [
        (config.transport, TransportLoss(transport, idf)),
        (config.pooled_mse, PooledMSELoss()),
        (config.maxsim_contrast, MaxSimContrastLoss(config.temperature)),
        (config.transport_contrast, TransportContrastLoss(config.temperature, transport, idf)),
    ]
    return WeightedLoss([(weight, loss) for weight, loss in parts if weight > 0])
