"""Reciprocal rank fusion: combine several rankings of the same documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


class Ranks(NamedTuple):
    """The documents that a system found, in any order, with one entry for each pair of query and document.

    Attributes
    ----------
    queries, documents : array of shape (n,)
        Indices of the query and of the document.
    ranks : array of shape (n,)
        The document's rank for the query, from one.
    """

    queries: Integers
    documents: Integers
    ranks: Integers


class Fused(NamedTuple):
    """Fused rankings, query by query, best first; equal scores keep the lower document first."""

    queries: Integers
    documents: Integers
    ranks: Integers
    scores: npt.NDArray[np.float64]


def reciprocal_rank_fusion(systems: Sequence[Ranks], k: int = 60) -> Fused:
    """Fuse rankings by ``score(d) = sum over systems of 1 / (k + rank(d))`` (Cormack et al. 2009).

    A document gets no share from a system that did not find it. The result does not depend on the order of
    the systems, not even in the last bit.

    Parameters
    ----------
    systems : sequence of Ranks
        At least one.
    k : int
        The constant of the paper, which uses 60.
    """
    width = 1 + max((int(system.documents.max(initial=0)) for system in systems), default=0)
    pairs = [system.queries * width + system.documents for system in systems]
    known = np.unique(np.concatenate(pairs))
    shares = np.zeros((len(known), len(systems)))
    for column, (pair, system) in enumerate(zip(pairs, systems, strict=True)):
        shares[np.searchsorted(known, pair), column] = 1.0 / (k + system.ranks)
    # shares are summed in the order of their size, so that rounding does not depend on the order of systems
    scores = np.sort(shares, axis=1).sum(1)
    queries, documents = np.divmod(known, width)
    order = np.lexsort((documents, -scores, queries))
    queries, documents, scores = queries[order], documents[order], scores[order]
    starts = np.searchsorted(queries, queries)  # where the query of each entry begins
    return Fused(queries, documents, np.arange(len(queries)) - starts + 1, scores)
