"""Measures of rankings: ir-measures with trec_eval's code, and two things that it does not offer.

``mAP@20``, with any cutoff, is XTREME's: ``sum over hits of precision / min(relevant, 20)``. The ``AP@20`` of
ir-measures divides by all relevant documents instead, so the two differ where more than 20 are relevant.

``AP`` and ``RR`` without a cutoff are computed from the exact ranks of the relevant documents in the whole
pool, which a ranking of the top documents does not tell and which need no list of all documents.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ir_measures
import numpy as np
import numpy.typing as npt
from torch import Tensor

from engine.errors import InputError, nearest
from engine.retrieval.ranking import Ranking
from engine.retrieval.topk import ranks_of

Array = npt.NDArray[np.float64]

_XTREME = re.compile(r"mAP@([1-9]\d*)")
_FROM_RANKS = ("AP", "RR")


class QueryScore(NamedTuple):
    """The value of one measure for one query."""

    query_id: str
    measure: str
    value: float


def score_rankings(
    ranking: Ranking, judgements: Mapping[str, Mapping[str, int]], measures: Sequence[str]
) -> list[QueryScore]:
    """Score rankings in the order they have, whatever their scores.

    Parameters
    ----------
    ranking : Ranking
        What is below its last document counts as not found, also by measures without a cutoff.
    judgements : mapping of query id to mapping of document id to grade
        Grades above zero are relevant; queries without judgements are not scored.
    measures : sequence of str
        As ir-measures spells them, or ``mAP@k``.

    Returns
    -------
    list of QueryScore
        For each measure in turn, all queries in the ranking's order.

    Raises
    ------
    InputError
        When a measure is unknown.
    """
    judged = [query for query in ranking.query_ids if query in judgements]
    theirs = {name: parsed for name in measures if (parsed := parse_measure(name)) is not None}
    found: dict[tuple[str, str], float] = {}
    if theirs and judged:
        qrels = {query: dict(judgements[query]) for query in judged}
        run = ranking.for_measures()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for metric in ir_measures.pytrec_eval.iter_calc(list(theirs.values()), qrels, run):
                found[metric.query_id, str(metric.measure)] = float(metric.value)
    for name in measures:
        if name not in theirs:
            cutoff = int(name.partition("@")[2])
            for query, documents in zip(ranking.query_ids, ranking.document_ids, strict=True):
                if query in judgements:
                    found[query, name] = _xtreme(documents[:cutoff], judgements[query], cutoff)
    return [
        QueryScore(query, name, found[query, str(theirs.get(name, name))])
        for name in measures
        for query in judged
    ]


def parse_measure(name: str) -> Any:
    """Return ir-measures' measure of that name, or None for ``mAP@k``, which is ours.

    Raises
    ------
    InputError
        When there is no such measure, or trec_eval does not compute it.
    """
    if _XTREME.fullmatch(name):
        return None
    try:
        parsed = ir_measures.parse_measure(name)
    except (NameError, ValueError, SyntaxError, TypeError, KeyError) as error:
        known = ["mAP@20", "AP", "RR", "R@1", "R@10", "Success@1", "P@1", "nDCG@10", "RR@10"]
        raise InputError(f"unknown measure {name!r}{nearest(name, known)}") from error
    if not ir_measures.pytrec_eval.supports(parsed):
        raise InputError(f"measure {name!r} is not among those that trec_eval computes")
    return parsed


def needs_ranks(name: str) -> bool:
    """Tell whether the measure takes the whole ranking into account and is computed from ranks."""
    return name in _FROM_RANKS


def depth_of(name: str) -> int | None:
    """Return a measure's cutoff; none where it has none."""
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
        Ranks, from one, of relevant documents; 0 where there is none or it was not found.
    relevant : array of shape (N,)
        Number of relevant documents, found or not.

    Returns
    -------
    array of shape (N,)
        ``1/|relevant| sum_j j / rank_j`` over the found ones in the order of their ranks; 0 without any.
    """
    ordered = np.sort(np.where(ranks > 0, ranks, np.inf), axis=1)
    total = (np.arange(1, ranks.shape[1] + 1) / ordered).sum(1)
    return np.asarray(total / np.maximum(relevant, 1), dtype=np.float64)


def average_precision_from_scores(scores: Tensor, wanted: Tensor) -> Array:
    """Return average precision over whole rankings, from a block of scores and without sorting it.

    Parameters
    ----------
    scores : Tensor of shape (N, M)
        Of M documents, all there are; equal scores keep the lower document first.
    wanted : Tensor of shape (N, R), int64
        The relevant documents, -1 for none.
    """
    ranks = ranks_of(scores, wanted).cpu().numpy()
    return average_precision_from_ranks(ranks, (wanted >= 0).sum(1).cpu().numpy())


def reciprocal_rank_from_ranks(ranks: Array) -> Array:
    """Return 1 / rank of the first relevant document for `ranks` (N, R) as above; 0 where none was found."""
    first = np.where(ranks > 0, ranks, np.inf).min(axis=1, initial=np.inf)
    return np.asarray(1.0 / first, dtype=np.float64)


def _xtreme(documents: Sequence[str], grades: Mapping[str, int], cutoff: int) -> float:
    relevant = sum(grade > 0 for grade in grades.values())
    hits, total = 0, 0.0
    for rank, document in enumerate(documents, 1):
        if grades.get(document, 0) > 0:
            hits += 1
            total += hits / rank
    return total / min(relevant, cutoff) if relevant else 0.0
