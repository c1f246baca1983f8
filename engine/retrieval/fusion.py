"""Combine several rankings of the same documents: by their ranks, or by their scores, made comparable.

Scores of different systems have different scales, so each system's scores are normalised for each query over
the documents that any of the systems found, and their weighted sum is the new score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


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


class Scored(NamedTuple):
    """Rankings with scores. Fused ones are in the order of queries and ranks; equal scores keep the lower
    document first."""

    queries: Integers
    documents: Integers
    ranks: Integers
    scores: Floats


class Candidates(NamedTuple):
    """The n pairs of query and document that at least one of S systems found, by query, then document.

    Attributes
    ----------
    queries, documents : array of shape (n,)
    ranks : array of shape (n, S)
        The rank that each system gave the document; 0 where it did not find it.
    scores : array of shape (n, S)
        Its score; where a system did not find the document, that system's lowest score for the query.
    """

    queries: Integers
    documents: Integers
    ranks: Integers
    scores: Floats

    @property
    def starts(self) -> Integers:
        """The place of the first entry of each query that has one."""
        return np.flatnonzero(np.r_[True, np.diff(self.queries) != 0][: len(self.queries)])


def candidates(
    systems: Sequence[Scored], *, complete_below: Sequence[int | None] = (), depth: int | None = None
) -> Candidates:
    """Return what `systems` found, side by side.

    Parameters
    ----------
    systems : sequence of Scored
        At least one.
    complete_below : sequence of int or None, optional
        For each system, the number of documents below which a query's ranking is complete, so that every
        other document scores 0: BM25 and TF-IDF do not list documents that share no term with the query. None
        for systems whose missing documents get their lowest score always.
    depth : int, optional
        Number of ranks of each system that are used; None uses all.
    """
    complete = [*complete_below] or [None] * len(systems)
    if depth is not None:
        systems = [_first(system, depth) for system in systems]
    width = 1 + max((int(system.documents.max(initial=0)) for system in systems), default=0)
    pairs = [system.queries * width + system.documents for system in systems]
    known = np.unique(np.concatenate(pairs))
    queries, documents = np.divmod(known, width)
    ranks = np.zeros((len(known), len(systems)), dtype=np.int64)
    scores = np.zeros((len(known), len(systems)))
    count = int(queries.max(initial=-1)) + 1
    for column, (pair, system, least) in enumerate(zip(pairs, systems, complete, strict=True)):
        floor = np.full(count, np.inf)
        np.minimum.at(floor, system.queries, system.scores)
        found = np.bincount(system.queries, minlength=count)
        floor[(found == 0) if least is None else (found < least)] = 0.0
        places = np.searchsorted(known, pair)
        scores[:, column] = floor[queries]
        scores[places, column], ranks[places, column] = system.scores, system.ranks
    return Candidates(queries, documents, ranks, scores)


def _first(system: Scored, depth: int) -> Scored:
    kept = system.ranks <= depth
    return Scored(system.queries[kept], system.documents[kept], system.ranks[kept], system.scores[kept])


def reciprocal_ranks(found: Candidates, *, k: int) -> Floats:
    """Return ``1 / (k + rank)`` (n, S), 0 where a system did not find a document (Cormack et al. 2009)."""
    return np.where(found.ranks > 0, 1.0 / (k + found.ranks.clip(1)), 0.0)


def standard_scores(found: Candidates) -> Floats:
    """Return the scores (n, S) less their mean, divided by their standard deviation, for each query.

    A system that scores all of a query's candidates alike gets 0 for them.
    """
    if not len(found.queries):
        return found.scores
    counts = np.diff(np.r_[found.starts, len(found.queries)])
    mean = np.add.reduceat(found.scores, found.starts, axis=0) / counts[:, None]
    centred = found.scores - np.repeat(mean, counts, axis=0)
    deviation = np.sqrt(np.add.reduceat(centred**2, found.starts, axis=0) / counts[:, None])
    # rounding leaves a tiny deviation where all scores are equal
    alike = deviation <= 1e-9 * (1e-3 + np.abs(mean))
    return np.where(
        np.repeat(alike, counts, axis=0),
        0.0,
        centred / np.repeat(np.where(alike, 1.0, deviation), counts, axis=0),
    )


def unit_range(found: Candidates) -> Floats:
    """Return the scores (n, S) scaled to 0 for the lowest and 1 for the highest of each query.

    A system that scores all of a query's candidates alike gets 0 for them.
    """
    if not len(found.queries):
        return found.scores
    counts = np.diff(np.r_[found.starts, len(found.queries)])
    low = np.minimum.reduceat(found.scores, found.starts, axis=0)
    span = np.maximum.reduceat(found.scores, found.starts, axis=0) - low
    scaled = (found.scores - np.repeat(low, counts, axis=0)) / np.repeat(
        np.where(span > 0, span, 1.0), counts, axis=0
    )
    return np.asarray(scaled)


def weighted_sum(found: Candidates, shares: Floats, weights: Sequence[float]) -> Scored:
    """Rank the candidates of each query by ``sum over systems of weight x share``.

    The result does not depend on the order of the systems, not even in the last bit.
    """
    # parts are summed in the order of their size, so that rounding does not depend on the order of systems
    scores = np.sort(shares * np.asarray(weights, dtype=np.float64), axis=1).sum(1)
    order = np.lexsort((found.documents, -scores, found.queries))
    queries, documents, scores = found.queries[order], found.documents[order], scores[order]
    starts = np.searchsorted(queries, queries)  # where the query of each entry begins
    return Scored(queries, documents, np.arange(len(queries)) - starts + 1, scores)
