"""The best documents of each row of scores, and the ranks of given documents, with one rule for ties.

Equal scores keep the document of the lower index first, here and in every search.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import DivergedError


@dataclass(frozen=True, eq=False)
class Found:
    """The result of a search for N queries.

    Attributes
    ----------
    scores : Tensor of shape (N, k)
        The best scores, descending.
    indices : Tensor of shape (N, k), int64
        Their documents.
    ranks : Tensor of shape (N, R), int64
        Ranks, from one, of the documents that were asked for among all documents; 0 where none was asked for,
        or where it scores -inf, which means that it was not found.
    """

    scores: Tensor
    indices: Tensor
    ranks: Tensor

    @classmethod
    def join(cls, parts: Iterable[Found]) -> Found:
        """Join the results of consecutive blocks of queries; there is at least one block."""
        listed = list(parts)
        return cls(
            torch.cat([part.scores for part in listed]),
            torch.cat([part.indices for part in listed]),
            torch.cat([part.ranks for part in listed]),
        )


def find(scores: Tensor, k: int, wanted: Tensor) -> Found:
    """Return the `k` best of each row of `scores` (n, M) and the ranks of `wanted` (n, R), -1 for none."""
    values, indices = top_k(scores, k)
    return Found(values, indices, ranks_of(scores, wanted))


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the `k` highest scores of each row; equal scores keep the lower index first.

    `torch.topk` does not specify the order of ties. Here the result equals the head of a stable descending
    sort, but whole rows are not sorted.

    Parameters
    ----------
    scores : Tensor of shape (N, M)
    k : int
        At most M documents are returned.

    Returns
    -------
    values : Tensor of shape (N, k)
        Descending.
    indices : Tensor of shape (N, k), int64

    Raises
    ------
    ValueError
        When `k` is below 1.
    DivergedError
        When a score is not a number.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if scores.isnan().any():
        raise DivergedError(
            "some scores are not numbers: the encoder returned vectors with NaN; use another encoder"
        )
    k = min(k, scores.shape[1])
    if k == 0 or len(scores) == 0:
        return scores[:, :k], torch.zeros(len(scores), k, dtype=torch.int64, device=scores.device)
    values, indices = scores.topk(k, dim=1)
    last = values[:, -1:]
    # topk may keep any of the documents that share the last score; such rows are corrected.
    surplus = (scores >= last).sum(1) > k
    for row in surplus.nonzero()[:, 0].tolist():
        better = (scores[row] > last[row]).nonzero()[:, 0]
        equal = (scores[row] == last[row]).nonzero()[: k - len(better), 0]
        indices[row] = torch.cat([better, equal])
    indices = indices.sort(dim=1).values
    values, order = scores.gather(1, indices).sort(dim=1, descending=True, stable=True)
    return values, indices.gather(1, order)


def ranks_of(scores: Tensor, wanted: Tensor) -> Tensor:
    """Return the ranks, from one, of the documents `wanted` in each row, without sorting.

    Parameters
    ----------
    scores : Tensor of shape (N, M)
    wanted : Tensor of shape (N, R), int64
        Columns of `scores`, -1 where there is none.

    Returns
    -------
    Tensor of shape (N, R), int64
        0 where there is none or the score is -inf.
    """
    ranks = torch.zeros_like(wanted)
    for column, index in enumerate(wanted.T):
        own = scores.gather(1, index.clamp(min=0)[:, None])
        above = (scores > own).sum(1)
        ties = (scores >= own).sum(1) > above + 1
        for row in (ties & (index >= 0)).nonzero()[:, 0].tolist():
            above[row] += (scores[row, : index[row]] == own[row]).sum()
        ranks[:, column] = torch.where((index >= 0) & (own[:, 0] > -torch.inf), above + 1, 0)
    return ranks
