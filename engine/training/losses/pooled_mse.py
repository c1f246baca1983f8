"""Pooled mean squared error (Reimers and Gurevych, EMNLP 2020, arXiv 2004.09813)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.extensions.losses import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class PooledMSELoss:
    """Squared Euclidean distance between the unit sentence vectors of student and teacher.

    The distance is the sum over the width, not the mean. They differ by a constant factor; the sum equals
    2 - 2 cos, which means the same at every width.
    """

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean squared distance over the batch."""
        target = batch.targets.sentences[: len(batch.sentences)]
        loss = (batch.sentences - target).square().sum(-1).mean()
        return loss, {"pooled_mse": float(loss.detach())}


POOLED_MSE = Loss(
    name="pooled_mse",
    meaning="Mean squared error between sentence vectors (Reimers and Gurevych 2020).",
    build=lambda inputs: PooledMSELoss(),
    sentence_vectors=True,
)
