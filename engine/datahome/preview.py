"""What a run would read of a file or folder: its first entries, its counts, and what is dropped and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from engine.bitext.drops import Drops
from engine.bitext.files import find, shards
from engine.bitext.hub import hub_path
from engine.bitext.source import open_source
from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.config import BitextConfig, CollectionConfig
from engine.datahome.formats.recognise import recognise
from engine.errors import InputError
from engine.extensions.collections import COLLECTIONS
from engine.extensions.published import RecognisedData
from engine.paths import expanded


@dataclass(frozen=True)
class Preview:
    """What a run would read of a file or folder in one language, or of one pool of a collection.

    Attributes
    ----------
    format : str
        What the data is.
    language, target_language : str
        Languages of the queries or sources, and of the documents or targets.
    settings : dict of str to str or list of str
        The settings of ``[[bitext]]`` or ``[[collections]]`` by which a run reads it.
    counts : dict of str to int
        Numbers of pairs, or of queries, documents and judgements.
    dropped : dict of str to int
        Numbers of pairs that are dropped, by reason.
    first : list of (str, str)
        The first pairs, or queries with a relevant document.
    notes : tuple of str
        What was left out of a collection or counts in an unexpected way.
    problem : str
        Why it cannot be read; ``""`` if it can.
    """

    format: str
    language: str
    target_language: str
    settings: dict[str, str | list[str]]
    counts: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    first: list[tuple[str, str]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    problem: str = ""


def preview(path: str | Path, language: str | None = None, entries: int = 3) -> list[Preview]:
    """Read a file or folder of bitext or a collection as a run does.

    Parameters
    ----------
    path : str or Path
        A file, a folder, the prefix of a split's files, or a dataset of the hub (``hf://datasets/...``). An
        archive that no reader opens itself has to be imported first.
    language : str, optional
        Its language, if the data does not name it.
    entries : int
        How many first entries are returned.

    Raises
    ------
    InputError
        If it is not recognised, or its languages are unknown.
    """
    hub = hub_path(path)
    named: Callable[[Path], str] = str if hub is None else hub.address_of
    place = expanded(path) if hub is None else find(path)
    if not place.exists() and (files := shards(place)):
        found = recognise(files[0], language)
        return [_pairs(named(place), found, code, entries) for code in sorted(found.languages)]
    found = recognise(place, language)
    if found.kind == "collection":
        return _collection(found, named(found.root), language, entries)
    return [
        _pairs(named(found.root / part.path if part.path else place), found, code, entries)
        for code, part in sorted(found.languages.items())
    ]


def _pairs(path: str, found: RecognisedData, code: str, entries: int) -> Preview:
    source = BitextConfig(
        path=path,
        format=found.reader,
        language=code,
        target_language=found.languages[code].target_language,
    )
    settings: dict[str, str | list[str]] = {
        "path": source.path,
        "format": source.format,
        "language": code,
    }
    if source.target_language != "en":
        settings["target_language"] = source.target_language
    drops, problem = Drops(), ""
    first: list[tuple[str, str]] = []
    try:
        for pair in open_source(source, drops):
            if len(first) < entries:
                first.append((pair.source, pair.target))
    except InputError as error:
        problem = str(error)
    counts = {"read": drops.read, "used": drops.kept}
    return Preview(
        found.format, code, source.target_language, settings, counts, drops.counts(), first, (), problem
    )


def _collection(found: RecognisedData, path: str, language: str | None, entries: int) -> list[Preview]:
    reader = COLLECTIONS[found.reader]
    settings: dict[str, str | list[str]] = {"name": reader.name, "path": path}
    if reader.layout.usage is not None:
        settings |= reader.layout.usage(found.root, found.languages)
    elif language is not None:
        settings["languages"] = [language]
    config = CollectionConfig.model_validate(settings)
    previews = []
    for collection in load_collections(config):
        texts = {document.id: document.text for document in collection.documents}
        judged = sum(map(len, collection.judgements.values()))
        by_language = Counter(query.language for query in collection.queries)
        for code, queries in by_language.items():
            counts = {"queries": queries, "documents": len(collection.documents), "judgements": judged}
            first = _queries(collection, texts, code, entries)
            previews.append(
                Preview(
                    found.format,
                    code,
                    collection.document_language,
                    settings,
                    counts,
                    {},
                    first,
                    collection.notes,
                )
            )
    return previews


def _queries(
    collection: Collection, texts: Mapping[str, str], code: str, entries: int
) -> list[tuple[str, str]]:
    """Return the first queries in a language, each with the text of a relevant document."""
    asked = (query for query in collection.queries if query.language == code)
    found = []
    for query in islice(asked, entries):
        grades = collection.judgements[query.id]
        answer = next((texts[one] for one, grade in grades.items() if grade > 0 and one in texts), "")
        found.append((query.text, answer))
    return found
