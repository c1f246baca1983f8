"""Jensen-Shannon divergence between sentence vectors (Hong et al. 2026, arXiv 2604.05684).

The paper aligns the distributions of a text and its translation, together with InfoNCE. How a vector becomes
a distribution is our choice: the softmax over its dimensions, divided by a temperature.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from engine.extensions.losses import Batch, Loss, LossInputs, LossSettings
from engine.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


class PooledJSDSettings(LossSettings):
    """Settings of the Jensen-Shannon divergence between sentence vectors."""

    temperature: float = Field(0.05, gt=0)
    """Temperature that divides the values of a unit sentence vector before the softmax over its dimensions.
    The values of a vector of width 384 have a standard deviation of about 0.05."""


def jensen_shannon(logits: Tensor, others: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence (B,) in nats between softmax(`logits`) and softmax(`others`).

    Parameters
    ----------
    logits, others : Tensor (B, H)
    """
    logs = [torch.log_softmax(values, 1) for values in (logits, others)]
    middle = torch.logaddexp(*logs) - math.log(2)
    first, second = ((log.exp() * (log - middle)).sum(1) for log in logs)
    return (first + second) / 2


class PooledJSDLoss:
    """Jensen-Shannon divergence between the sentence vectors of student and teacher, as distributions.

    For vectors that are close it is their squared distance divided by 8 H τ².
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean divergence over the batch."""
        target = batch.targets.sentences[: len(batch.sentences)]
        loss = jensen_shannon(batch.sentences / self.temperature, target / self.temperature).mean()
        return loss, {"pooled_jsd": float(loss.detach())}


def _build(inputs: LossInputs) -> PooledJSDLoss:
    return PooledJSDLoss(inputs.settings.temperature)


POOLED_JSD = Loss(
    name="pooled_jsd",
    meaning="Jensen-Shannon divergence between sentence vectors as distributions over their dimensions "
    "(Hong et al. 2026).",
    build=_build,
    sentence_vectors=True,
    settings=PooledJSDSettings,
)
