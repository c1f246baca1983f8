"""MaxSim between a query and its own sentence, as late interaction scores them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.extensions.losses import Batch, Loss
from engine.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


class MaxSimAlignmentLoss:
    """1 - MaxSim between a query and its own English sentence.

    Each token of the query is aligned with the target token of the largest product, so several tokens may
    share one target token, and some target tokens have none.
    """

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean of 1 - MaxSim over the batch."""
        targets = batch.targets.first(len(batch.tokens))
        similarity = torch.einsum("bqh,bdh->bqd", batch.tokens, targets.tokens)
        best = similarity.masked_fill(~targets.mask.unsqueeze(1), -torch.inf).amax(2)
        scores = (best * batch.mask).sum(1) / batch.mask.sum(1)
        loss = (1.0 - scores).mean()
        return loss, {"maxsim_alignment": float(loss.detach())}


MAXSIM_ALIGNMENT = Loss(
    name="maxsim_alignment",
    meaning="1 - MaxSim between a query and its own English sentence: each token and the nearest token of "
    "the teacher's.",
    build=lambda inputs: MaxSimAlignmentLoss(),
)
