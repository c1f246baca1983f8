"""`Collection`: queries, documents and which of them belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

Direction = Literal["xx-en", "en-xx", "xx-xx"]


@dataclass(frozen=True, slots=True)
class Query:
    """One query; `id` is ``<language>:<topic>``, the topic being the same in every language that has it."""

    id: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Document:
    """One document; `context` is the paragraph around it, where the collection has one."""

    id: str
    text: str
    language: str
    context: str = ""


@dataclass(frozen=True)
class Collection:
    """A test collection: what is searched, for what, and what should be found.

    Attributes
    ----------
    name : str
        Name under which its figures are stored.
    revision : str
        Short hash of the contents it was made from; figures of different revisions do not compare.
    protocol : str
        How queries meet documents, such as ``xtreme-r`` or ``bitext``.
    direction : {"xx-en", "en-xx", "xx-xx"}
        Language of the queries, then of the documents; ``xx`` is any.
    queries, documents : tuple
        All ids are unique.
    judgements : mapping of query id to mapping of document id to grade
        Every query has an entry. Grades above zero are relevant; a document that is not in the pool is
        relevant and never found, as trec_eval has it.
    measures : tuple of str
        Measures of its protocol, as ir-measures spells them.
    reference : str
        A line to print beside its figures, if there is one.
    source : str
        Where it comes from, and its licence.
    notes : tuple of str
        What was left out or counts otherwise than one may think, to be said when it is evaluated.
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

    @cached_property
    def query_languages(self) -> tuple[str, ...]:
        """Languages of the queries, in the order of the queries."""
        return tuple(dict.fromkeys(query.language for query in self.queries))

    @cached_property
    def pool(self) -> tuple[str, ...]:
        """Languages of the documents, in the order of the documents."""
        return tuple(dict.fromkeys(document.language for document in self.documents))

    @property
    def document_language(self) -> str:
        """The documents' language, or ``all`` where they have several."""
        return self.pool[0] if len(self.pool) == 1 else "all"

    def named(self, name: str) -> Collection:
        """Return the collection under another name."""
        return replace(self, name=name)

    def noted(self, notes: Iterable[str]) -> Collection:
        """Return the collection with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def first(self, count: int) -> Collection:
        """Return the collection with the first `count` queries of each language; `revision` says so."""
        seen: dict[str, int] = {}
        kept = []
        for query in self.queries:
            seen[query.language] = seen.get(query.language, 0) + 1
            if seen[query.language] <= count:
                kept.append(query)
        return replace(self, queries=tuple(kept), revision=f"{self.revision}-first{count}")


def revision_of(contents: Iterable[bytes]) -> str:
    """Return a short hash of contents in their order: BLAKE2b, 12 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=6)
    for content in contents:
        digest.update(len(content).to_bytes(8))
        digest.update(content)
    return digest.hexdigest()


def contents_revision(
    queries: Iterable[Query], documents: Iterable[Document], judgements: Mapping[str, Mapping[str, int]]
) -> str:
    """Return a short hash of what a collection holds, however its files were packed."""
    lines = [f"{query.id}\t{query.text}\t{sorted(judgements[query.id].items())}" for query in queries]
    texts = (f"{document.id}\t{document.text}\t{document.context}" for document in documents)
    return revision_of(line.encode() for part in (lines, texts) for line in part)
