"""Building a `Collection` from topics, judgements and documents as published, as trec_eval treats them."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.collections.base import Collection, Direction, Document, Query, contents_revision
from engine.collections.trec import Judgement
from engine.errors import InputError


@dataclass(frozen=True)
class CollectionFacts:
    """Facts about a collection: its name, protocol, direction, measures, and source with licence."""

    name: str
    protocol: str
    direction: Direction
    measures: tuple[str, ...]
    source: str


def build_collection(
    facts: CollectionFacts,
    topics: Iterable[Query],
    judgements: Mapping[str, Iterable[Judgement]],
    documents: Iterable[Document],
    *,
    pool_limit: int | None = None,
    strict: bool = True,
    notes: Sequence[str] = (),
) -> Collection:
    """Build a collection.

    Topics without any judgement are left out. Topics with judgements but without a relevant document are kept
    and score zero. trec_eval does both; the notes of the collection report how many topics there are of each.
    Documents without a judgement are searched like all others and count as not relevant.

    Parameters
    ----------
    facts : CollectionFacts
    topics : iterable of Query
        Their ids are those of the collection.
    judgements : mapping of query id to iterable of Judgement
        The ids of their documents are those of the collection.
    documents : iterable of Document
        The whole pool.
    pool_limit : int, optional
        Keep the judged documents and at most this many others, chosen by a hash of their ids. The revision
        and a note report it, because scores on a smaller pool cannot be compared with others.
    strict : bool
        Whether a judgement of a document that is not in the pool is an error. Otherwise a relevant document
        that is missing counts as not found, as in trec_eval, and a note reports how many there are.
    notes : sequence of str
        Further notes.

    Raises
    ------
    InputError
        If no topic is judged, the pool is empty, two ids are equal, or, with `strict`, a judged document is
        missing.
    """
    every = list(topics)
    queries = tuple(query for query in every if query.id in judgements)
    if not queries:
        raise InputError(
            f"{facts.name}: no topic is judged; check that topics and judgements belong together"
        )
    if len({query.id for query in every}) < len(every):
        raise InputError(f"{facts.name}: some topics share an id; give each topic an id of its own")
    grades: dict[str, dict[str, int]] = {}
    judged: dict[str, Judgement] = {}
    for query in queries:
        grades[query.id] = {}
        for judgement in judgements[query.id]:
            grades[query.id][judgement.document] = judgement.grade
            judged.setdefault(judgement.document, judgement)
    pool, dropped = _limit_pool(documents, judged, pool_limit)
    if not pool:
        raise InputError(f"{facts.name}: there is no document to search")
    ids = {document.id for document in pool}
    if len(ids) < len(pool):
        raise InputError(f"{facts.name}: some documents share an id; give each document an id of its own")
    missing = judged.keys() - ids
    if missing and strict:
        first = min((judged[document] for document in missing), key=lambda judgement: judgement.line or 0)
        name = first.document.partition(":")[2] or first.document
        raise InputError(
            f"document {name!r} is judged and not among the documents; "
            "fetch the file that contains it, or remove the judgement",
            path=first.path,
            line=first.line,
        )
    revision = contents_revision(queries, pool, grades)
    return Collection(
        name=facts.name,
        revision=f"{revision}-pool{pool_limit}" if dropped else revision,
        protocol=facts.protocol,
        direction=facts.direction,
        queries=queries,
        documents=tuple(pool),
        judgements=grades,
        measures=facts.measures,
        source=facts.source,
        notes=(*notes, *_notes(facts.name, len(every), grades, len(missing), len(pool), dropped)),
    )


def _limit_pool(
    documents: Iterable[Document], judged: Mapping[str, Judgement], limit: int | None
) -> tuple[list[Document], int]:
    """Return the documents to search, in their order, and the number of those that are left out."""
    if limit is None:
        return list(documents), 0
    kept: list[tuple[int, Document]] = []
    others: list[tuple[int, int, Document]] = []  # a heap of negative hashes, so the largest hash is on top
    count = 0
    for count, document in enumerate(documents, 1):
        if document.id in judged:
            kept.append((count, document))
            continue
        key = -int.from_bytes(hashlib.blake2b(document.id.encode(), digest_size=8).digest())
        if len(others) < limit:
            heapq.heappush(others, (key, count, document))
        else:
            heapq.heappushpop(others, (key, count, document))
    kept += ((place, document) for _, place, document in others)
    kept.sort(key=lambda numbered: numbered[0])
    return [document for _, document in kept], count - len(kept)


def _notes(
    name: str, topics: int, grades: Mapping[str, Mapping[str, int]], missing: int, pool: int, dropped: int
) -> list[str]:
    notes = []
    if unjudged := topics - len(grades):
        notes.append(
            f"{name}: {unjudged:,} of {topics:,} topics have no judgement and are left out, as in trec_eval"
        )
    if empty := sum(all(grade < 1 for grade in of.values()) for of in grades.values()):
        notes.append(f"{name}: {empty:,} topics have no relevant document and score 0, as in trec_eval")
    if missing:
        notes.append(
            f"{name}: {missing:,} judged documents are not in the pool; relevant ones count as not found"
        )
    if dropped:
        notes.append(
            f"{name}: the pool is reduced to {pool:,} of {pool + dropped:,} documents; "
            "its scores cannot be compared with those on another pool"
        )
    return notes
