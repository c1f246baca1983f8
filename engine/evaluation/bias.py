"""Measure which languages a system prefers when one pool has documents in several languages.

``Share@10:sw``
    Share of Swahili among the first ten documents, averaged over the queries of one language. Without bias
    it is the same for all query languages. Compare it with the share of Swahili among the relevant documents.
``RR:sw``
    Reciprocal rank, in the whole pool, of the best relevant document in Swahili, averaged over the queries
    that have one. Together these values are a table of query language by document language.
``RankDistance``
    Distance between the ranks of relevant documents in different languages: the mean of ``|rank - rank'|``
    over all pairs of such documents of a query. In LAReQA these documents are translations of each other,
    so the distance is small without bias.
``OwnFirst``
    Monolingual preference. Of all pairs of a relevant document in the query's language and one in another
    language, the share in which the document in the query's language has the better rank. A value of 0.5
    means no preference, 1 a strict one.
``LPR``
    Language preference rate, after MLAIRE (arXiv 2605.07249): the share of queries whose best-ranked relevant
    document is in the query's language. In a pool of parallel passages in L languages it is 1/L without
    preference.
``LangnDCG@10``
    nDCG with a preference for the query's language, after the same paper: a relevant document in the query's
    language has the gain 1, one in another language 0.5. The gains are our choice.
``Max@R``
    The rank at which all relevant documents have been found, which is that of the last (arXiv 2604.05684).
    Lower is better. A system that finds only one language first has a large one.
``Complete@10``
    The share of queries whose relevant documents, in all languages, are all among the first ten (the same
    paper). It is 0 for a query with more than ten.

``OwnFirst``, ``LPR`` and ``LangnDCG@10`` are computed for queries that have relevant documents in their own
language and in another one, ``Max@R`` and ``Complete@10`` for those that have them in two languages. Ranks
are exact ranks in the whole pool. A relevant document that was not found counts as ranked after all
documents that were found. A pair of two documents that were not found is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from engine.collections.base import Collection
from engine.evaluation.language_score import LanguageScore
from engine.retrieval.topk import Found

PROTOCOL = "bias"
SHARE_PROTOCOL = "share"
RANK_PROTOCOL = "by-language"

#: Number of first documents whose languages are counted.
FIRST = 10

Integers = npt.NDArray[np.int64]


def language_bias(collection: Collection, found: Found, relevant: Integers) -> list[LanguageScore]:
    """Measure the language bias of a search.

    Parameters
    ----------
    collection : Collection
        With documents in several languages.
    found : Found
        The search's result for all queries of the collection.
    relevant : array of shape (N, R), int64
        Indices of the relevant documents whose ranks are in `found`; -1 for none.

    Returns
    -------
    list of LanguageScore
        Shares and reciprocal ranks for each pair of languages; all other measures for each query language,
        with the values of single queries.
    """
    number = {code: index for index, code in enumerate(collection.document_languages)}
    languages = np.array([number[document.language] for document in collection.documents])
    ranks = found.ranks.cpu().numpy()
    held = np.where(relevant >= 0, languages[relevant], -1)
    asked = np.array([query.language for query in collection.queries])
    top = found.indices[:, :FIRST].cpu().numpy()
    seen = np.where(found.scores[:, :FIRST].cpu().numpy() > -np.inf, languages[top], -1)
    scores: list[LanguageScore] = []
    for code in collection.query_languages:
        rows = np.flatnonzero(asked == code)
        scores += _shares(code, collection.document_languages, seen[rows])
        scores += _best_ranks(code, collection.document_languages, ranks[rows], held[rows])
        others: dict[str, dict[str, float]] = {}
        distances: dict[str, float] = {}
        preferences: dict[str, float] = {}
        own = number.get(code, -1)
        for row in rows.tolist():
            query = collection.queries[row].id
            distance, preference = _pairs(ranks[row], held[row], own, len(languages))
            measures = _language_measures(ranks[row], held[row], own, len(languages))
            for measure, value in measures.items():
                others.setdefault(measure, {})[query] = value
            if distance is not None:
                distances[query] = distance
            if preference is not None:
                preferences[query] = preference
        for measure, values in {"RankDistance": distances, "OwnFirst": preferences, **others}.items():
            if values:
                scores.append(LanguageScore.mean(code, "all", measure, values, PROTOCOL))
    return scores


def _shares(code: str, pool: tuple[str, ...], seen: Integers) -> Iterator[LanguageScore]:
    counts = np.maximum((seen >= 0).sum(1), 1)
    for index, document_language in enumerate(pool):
        share = float(((seen == index).sum(1) / counts).mean())
        measure = f"Share@{FIRST}:{document_language}"
        yield LanguageScore(code, document_language, measure, share, len(seen), protocol=SHARE_PROTOCOL)


def _best_ranks(code: str, pool: tuple[str, ...], ranks: Integers, held: Integers) -> Iterator[LanguageScore]:
    for index, document_language in enumerate(pool):
        has = (held == index).any(1)
        if has.any():
            best = np.where((held == index) & (ranks > 0), ranks, np.inf).min(1)[has]
            value = float((1 / best).mean())
            measure = f"RR:{document_language}"
            yield LanguageScore(
                code, document_language, measure, value, int(has.sum()), protocol=RANK_PROTOCOL
            )


def _language_measures(ranks: Integers, held: Integers, own: int, size: int) -> dict[str, float]:
    """Return one query's values of the measures that look at all of its relevant documents by language."""
    places, languages = ranks[held >= 0], held[held >= 0]
    if len(set(languages.tolist())) < 2:
        return {}
    found = np.where(places > 0, places, size)
    measures = {
        "Max@R": float(found.max()),
        f"Complete@{FIRST}": float(bool((places > 0).all() and found.max() <= FIRST)),
    }
    if (languages == own).any():
        gains = np.where(languages == own, 1.0, 0.5)
        seen = (places > 0) & (places <= FIRST)
        ideal = np.sort(gains)[::-1][:FIRST] / np.log2(np.arange(2, min(len(gains), FIRST) + 2))
        measures["LPR"] = float((places > 0).any() and languages[found.argmin()] == own)
        measures[f"LangnDCG@{FIRST}"] = float((gains[seen] / np.log2(1 + places[seen])).sum() / ideal.sum())
    return measures


def _pairs(ranks: Integers, held: Integers, own: int, size: int) -> tuple[float | None, float | None]:
    """Return one query's rank distance and own-language preference; None where no pair counts."""
    places, languages = ranks[held >= 0], held[held >= 0]
    if not len(places) or not (places > 0).any():
        return None, None
    lost = places == 0
    places = np.where(lost, size, places)
    first, second = np.triu_indices(len(places), 1)
    counted = (languages[first] != languages[second]) & ~(lost[first] & lost[second])
    first, second = first[counted], second[counted]
    distance = float(np.abs(places[first] - places[second]).mean()) if len(first) else None
    mine = (languages[first] == own) | (languages[second] == own)
    first, second = first[mine], second[mine]
    if not len(first):
        return distance, None
    swapped = languages[second] == own
    ahead = np.where(swapped, places[second] < places[first], places[first] < places[second])
    return distance, float(ahead.mean())
