"""The pools of documents that a run was evaluated on, and how one of them is chosen."""

from __future__ import annotations

from typing import NamedTuple

from engine.collections.base import Collection
from engine.config import CollectionConfig, LexicalConfig, RunConfig
from engine.errors import InputError, nearest
from engine.inspect.cache import Cache


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


def _label(entry: CollectionConfig) -> str:
    return entry.label or entry.name
