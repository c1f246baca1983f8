"""`Collection`: queries, documents, and judgements of which documents are relevant to which query."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from engine.bitext.drawing import draw_evenly
from engine.counted import counted

Direction = Literal["xx-en", "en-xx", "xx-xx"]


@dataclass(frozen=True, slots=True)
class Query:
    """A query.

    Attributes
    ----------
    id : str
        ``<language>:<topic>``; a topic is the same question in every language.
    text, language : str
        Its text, and the code of its language.
    group : str
        What it shares with the queries that depend on it: the article, the document of its sentence, the
        paragraph. Samples are drawn evenly from groups, and tests take groups as units. Empty if the
        collection does not know it; the query is then a group of its own.
    translation : str
        Its human translation into the language of the documents; empty if the collection has none.
    """

    id: str
    text: str
    language: str
    group: str = ""
    translation: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A document.

    `context` is the paragraph around it and `title` the title of its article, for collections that have one.
    The text includes the title if it is to be searched.
    """

    id: str
    text: str
    language: str
    context: str = ""
    title: str = ""


@dataclass(frozen=True)
class Collection:
    """A test collection with one pool of documents.

    Attributes
    ----------
    name : str
        Name under which its scores are stored.
    revision : str
        Short hash of its contents; scores of different revisions cannot be compared.
    protocol : str
        How it is evaluated, such as ``xtreme-r`` or ``bitext``.
    direction : {"xx-en", "en-xx", "xx-xx"}
        Language of the queries, then of the documents; ``xx`` stands for any language.
    queries, documents : tuple
        All ids are unique.
    judgements : mapping of query id to mapping of document id to grade
        Every query has an entry. Grades above zero are relevant. A relevant document that is not in the pool
        counts as not found, as in trec_eval.
    measures : tuple of str
        Measures of its protocol, as ir-measures spells them.
    reference : str
        A line to print with its scores; empty if there is none.
    source : str
        Where it comes from, and its licence.
    notes : tuple of str
        What was left out or counts in an unexpected way; reported when it is evaluated.
    ignored : mapping of query id to tuple of document ids
        Documents that are taken out of the ranking of a query, such as the query itself where the queries
        come from the pool.
    """

    name: str
    revision: str
    protocol: str
    direction: Direction
    queries: tuple[Query, ...]
    documents: tuple[Document, ...]
    judgements: Mapping[str, Mapping[str, int]]
    measures: tuple[str, ...]
    reference: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    ignored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def query_languages(self) -> tuple[str, ...]:
        """Languages of the queries, in the order of the queries."""
        return tuple(dict.fromkeys(query.language for query in self.queries))

    @cached_property
    def document_languages(self) -> tuple[str, ...]:
        """Languages of the documents, in the order of the documents."""
        return tuple(dict.fromkeys(document.language for document in self.documents))

    @property
    def document_language(self) -> str:
        """Language of the documents, or ``all`` if they have several."""
        return self.document_languages[0] if len(self.document_languages) == 1 else "all"

    def named(self, name: str) -> Collection:
        """Return the collection under another name."""
        return replace(self, name=name)

    def with_notes(self, notes: Iterable[str]) -> Collection:
        """Return the collection with `notes` added."""
        return replace(self, notes=(*self.notes, *notes))

    def sample(self, count: int) -> Collection:
        """Return the collection with a sample of at most `count` queries of each language.

        The queries are drawn by a hash of their topics and evenly from their groups
        (`engine.bitext.drawing.draw_evenly`): the same topics in every language, and no more of an article
        than its share. `revision` tells so. A collection without more queries is returned unchanged.
        """
        by_language = self._by_language()
        if all(len(queries) <= count for queries in by_language.values()):
            return self
        kept: set[str] = set()
        for queries in by_language.values():
            topics = [(query.group, query.id.partition(":")[2]) for query in queries]
            kept.update(queries[place].id for place in draw_evenly(topics, count))
        total = sum(map(len, by_language.values()))
        groups = {query.group or query.id for query in self.queries if query.id in kept}
        note = (
            f"{self.name}: a sample of {counted(count, 'query', 'queries')} of each language, "
            f"{len(kept):,} of {total:,}"
            + (
                f", from {counted(len(groups), 'group')}"
                if any(query.group for query in self.queries)
                else ""
            )
        )
        return replace(
            self,
            queries=tuple(query for query in self.queries if query.id in kept),
            revision=f"{self.revision}, sample of {count}",
            notes=(*self.notes, note),
        )

    def first(self, count: int) -> Collection:
        """Return the collection with the first `count` queries of each language; `revision` tells so."""
        by_language = self._by_language()
        if all(len(queries) <= count for queries in by_language.values()):
            return self
        kept = {query.id for queries in by_language.values() for query in queries[:count]}
        return replace(
            self,
            queries=tuple(query for query in self.queries if query.id in kept),
            revision=f"{self.revision}, first {count}",
        )

    def _by_language(self) -> dict[str, list[Query]]:
        by_language: dict[str, list[Query]] = {}
        for query in self.queries:
            by_language.setdefault(query.language, []).append(query)
        return by_language


def revision_of(contents: Iterable[bytes]) -> str:
    """Return a short hash of `contents` in their order: BLAKE2b, 12 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=6)
    for content in contents:
        digest.update(len(content).to_bytes(8))
        digest.update(content)
    return digest.hexdigest()


def contents_revision(
    queries: Iterable[Query], documents: Iterable[Document], judgements: Mapping[str, Mapping[str, int]]
) -> str:
    """Return a short hash of what a collection contains, independent of how its files are packed."""
    lines = [f"{query.id}\t{query.text}\t{sorted(judgements[query.id].items())}" for query in queries]
    texts = (f"{document.id}\t{document.text}\t{document.context}" for document in documents)
    return revision_of(line.encode() for part in (lines, texts) for line in part)
