"""Which languages a system prefers, where documents of several languages share one pool.

``Share@10:sw``
    Share of Swahili among the first ten documents, averaged over queries of one language. Without bias it
    is the same for all query languages. Compare it with Swahili's share of the relevant documents.
``RR:sw``
    Reciprocal rank, in the whole pool, of the best relevant document in Swahili, over the queries that have
    one: the table of query language by document language.
``RankDistance``
    How far apart relevant documents in different languages stand: the mean of ``|rank - rank'|`` over all
    pairs of them, of a query. They are translations of each other in LAReQA, so without bias it is small.
``OwnFirst``
    Monolingual preference: the share of pairs of a relevant document in the query's language and one in
    another in which the query's own stands first. One half is no preference, 1 is a strict one.

Ranks are exact ones in the whole pool. A relevant document that was not found stands behind all that were;
pairs of two such say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from engine.collections.base import Collection
from engine.evaluation.figure import Aside
from engine.retrieval.topk import Found

PROTOCOL = "bias"
SHARE_PROTOCOL = "share"
RANK_PROTOCOL = "by-language"

#: The first documents whose languages are counted.
FIRST = 10

Integers = npt.NDArray[np.int64]


def language_bias(collection: Collection, found: Found, relevant: Integers) -> list[Aside]:
    """Measure the language bias of a search.

    Parameters
    ----------
    collection : Collection
        With documents in several languages.
    found : Found
        The search's result for all queries of the collection.
    relevant : array of shape (N, R), int64
        Places of the relevant documents whose ranks `found` has, -1 for none.

    Returns
    -------
    list of Aside
        Shares and reciprocal ranks for each pair of languages, distance and preference for each language
        of queries. The latter two keep their queries' values.
    """
    number = {code: index for index, code in enumerate(collection.document_languages)}
    languages = np.array([number[document.language] for document in collection.documents])
    ranks = found.ranks.cpu().numpy()
    held = np.where(relevant >= 0, languages[relevant], -1)
    asked = np.array([query.language for query in collection.queries])
    top = found.indices[:, :FIRST].cpu().numpy()
    seen = np.where(found.scores[:, :FIRST].cpu().numpy() > -np.inf, languages[top], -1)
    figures: list[Aside] = []
    for code in collection.query_languages:
        rows = np.flatnonzero(asked == code)
        figures += _shares(code, collection.document_languages, seen[rows])
        figures += _best_ranks(code, collection.document_languages, ranks[rows], held[rows])
        distances: dict[str, float] = {}
        preferences: dict[str, float] = {}
        for row in rows.tolist():
            distance, preference = _pairs(ranks[row], held[row], number.get(code, -1), len(languages))
            if distance is not None:
                distances[collection.queries[row].id] = distance
            if preference is not None:
                preferences[collection.queries[row].id] = preference
        for measure, values in (("RankDistance", distances), ("OwnFirst", preferences)):
            if values:
                figures.append(Aside.mean(PROTOCOL, code, "all", measure, values))
    return figures


def _shares(code: str, pool: tuple[str, ...], seen: Integers) -> Iterator[Aside]:
    counts = np.maximum((seen >= 0).sum(1), 1)
    for index, document_language in enumerate(pool):
        share = float(((seen == index).sum(1) / counts).mean())
        yield Aside(
            SHARE_PROTOCOL, code, document_language, f"Share@{FIRST}:{document_language}", share, len(seen)
        )


def _best_ranks(code: str, pool: tuple[str, ...], ranks: Integers, held: Integers) -> Iterator[Aside]:
    for index, document_language in enumerate(pool):
        has = (held == index).any(1)
        if has.any():
            best = np.where((held == index) & (ranks > 0), ranks, np.inf).min(1)[has]
            value = float((1 / best).mean())
            yield Aside(
                RANK_PROTOCOL, code, document_language, f"RR:{document_language}", value, int(has.sum())
            )


def _pairs(ranks: Integers, held: Integers, own: int, size: int) -> tuple[float | None, float | None]:
    """Return one query's rank distance and own-language preference, None where no pair tells."""
    places, languages = ranks[held >= 0], held[held >= 0]
    if not len(places) or not (places > 0).any():
        return None, None
    lost = places == 0
    places = np.where(lost, size, places)
    first, second = np.triu_indices(len(places), 1)
    telling = (languages[first] != languages[second]) & ~(lost[first] & lost[second])
    first, second = first[telling], second[telling]
    distance = float(np.abs(places[first] - places[second]).mean()) if len(first) else None
    mine = (languages[first] == own) | (languages[second] == own)
    first, second = first[mine], second[mine]
    if not len(first):
        return distance, None
    swapped = languages[second] == own
    ahead = np.where(swapped, places[second] < places[first], places[first] < places[second])
    return distance, float(ahead.mean())
