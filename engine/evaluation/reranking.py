"""Ranking the top of stored rankings anew."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.retrieval.fusion import Fused, Ranks


def to_score(ranks: Ranks, depth: int) -> Ranks:
    """Return the first `depth` entries of each query's ranking, query by query in the order of ranks."""
    kept = np.flatnonzero(ranks.ranks <= depth)
    order = kept[np.lexsort((ranks.ranks[kept], ranks.queries[kept]))]
    return Ranks(ranks.queries[order], ranks.documents[order], ranks.ranks[order])


def rerank(ranks: Ranks, top: Ranks, scores: npt.NDArray[np.float64]) -> Fused:
    """Return `ranks` with the entries of `top` in the order of their `scores`, and all below as they were.

    Parameters
    ----------
    ranks : Ranks
        Whole rankings.
    top : Ranks
        What `to_score` made of them.
    scores : array of shape (n,)
        The scores of `top`; equal ones keep the first stage's order.

    Returns
    -------
    Fused
        Below the top, scores fall by one a rank from the lowest of the query's top, so that they never rise.
    """
    order = np.lexsort((top.ranks, -scores, top.queries))
    queries, documents, given = top.queries[order], top.documents[order], scores[order]
    # numbers within each query, from one
    begins = np.r_[True, queries[1:] != queries[:-1]] if len(queries) else np.zeros(0, dtype=bool)
    starts = np.flatnonzero(begins)
    new = np.arange(len(queries)) - np.repeat(starts, np.diff(np.r_[starts, len(queries)])) + 1
    count = int(ranks.queries.max(initial=-1)) + 1
    lowest, sizes = np.zeros(count), np.zeros(count, dtype=np.int64)
    np.maximum.at(sizes, queries, new)
    lowest[queries] = given  # the last entry of a query is its lowest
    rest = ranks.ranks > sizes[ranks.queries]
    below = Ranks(ranks.queries[rest], ranks.documents[rest], ranks.ranks[rest])
    falling = lowest[below.queries] - (below.ranks - sizes[below.queries])
    joined = [
        np.concatenate(parts)
        for parts in zip((queries, documents, new, given), (*below, falling), strict=True)
    ]
    final = np.lexsort((joined[2], joined[0]))
    return Fused(*(part[final] for part in joined))
