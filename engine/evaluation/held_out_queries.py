"""Held-out queries, on which settings are chosen: none of them may be among the queries that are reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from engine.collections.base import Collection
from engine.errors import InputError
from engine.evaluation.significance import topic_of

Mark = tuple[str, ...]


def held_out_queries(held_out: Collection, reported: Iterable[Collection]) -> list[int]:
    """Return the places of the queries of `held_out` whose topics are not among those reported.

    Two queries have one topic if they are the same text in one language, if the same documents, by their
    text, answer both, as those of a translated question do, or if they have one number and a document that
    answers both. A number alone is no topic: the questions of two parts may be numbered alike.

    Raises
    ------
    InputError
        If no query is left.
    """
    seen = {mark for collection in reported for marks in _marks(collection) for mark in marks}
    kept = [place for place, marks in enumerate(_marks(held_out)) if seen.isdisjoint(marks)]
    if not kept:
        raise InputError(
            f"all {len(held_out.queries):,} queries of {held_out.name!r} are also reported, and settings "
            "that are chosen on what is reported say nothing about other queries; choose them on another part"
        )
    return kept


def restricted(collection: Collection, places: Sequence[int]) -> Collection:
    """Return `collection` with the queries at `places` only; a note says how many were left out."""
    left = len(collection.queries) - len(places)
    if not left:
        return collection
    queries = tuple(collection.queries[place] for place in places)
    note = (
        f"{collection.name}: {left:,} of {len(collection.queries):,} held-out queries were left out, because "
        "their topics are reported"
    )
    return replace(
        collection,
        queries=queries,
        judgements={query.id: collection.judgements[query.id] for query in queries},
        ignored={
            query.id: collection.ignored[query.id] for query in queries if query.id in collection.ignored
        },
        revision=f"{collection.revision}-without{left}",
    ).with_notes([note])


def _marks(collection: Collection) -> Iterator[list[Mark]]:
    """Yield what identifies the topic of each query."""
    texts = {document.id: _plain(document.text) for document in collection.documents}
    for query in collection.queries:
        marks: list[Mark] = [("text", query.language, _plain(query.text))]
        grades = collection.judgements[query.id]
        answers = sorted(texts.get(document, "") for document, grade in grades.items() if grade > 0)
        if answers and all(answers):
            marks.append(("answers", *answers))
        marks += [("number", topic_of(query.id), answer) for answer in answers if answer]
        yield marks


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
