"""The pools of documents that a run was evaluated on, and how one of them is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from engine.collections.base import Collection
from engine.config import CollectionConfig, LexicalConfig, RunConfig
from engine.errors import InputError, nearest
from engine.inspect.cache import Cache
from engine.inspect.records import Hit


class RunPool(NamedTuple):
    """A pool of a run's collection.

    Attributes
    ----------
    label : str
        Label of the collection in the run's configuration.
    number : int
        Number of the pool in the collection, from zero.
    collection : Collection
        The pool's queries, documents and judgements.
    """

    label: str
    number: int
    collection: Collection


def pools_of(config: RunConfig | LexicalConfig, cache: Cache) -> list[RunPool]:
    """Return all pools that a run was evaluated on.

    Raises
    ------
    InputError
        If a collection is missing or broken.
    """
    return [
        RunPool(_label(entry), number, pool)
        for entry in config.collections
        for number, pool in enumerate(cache.collections(entry, config.seed))
    ]


def choose_pool(
    config: RunConfig | LexicalConfig, label: str | None, language: str, number: int | None, cache: Cache
) -> tuple[Collection, CollectionConfig]:
    """Return one pool, and the configuration of its collection.

    Parameters
    ----------
    config : RunConfig
        The run's configuration.
    label : str or None
        Label of the collection; None takes the first.
    language : str
        Code of the query's language.
    number : int or None
        Number of the pool; None takes the first for queries in `language`, or else the first of all.
    cache : Cache
        Loads the collection.

    Raises
    ------
    InputError
        If the run has no such collection or pool.
    """
    labels = [_label(entry) for entry in config.collections]
    if not labels:
        raise InputError(f"run {config.name!r} was evaluated on no collection, so there is nothing to search")
    if label is not None and label not in labels:
        raise InputError(
            f"the run has no collection {label!r}{nearest(label, labels)}; it has {', '.join(labels)}"
        )
    entry = config.collections[0 if label is None else labels.index(label)]
    pools = cache.collections(entry, config.seed)
    if number is None:
        return next((pool for pool in pools if language in pool.query_languages), pools[0]), entry
    if number >= len(pools):
        raise InputError(
            f"collection {label or labels[0]!r} has {len(pools)} pools, so there is no pool {number}"
        )
    return pools[number], entry


class AskedPool:
    """A pool that is asked in one language: what a query text and a document id mean in it.

    Parameters
    ----------
    collection : Collection
        The pool's queries, documents and judgements.
    language : str
        Code of the queries' language.
    """

    def __init__(self, collection: Collection, language: str) -> None:
        self.collection, self.language = collection, language

    def query_id(self, text: str) -> str | None:
        """Return the id of the collection's query `text` in this language, None if it has no such query."""
        return self._query_ids.get(" ".join(text.split()))

    def judgements(self, text: str) -> Mapping[str, int] | None:
        """Return the documents' grades for the query `text`, or None if the collection has no such query."""
        known = self.query_id(text)
        return None if known is None else self.collection.judgements.get(known, {})

    def document_index(self, document: str) -> int:
        """Return the place of the document of id `document` in the pool.

        Raises
        ------
        InputError
            If the pool has no such document.
        """
        try:
            return self._document_indices[document]
        except KeyError:
            raise InputError(
                f"the collection {self.collection.name!r} has no document {document!r}"
            ) from None

    def hits(self, text: str, scores: Sequence[float], indices: Sequence[int]) -> list[Hit]:
        """Return the documents `indices` as hits of the query `text`, without those that score -inf."""
        grades = self.judgements(text) or {}
        hits = []
        for rank, (score, index) in enumerate(zip(scores, indices, strict=True), 1):
            document = self.collection.documents[index]
            if score > float("-inf"):
                grade = grades.get(document.id)
                hits.append(Hit(rank, score, document.id, document.text, document.language, grade))
        return hits

    @cached_property
    def _query_ids(self) -> dict[str, str]:
        return {
            " ".join(query.text.split()): query.id
            for query in self.collection.queries
            if query.language == self.language
        }

    @cached_property
    def _document_indices(self) -> dict[str, int]:
        return {document.id: index for index, document in enumerate(self.collection.documents)}


def _label(entry: CollectionConfig) -> str:
    return entry.label or entry.name
