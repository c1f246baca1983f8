"""Loading the collections that a configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.collections.base import Collection

if TYPE_CHECKING:
    from engine.config import CollectionConfig


def load_collections(config: CollectionConfig, seed: int = 0) -> list[Collection]:
    """Load the collections that `config` names.

    Relative paths are searched in the working folder, then in the data home.

    Parameters
    ----------
    config : CollectionConfig
    seed : int
        Seed that draws the sentence pairs of bitext sources with a limit.

    Returns
    -------
    list of Collection
        One for each pool. Whether the documents of several languages share a pool depends on the protocol of
        the collection (`CollectionReader.pool`) and on the setting `pool`.

    Raises
    ------
    InputError
        If a file is missing or broken.
    """
    loaded = config.reader.load(config, seed)
    if config.label:
        # One entry may give collections whose names differ in what follows the entry's name.
        loaded = [
            collection.named(config.label + collection.name.removeprefix(config.name))
            for collection in loaded
        ]
    if config.limit is not None:
        return [collection.sample(config.limit) for collection in loaded]
    if config.first is not None:
        return [collection.first(config.first) for collection in loaded]
    return loaded
