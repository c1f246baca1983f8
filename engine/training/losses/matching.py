"""Greedy matching of tokens, and their distance (DR.DECR: Li et al. 2022, arXiv 2112.08185)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.extensions.losses import Batch, Loss
from engine.lazy import LazyModule
from engine.transport import cosine_cost

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def greedy_matching(cost: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Match tokens one to one; in each round the two nearest of the remaining tokens are matched.

    Parameters
    ----------
    cost : Tensor (B, Q, D)
    source, target : Tensor (B, Q), (B, D), bool
        The counted tokens.

    Returns
    -------
    Tensor (B, Q)
        The target token that is matched with each source token; -1 for tokens that are not counted or remain
        without a match.
    """
    _, rows, columns = cost.shape
    left = cost.detach().masked_fill(~(source.unsqueeze(2) & target.unsqueeze(1)), torch.inf)
    matches = torch.full(cost.shape[:2], -1, dtype=torch.long, device=cost.device)
    every = torch.arange(len(cost), device=cost.device)
    for _ in range(min(rows, columns)):
        least, place = left.flatten(1).min(1)
        i, j = place // columns, place % columns
        matches[every, i] = torch.where(least.isinf(), matches[every, i], j)
        left[every, i] = torch.inf
        left[every, :, j] = torch.inf
    return matches


class GreedyMSELoss:
    """Squared Euclidean distance between unit tokens that greedy matching on 1 - cos matches.

    Tokens of the longer side that remain without a match have no part in the loss. The distance is the sum
    over the width, as in `PooledMSELoss`.
    """

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean over the matched tokens of a pair, and then over pairs."""
        targets = batch.targets.first(len(batch.tokens))
        cost = cosine_cost(batch.tokens.detach(), targets.tokens)
        matches = greedy_matching(cost, batch.mask, targets.mask)
        index = matches.clamp_min(0).unsqueeze(2).expand(-1, -1, batch.tokens.shape[2])
        distance = (batch.tokens - targets.tokens.gather(1, index)).square().sum(2)
        matched = matches >= 0
        loss = ((distance * matched).sum(1) / matched.sum(1)).mean()
        return loss, {"greedy_mse": float(loss.detach())}


GREEDY_MSE = Loss(
    name="greedy_mse",
    meaning="Mean squared error between tokens that are matched one to one, the nearest first (DR.DECR).",
    build=lambda inputs: GreedyMSELoss(),
)
