"""Reciprocal rank fusion: several rankings of the same documents made into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


class Ranks(NamedTuple):
    """The documents that a system found, in any order: one entry a query and document, no pair twice.

    Attributes
    ----------
    queries, documents : array of shape (n,)
        Numbers of the query and of the document.
    ranks : array of shape (n,)
        The document's rank for the query, from one.
    """

    queries: Integers
    documents: Integers
    ranks: Integers


class Fused(NamedTuple):
    """Fused rankings: query by query, best first, equal scores the lower document first."""

    queries: Integers
    documents: Integers
    ranks: Integers
    scores: npt.NDArray[np.float64]


def reciprocal_rank_fusion(systems: Sequence[Ranks], k: int = 60) -> Fused:
    """Fuse rankings by ``score(d) = sum over systems of 1 / (k + rank(d))`` (Cormack et al. 2009).

    A document that a system did not find gets nothing from it. The result does not hang on the order of the
    systems, not even in the last bit.

    Parameters
    ----------
    systems : sequence of Ranks
        At least one.
    k : int
        The paper's constant, 60 there.
    """
    width = 1 + max((int(system.documents.max(initial=0)) for system in systems), default=0)
    pairs = [system.queries * width + system.documents for system in systems]
    known = np.unique(np.concatenate(pairs))
    shares = np.zeros((len(known), len(systems)))
    for column, (pair, system) in enumerate(zip(pairs, systems, strict=True)):
        shares[np.searchsorted(known, pair), column] = 1.0 / (k + system.ranks)
    # shares in the order of their size, so that no rounding tells which system came first
    scores = np.sort(shares, axis=1).sum(1)
    queries, documents = np.divmod(known, width)
    order = np.lexsort((documents, -scores, queries))
    queries, documents, scores = queries[order], documents[order], scores[order]
    starts = np.searchsorted(queries, queries)  # where each entry's query begins
    return Fused(queries, documents, np.arange(len(queries)) - starts + 1, scores)
