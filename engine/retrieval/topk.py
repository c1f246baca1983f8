"""The k best scores of each row, with ties broken towards the lower index."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.errors import DivergedError


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the `k` highest scores of each row; equal scores keep the lower index first.

    `torch.topk` promises nothing about ties; here the result equals the head of a stable descending sort,
    without sorting whole rows.

    Parameters
    ----------
    scores : Tensor of shape (N, M)
    k : int
        Cut to M when larger.

    Returns
    -------
    values : Tensor of shape (N, k)
        Descending.
    indices : Tensor of shape (N, k), int64

    Raises
    ------
    DivergedError
        When a score is not a number.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if scores.isnan().any():
        raise DivergedError("some scores are not numbers: the encoder gave vectors with NaN, so use another")
    k = min(k, scores.shape[1])
    if k == 0 or len(scores) == 0:
        return scores[:, :0], torch.zeros(len(scores), 0, dtype=torch.int64, device=scores.device)
    values, indices = scores.topk(k, dim=1)
    last = values[:, -1:]
    # topk may keep any of the documents that share the last score; rows where that is a choice are redone.
    surplus = (scores >= last).sum(1) > k
    for row in surplus.nonzero()[:, 0].tolist():
        better = (scores[row] > last[row]).nonzero()[:, 0]
        equal = (scores[row] == last[row]).nonzero()[: k - len(better), 0]
        indices[row] = torch.cat([better, equal])
    indices = indices.sort(dim=1).values
    values, order = scores.gather(1, indices).sort(dim=1, descending=True, stable=True)
    return values, indices.gather(1, order)
