"""Distillation losses behind one interface; `build` makes the weighted sum a configuration asks for."""

from __future__ import annotations

from torch import Tensor

from engine.config import LossConfig
from engine.training.losses.base import Batch, Loss, Targets
from engine.training.losses.contrast import MaxSimContrastLoss, PooledContrastLoss, TransportContrastLoss
from engine.training.losses.layers import Layers, layers_of
from engine.training.losses.masses import Masses
from engine.training.losses.matching import GreedyMSELoss
from engine.training.losses.maxsim_alignment import MaxSimAlignmentLoss
from engine.training.losses.pooled_mse import PooledMSELoss
from engine.training.losses.score_kl import ScoreKLLoss
from engine.training.losses.transport import TransportLoss

__all__ = ["Batch", "Layers", "Loss", "Masses", "Targets", "WeightedLoss", "build", "layers_of"]


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


def build(config: LossConfig, masses: Masses, layers: Layers | None = None) -> WeightedLoss:
    """Return the loss that `config` describes, over the transport problem of `masses`, in `layers`.

    Parts of weight zero are left out.
    """
    temperature = config.temperature
    parts: list[tuple[float, Loss]] = [
        (config.transport, TransportLoss(masses, layers)),
        (config.pooled_mse, PooledMSELoss()),
        (config.greedy_mse, GreedyMSELoss()),
        (config.maxsim_alignment, MaxSimAlignmentLoss()),
        (config.maxsim_contrast, MaxSimContrastLoss(temperature)),
        (config.transport_contrast, TransportContrastLoss(temperature, masses, config.hardest)),
        (config.pooled_contrast, PooledContrastLoss(temperature)),
        (config.score_kl, ScoreKLLoss(temperature)),
    ]
    return WeightedLoss([(weight, loss) for weight, loss in parts if weight > 0])
