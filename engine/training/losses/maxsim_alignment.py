"""Every token of a query to the nearest of its own sentence, as late interaction will score it."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.training.losses.base import Batch


class MaxSimAlignmentLoss:
    """1 - MaxSim between a query and its own English sentence.

    The alignment is a hard argmax a token, so that several may meet in one target token and some in none.
    """

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean of 1 - MaxSim over the batch."""
        targets = batch.targets.first(len(batch.tokens))
        similarity = torch.einsum("bqh,bdh->bqd", batch.tokens, targets.tokens)
        best = similarity.masked_fill(~targets.mask.unsqueeze(1), -torch.inf).amax(2)
        scores = (best * batch.mask).sum(1) / batch.mask.sum(1)
        loss = (1.0 - scores).mean()
        return loss, {"maxsim_alignment": float(loss.detach())}
