"""From topics, judgements and documents as published to a `Collection`, with what trec_eval would say."""

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
    """What is said of a collection: its name, protocol, direction, measures, origin and licence."""

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
    """Make a collection.

    Topics without any judgement are left out, and topics with judgements but without a relevant document
    stay and score zero: both are what trec_eval does, and the collection's notes say how many there are.
    Documents that nobody judged are searched like all others and count as not relevant.

    Parameters
    ----------
    facts : CollectionFacts
    topics : iterable of Query
        Their ids are those of the collection.
    judgements : mapping of query id to iterable of Judgement
        The documents in them have the ids of the collection.
    documents : iterable of Document
        The whole pool.
    pool_limit : int, optional
        Keep the judged documents and at most this many others, drawn by a hash of their ids; the revision
        and a note say so, since figures on a smaller pool compare with no other.
    strict : bool
        Refuse judgements of documents that are not in the pool; otherwise they count as relevant and never
        found, as in trec_eval, and a note says how many.
    notes : sequence of str
        More to be said.

    Raises
    ------
    InputError
        If no topic is judged, the pool is empty, or, with `strict`, a judged document is missing.
    """
    every = list(topics)
    queries = tuple(query for query in every if query.id in judgements)
    if not queries:
        raise InputError(
            f"{facts.name}: no topic is judged; check that topics and judgements belong together"
        )
    if len({query.id for query in every}) < len(every):
        raise InputError(f"{facts.name}: some topics share an id; give each its own")
    grades: dict[str, dict[str, int]] = {}
    wanted: dict[str, Judgement] = {}
    for query in queries:
        grades[query.id] = {}
        for judgement in judgements[query.id]:
            grades[query.id][judgement.document] = judgement.grade
            wanted.setdefault(judgement.document, judgement)
    pool, dropped = _pool(documents, wanted, pool_limit)
    if not pool:
        raise InputError(f"{facts.name}: there is no document to search")
    ids = {document.id for document in pool}
    if len(ids) < len(pool):
        raise InputError(f"{facts.name}: some documents share an id; give each its own")
    missing = wanted.keys() - ids
    if missing and strict:
        first = min((wanted[document] for document in missing), key=lambda one: one.line or 0)
        name = first.document.partition(":")[2] or first.document
        raise InputError(
            f"document {name!r} is judged and not among the documents; "
            "fetch the file that has it, or remove the judgement",
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


def _pool(
    documents: Iterable[Document], wanted: Mapping[str, Judgement], limit: int | None
) -> tuple[list[Document], int]:
    """Return the documents to search, in their order, and how many were left out."""
    if limit is None:
        return list(documents), 0
    judged: list[tuple[int, Document]] = []
    others: list[tuple[int, int, Document]] = []  # a heap with the largest hash on top, as its negative
    count = 0
    for count, document in enumerate(documents, 1):
        if document.id in wanted:
            judged.append((count, document))
            continue
        key = -int.from_bytes(hashlib.blake2b(document.id.encode(), digest_size=8).digest())
        if len(others) < limit:
            heapq.heappush(others, (key, count, document))
        else:
            heapq.heappushpop(others, (key, count, document))
    kept = sorted([*judged, *((place, document) for _, place, document in others)], key=lambda pair: pair[0])
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
            f"{name}: the pool is cut to {pool:,} of {pool + dropped:,} documents; "
            "compare its figures with no other pool's"
        )
    return notes
