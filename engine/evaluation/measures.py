"""Measures of rankings: those of ir-measures, computed by trec_eval's code, and a few others.

``mAP@20``, with any cutoff, is the measure of XTREME: ``sum over hits of precision / min(relevant, 20)``. The
``AP@20`` of ir-measures divides by the number of all relevant documents, so the two differ if more than 20
documents are relevant. ``RR@10``, with any cutoff, is the measure of MS MARCO: 0 if the first relevant
document has a rank below the cutoff. ``Judged@10`` is the share of judged documents among the first ten.

``AP`` and ``RR`` without a cutoff are computed from the exact ranks of the relevant documents in the whole
pool. A ranking of the first documents does not contain these ranks, and a list of all documents is not needed
for them. Measures that need more ranks than are kept, such as ``R@1000``, are computed in the same way.

As in trec_eval, queries without judgements are not scored, and queries without a relevant document score 0.
Documents without a judgement or with a grade below 1 are not relevant. Relevant documents that were not found
count. A query that finds no document scores 0 in every measure, ``Judged`` included. Unlike in trec_eval,
documents with equal scores keep the order of the ranking, which in every search here is the order of the
documents in the pool.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ir_measures
import numpy as np
import numpy.typing as npt

from engine.errors import InputError, nearest
from engine.retrieval.ranking import Ranking

Array = npt.NDArray[np.float64]

#: Measures with a cutoff that are computed here.
_OURS = re.compile(r"(mAP|RR)@([1-9]\d*)")

#: Measures that can be computed from the ranks of the relevant documents.
_FROM_RANKS = re.compile(r"(?:(AP|RR)|(AP|mAP|RR|R|P|Success)@([1-9]\d*))")


_PROVIDERS = (ir_measures.pytrec_eval, ir_measures.judged)


class QueryScore(NamedTuple):
    """The value of one measure for one query."""

    query_id: str
    measure: str
    value: float


def score_rankings(
    ranking: Ranking, judgements: Mapping[str, Mapping[str, int]], measures: Sequence[str]
) -> list[QueryScore]:
    """Score rankings by their order; the scores of the documents are not used.

    Parameters
    ----------
    ranking : Ranking
        Documents below its last one count as not found, also by measures without a cutoff.
    judgements : mapping of query id to mapping of document id to grade
        Documents with a grade above zero are relevant. Queries without judgements are not scored.
    measures : sequence of str
        Names as in ir-measures, or ``mAP@k``.

    Returns
    -------
    list of QueryScore
        For each measure, all queries in the order of the ranking.

    Raises
    ------
    InputError
        If a measure is unknown.
    """
    judged = [query for query in ranking.query_ids if query in judgements]
    theirs = {name: parsed for name in measures if (parsed := parse_measure(name)) is not None}
    found: dict[tuple[str, str], float] = {}
    run = {query: documents for query, documents in ranking.for_measures().items() if documents}
    # The providers fail for a query that finds no document; it scores 0 below.
    qrels = {query: dict(judgements[query]) for query in judged if query in run}
    if theirs and qrels:
        for provider in _PROVIDERS:
            supported = [parsed for parsed in theirs.values() if _provider(parsed) is provider]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                for metric in provider.iter_calc(supported, qrels, run) if supported else ():
                    found[metric.query_id, str(metric.measure)] = float(metric.value)
    for name in measures:
        if name not in theirs:
            family, _, cutoff = name.partition("@")
            score = _xtreme if family == "mAP" else _reciprocal_rank
            for query, documents in zip(ranking.query_ids, ranking.document_ids, strict=True):
                if query in judgements:
                    found[query, name] = score(documents[: int(cutoff)], judgements[query], int(cutoff))
    return [
        QueryScore(query, name, found.get((query, str(theirs.get(name, name))), 0.0))
        for name in measures
        for query in judged
    ]


def parse_measure(name: str) -> Any:
    """Return the measure of ir-measures with that name, or None for ``mAP@k`` and ``RR@k``.

    Raises
    ------
    InputError
        If there is no such measure, or trec_eval does not compute it.
    """
    if _OURS.fullmatch(name):
        return None
    try:
        parsed = ir_measures.parse_measure(name)
    except (NameError, ValueError, SyntaxError, TypeError, KeyError) as error:
        known = ["mAP@20", "AP", "RR", "R@1", "R@10", "Success@1", "P@1", "nDCG@10", "RR@10"]
        raise InputError(f"unknown measure {name!r}{nearest(name, known)}") from error
    if _provider(parsed) is None:
        raise InputError(f"measure {name!r} is not computed by trec_eval; choose another measure")
    return parsed


def needs_ranks(name: str) -> bool:
    """Return whether the measure depends on the whole ranking and is computed from exact ranks."""
    return name in ("AP", "RR")


def ranks_suffice(name: str) -> bool:
    """Return whether `measure_from_ranks` computes the measure."""
    return _FROM_RANKS.fullmatch(name) is not None


def measure_from_ranks(name: str, ranks: Array, relevant: Array) -> Array:
    """Return a measure of each query, from the ranks of its relevant documents in the whole pool.

    Parameters
    ----------
    name : str
        ``AP`` or ``RR``, or one of ``AP``, ``mAP``, ``RR``, ``R``, ``P`` and ``Success`` with a cutoff.
    ranks : array of shape (N, R)
        Ranks, from one, of the relevant documents; 0 for padding and for documents that were not found.
    relevant : array of shape (N,)
        Number of relevant documents, found or not.

    Raises
    ------
    ValueError
        If the measure cannot be computed from these ranks.
    """
    if not ranks_suffice(name):
        raise ValueError(f"{name} cannot be computed from the ranks of relevant documents")
    family, _, cutoff = name.partition("@")
    inside = np.where(ranks <= int(cutoff), ranks, 0) if cutoff else ranks
    if family == "RR":
        return reciprocal_rank_from_ranks(inside)
    if family == "AP":
        return average_precision_from_ranks(inside, relevant)
    if family == "mAP":
        return average_precision_from_ranks(inside, np.minimum(relevant, int(cutoff)))
    hits = (inside > 0).sum(1)
    if family == "Success":
        return np.asarray(hits > 0, dtype=np.float64)
    return np.asarray(hits / (int(cutoff) if family == "P" else np.maximum(relevant, 1)), dtype=np.float64)


def depth_of(name: str) -> int | None:
    """Return the cutoff of a measure, or None."""
    parsed = parse_measure(name)
    if parsed is None:
        return int(name.partition("@")[2])
    cutoff = parsed.params.get("cutoff")
    return None if cutoff is None else int(cutoff)


def average_precision_from_ranks(ranks: Array, relevant: Array) -> Array:
    """Return average precision over whole rankings.

    Parameters
    ----------
    ranks : array of shape (N, R)
        Ranks, from one, of the relevant documents; 0 for padding and for documents that were not found.
    relevant : array of shape (N,)
        Number of relevant documents, found or not.

    Returns
    -------
    array of shape (N,)
        ``1/|relevant| sum_j j / rank_j`` over the documents that were found, in the order of their ranks.
    """
    ordered = np.sort(np.where(ranks > 0, ranks, np.inf), axis=1)
    total = (np.arange(1, ranks.shape[1] + 1) / ordered).sum(1)
    return np.asarray(total / np.maximum(relevant, 1), dtype=np.float64)


def reciprocal_rank_from_ranks(ranks: Array) -> Array:
    """Return 1 / rank of the first relevant document for `ranks` (N, R); 0 if none was found."""
    first = np.where(ranks > 0, ranks, np.inf).min(axis=1, initial=np.inf)
    return np.asarray(1.0 / first, dtype=np.float64)


def _provider(measure: Any) -> Any:
    return next((provider for provider in _PROVIDERS if provider.supports(measure)), None)


def _reciprocal_rank(documents: Sequence[str], grades: Mapping[str, int], cutoff: int) -> float:
    ranks = (rank for rank, document in enumerate(documents, 1) if grades.get(document, 0) > 0)
    return 1 / next(ranks, np.inf)


def _xtreme(documents: Sequence[str], grades: Mapping[str, int], cutoff: int) -> float:
    relevant = sum(grade > 0 for grade in grades.values())
    hits, total = 0, 0.0
    for rank, document in enumerate(documents, 1):
        if grades.get(document, 0) > 0:
            hits += 1
            total += hits / rank
    return total / min(relevant, cutoff) if relevant else 0.0
