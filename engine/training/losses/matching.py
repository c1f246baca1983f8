"""Greedy matching of tokens, and their distance (DR.DECR: Li et al. 2022, arXiv 2112.08185)."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.training.losses.base import Batch
from engine.transport import cosine_cost


def greedy_matching(cost: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Match tokens one to one, each time the two nearest of those that are left.

    Parameters
    ----------
    cost : Tensor (B, Q, D)
    source, target : Tensor (B, Q), (B, D), bool
        The tokens that count.

    Returns
    -------
    Tensor (B, Q)
        The target token that each source token got; -1 for those that count not, or were left over.
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
    """Squared Euclidean distance between unit tokens that greedy matching on 1 - cos puts together.

    Tokens left over on the longer side are not learnt from. The sum over the width, as in `PooledMSELoss`.
    """

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean over matched tokens of a pair and over pairs."""
        targets = batch.targets.first(len(batch.tokens))
        cost = cosine_cost(batch.tokens.detach(), targets.tokens)
        matches = greedy_matching(cost, batch.mask, targets.mask)
        index = matches.clamp_min(0).unsqueeze(2).expand(-1, -1, batch.tokens.shape[2])
        distance = (batch.tokens - targets.tokens.gather(1, index)).square().sum(2)
        matched = matches >= 0
        loss = ((distance * matched).sum(1) / matched.sum(1)).mean()
        return loss, {"greedy_mse": float(loss.detach())}
