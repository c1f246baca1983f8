"""Building a `Collection` from topics, judgements and documents as published, as trec_eval treats them."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.collections.base import Collection, Direction, Document, Query, contents_revision
from engine.collections.trec import Judgement
from engine.counted import counted
from engine.errors import InputError

IgnoreIdentical = Literal["never", "unless-relevant", "always"]
"""Whether a document with the id of a query is taken out of its ranking; BEIR does so always."""


def published_id(identifier: str) -> str:
    """Return the id that a query or document was published with, without its language."""
    return identifier.partition(":")[2]


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
    ignore_identical: IgnoreIdentical = "never",
    topic_id: Callable[[str], str] = published_id,
    path: Path | None = None,
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
    ignore_identical : {"never", "unless-relevant", "always"}
        Whether a document with the published id of a query is taken out of that query's ranking: always,
        or unless it is judged relevant to the query. The revision and a note report it.
    topic_id : callable
        Returns the published id of a query from its id.
    path : path, optional
        Where it was read from, for messages.

    Raises
    ------
    InputError
        If no topic is judged, the pool is empty, two ids are equal, or a judged document is missing: a single
        one with `strict`, otherwise all of them.
    """
    every = list(topics)
    queries = tuple(query for query in every if query.id in judgements)
    if not queries:
        raise InputError(
            f"{facts.name}: no topic is judged; check that topics and judgements belong together", path=path
        )
    if len({query.id for query in every}) < len(every):
        raise InputError(
            f"{facts.name}: some topics share an id; give each topic an id of its own", path=path
        )
    grades: dict[str, dict[str, int]] = {}
    judged: dict[str, Judgement] = {}
    for query in queries:
        grades[query.id] = {}
        for judgement in judgements[query.id]:
            grades[query.id][judgement.document] = judgement.grade
            judged.setdefault(judgement.document, judgement)
    pool, dropped = _limit_pool(documents, judged, pool_limit)
    if not pool:
        raise InputError(f"{facts.name}: there is no document to search", path=path)
    ids = {document.id for document in pool}
    if len(ids) < len(pool):
        raise InputError(
            f"{facts.name}: some documents share an id; give each document an id of its own", path=path
        )
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
    if judged and len(missing) == len(judged):
        some = next(iter(judged.values()))
        raise InputError(
            f"{facts.name}: none of the {len(judged):,} judged documents is among the documents; check that "
            "judgements and documents belong together",
            path=some.path or path,
        )
    ignored, ignoring = _ignored(facts.name, queries, pool, grades, ignore_identical, topic_id)
    revision = contents_revision(queries, pool, grades)
    if ignored:
        revision += "-without-identical-ids"
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
        notes=(
            *notes,
            *_notes(facts.name, len(every), grades, len(missing), len(pool), dropped),
            *_blank_notes(facts.name, queries, pool),
            *ignoring,
        ),
        ignored=ignored,
    )


def _ignored(
    name: str,
    queries: Sequence[Query],
    pool: Sequence[Document],
    grades: Mapping[str, Mapping[str, int]],
    ignore: IgnoreIdentical,
    topic_id: Callable[[str], str],
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return the documents to take out of the rankings of queries, and notes about them."""
    asked = {topic_id(query.id) for query in queries}
    documents: dict[str, list[Document]] = {}
    for document in pool:
        if (identifier := published_id(document.id)) in asked:
            documents.setdefault(identifier, []).append(document)
    ignored: dict[str, tuple[str, ...]] = {}
    same_text = relevant = 0
    for query in queries:
        own = documents.get(topic_id(query.id), [])
        judged = [document for document in own if grades[query.id].get(document.id, 0) > 0]
        relevant += bool(judged)
        same_text += any(document.text == query.text for document in own)
        taken = tuple(document.id for document in own if ignore == "always" or document not in judged)
        if ignore != "never" and taken:
            ignored[query.id] = taken
    notes = []
    if ignored:
        notes.append(
            f"{name}: "
            + counted(
                len(ignored),
                "query has a document with its own id in the pool, which is taken out of its ranking",
                "queries have a document with their own id in the pool, which is taken out of their rankings",
            )
            + ", as BEIR does (ignore_identical_ids)"
        )
    if ignore == "never" and same_text:
        notes.append(
            f"{name}: "
            + counted(
                same_text,
                "query is in the pool itself, with the same id and text, and can find itself",
                "queries are in the pool themselves, with the same id and text, and can find themselves",
            )
            + "; ignore_identical_ids = true takes them out of the rankings"
        )
    if ignore == "unless-relevant" and relevant:
        notes.append(
            f"{name}: "
            + counted(
                relevant,
                "query has the id of a document that is judged relevant to it, which stays in its ranking",
                "queries have the id of a document that is judged relevant to them, which stays in their "
                "rankings",
            )
            + "; ignore_identical_ids = true takes it out, as BEIR does"
        )
    if ignore == "always" and relevant:
        notes.append(
            f"{name}: of these documents, those of {counted(relevant, 'query', 'queries')} are judged "
            "relevant and "
            "count as not found, as in BEIR"
        )
    return ignored, notes


def _blank_notes(name: str, queries: Sequence[Query], pool: Sequence[Document]) -> list[str]:
    notes = []
    if blank := sum(not query.text.strip() for query in queries):
        what = counted(blank, "query is empty; it finds", "queries are empty; they find")
        notes.append(f"{name}: {what} nothing and score{'s' * (blank == 1)} 0")
    if blank := sum(not (document.text.strip() or document.context.strip()) for document in pool):
        verb = "is empty and is" if blank == 1 else "are empty and are"
        notes.append(f"{name}: {blank:,} of {counted(len(pool), 'document')} {verb} never found")
    return notes


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
            f"{name}: {unjudged:,} of {counted(topics, 'topic')} {'has' if unjudged == 1 else 'have'} no "
            "judgement "
            f"and {'is' if unjudged == 1 else 'are'} left out, as in trec_eval"
        )
    if empty := sum(all(grade < 1 for grade in of.values()) for of in grades.values()):
        notes.append(
            f"{name}: {counted(empty, 'topic has', 'topics have')} no relevant document and "
            f"score{'s' * (empty == 1)} 0, as in trec_eval"
        )
    if missing:
        notes.append(
            f"{name}: {counted(missing, 'judged document is', 'judged documents are')} not in the pool; "
            "relevant ones count as not found"
        )
    if dropped:
        notes.append(
            f"{name}: the pool is reduced to {pool:,} of {counted(pool + dropped, 'document')}; "
            "its scores cannot be compared with those on another pool"
        )
    return notes
