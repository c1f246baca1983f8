"""Pooled mean squared error (Reimers and Gurevych, EMNLP 2020, arXiv 2004.09813)."""

from __future__ import annotations

from torch import Tensor

from engine.training.losses.base import Batch


class PooledMSELoss:
    """Squared Euclidean distance between the unit sentence vectors of student and teacher.

    It is the sum over the width, not the mean: the two differ by a constant factor, and the sum is
    2 - 2 cos, which reads the same at every width.
    """

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean squared distance over the batch."""
        target = batch.targets.sentences[: len(batch.sentences)]
        loss = (batch.sentences - target).square().sum(-1).mean()
        return loss, {"pooled_mse": float(loss.detach())}
