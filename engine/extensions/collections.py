"""Collections as a registry: what a collection declares, and `COLLECTIONS`, which holds them by name.

A new collection is one module in `engine.collections` with a `CollectionReader` at its top level, or an entry
point of another distribution in the group ``optical_workbench.collections``. Everything that the program
knows about a collection is in that object: how it is read, which settings it has, how it is recognised and
counted in a folder, and what is published of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.extensions.published import Counts, LanguageFiles, PublishedData, RecognisedData
from engine.registry import Registry

if TYPE_CHECKING:
    from pydantic import BaseModel

OPTIONAL_SETTINGS = ("dataset", "split", "document_languages", "pool_limit", "mining")
"""Settings of `CollectionConfig` that only some collections have."""


@dataclass(frozen=True, kw_only=True)
class FolderLayout:
    """How a collection is found, counted and shown when its files lie in a folder.

    Attributes
    ----------
    recognise : callable, optional
        Takes a folder, the paths of all files in it (relative, with ``/``) and the language code that the
        user gave, if any. Returns what it recognises, None if the folder holds something else. Raises
        InputError if the folder holds the collection and is broken.
    recognise_file : callable, optional
        The same for a single file.
    general : bool
        Whether it recognises a common shape; such a layout is tried after all others.
    count : callable, optional
        Counts a whole folder, for a collection whose languages are read together. The code ``all`` stands for
        what the languages share.
    count_language : callable, optional
        Counts one language of a folder, given by its code.
    load_language : callable, optional
        Reads one language of a folder within seconds and returns a `Collection`. Needed for an example, and
        for the number of queries in the app's launch form; large collections have none.
    usage : callable, optional
        Takes an imported folder and its languages as recognised, and returns the settings that a run needs
        besides ``name`` and ``path``. Imported data is counted as a run with these settings reads it.
    """

    recognise: Callable[[Path, Sequence[str], str | None], RecognisedData | None] | None = None
    recognise_file: Callable[[Path], RecognisedData | None] | None = None
    general: bool = False
    count: Callable[[Path], Counts] | None = None
    count_language: Callable[[Path, str], Mapping[str, int]] | None = None
    load_language: Callable[[Path, str], Any] | None = None
    usage: Callable[[Path, Mapping[str, LanguageFiles]], Mapping[str, str | list[str]]] | None = None


@dataclass(frozen=True, kw_only=True)
class CollectionReader:
    """A kind of test collection, as ``name`` in ``[[collections]]`` chooses it.

    Attributes
    ----------
    name : str
        Value of the setting ``name``.
    meaning : str
        What it is, in one sentence.
    load : callable
        Takes the collection's settings (`engine.config.CollectionConfig`) and the seed of the run. Returns
        the collections (`engine.collections.base.Collection`), one for each pool.
    measures : mapping of str to tuple of str
        Measures of each of its protocols as ir-measures spells them, the headline measure first.
    optional_settings : tuple of str
        Those of `OPTIONAL_SETTINGS` that it has.
    settings : type of pydantic model, optional
        Further settings of its own. They are given at the same level as the others; `load` gets them from
        `CollectionConfig.own_settings`.
    check : callable, optional
        Takes the collection's settings and raises ValueError if they do not fit together.
    folder : str
        Its folder in the data home when the setting ``path`` is not given; empty for its name.
    pool : {"all", "own"}
        Whether its protocol searches the documents of all languages in one pool, or gives each language a
        pool of its own.
    symmetric : bool
        Whether queries and documents are texts of one kind, such as a sentence and its translation. Documents
        are then encoded with the prefix of queries, unless the encoder's settings name one for passages.
    translations : {"topics", "documents", "queries"}, optional
        Where human translations of its queries are: in the queries with the same topic in other languages, in
        the relevant documents, or in `Query.translation`. None if it has none.
    published : PublishedData, optional
        What is published of it.
    layout : FolderLayout
        How its files lie in a folder.
    """

    name: str
    meaning: str
    load: Callable[[Any, int], list[Any]]
    measures: Mapping[str, tuple[str, ...]]
    optional_settings: tuple[str, ...] = ()
    settings: type[BaseModel] | None = None
    check: Callable[[Any], None] | None = None
    folder: str = ""
    pool: Literal["all", "own"] = "own"
    symmetric: bool = False
    translations: Literal["topics", "documents", "queries"] | None = None
    published: PublishedData | None = None
    layout: FolderLayout = field(default_factory=FolderLayout)


COLLECTIONS: Registry[CollectionReader] = Registry(
    "collection",
    CollectionReader,
    "engine.collections",
    "optical_workbench.collections",
    first=("bitext",),
)
"""All collections by name."""


def protocol_measures(protocol: str) -> tuple[str, ...]:
    """Return the measures that the collections declare for a protocol, headline measures first."""
    declared = (reader.measures.get(protocol, ()) for reader in COLLECTIONS.values())
    return tuple(dict.fromkeys(measure for measures in declared for measure in measures))


def readers_by_generality() -> Iterator[CollectionReader]:
    """Yield the collections in the order in which a folder or file is tried, general layouts last."""
    yield from sorted(COLLECTIONS.values(), key=lambda reader: reader.layout.general)
