"""Re-rank the first documents of stored rankings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.retrieval.fusion import Ranks, Scored


def top_ranks(ranks: Ranks, depth: int) -> Ranks:
    """Return the first `depth` entries of each query's ranking, ordered by query and rank."""
    kept = np.flatnonzero(ranks.ranks <= depth)
    order = kept[np.lexsort((ranks.ranks[kept], ranks.queries[kept]))]
    return Ranks(ranks.queries[order], ranks.documents[order], ranks.ranks[order])


def rerank(ranks: Ranks, top: Ranks, scores: npt.NDArray[np.float64]) -> Scored:
    """Return `ranks` with the entries of `top` ordered by `scores`, and all entries below unchanged.

    Parameters
    ----------
    ranks : Ranks
        Whole rankings.
    top : Ranks
        The entries of `ranks` to re-rank, from `top_ranks`.
    scores : array of shape (n,)
        The scores of `top`. Equal scores keep the order of the first stage.

    Returns
    -------
    Scored
        Below the top, the score decreases by one at each rank from the lowest score of the query's top, so
        that scores never increase with the rank.
    """
    order = np.lexsort((top.ranks, -scores, top.queries))
    queries, documents, given = top.queries[order], top.documents[order], scores[order]
    # Ranks within each query, from one.
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
    return Scored(*(part[final] for part in joined))
