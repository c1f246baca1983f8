"""Local bitext and its number of pairs by language. Called in threads only.

Sources are the datasets that ``optical-workbench data list`` lists, and the bitext of earlier runs. Counting
reads a whole source, so counts are cached together with the state of the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.atomic import replacing
from engine.errors import InputError, OpticalError
from engine.paths import cache_home
from engine.results.record import known_settings

DAMAGED = -1
"""The count of a source that cannot be read."""

EARLIER = "earlier runs"


@dataclass(frozen=True)
class Source:
    """One language of one source.

    Attributes
    ----------
    path : str
        The value of ``path`` in a configuration.
    language : str
        The code of the language.
    origin : str
        The dataset's name, or `EARLIER`.
    kind : str
        ``bitext``, ``catalogues`` or ``collection``.
    stamp : str
        Changes when the files change.
    target : str
        The language of the other side.
    collection : str
        The collection that reads it; empty for bitext and catalogues.
    """

    path: str
    language: str
    origin: str
    kind: str
    stamp: str
    target: str = "en"
    collection: str = ""

    @property
    def key(self) -> str:
        """The key of the cached count."""
        return f"{self.origin}|{self.path}|{self.language}"


def find_sources(runs: Iterable[dict[str, Any]] = ()) -> list[Source]:
    """Return each language of each local dataset, and further bitext in the configurations of `runs`."""
    from engine.datahome.datasets import datasets

    found: dict[tuple[str, str], Source] = {}
    for dataset in datasets():
        for code, files in dataset.files.items():
            target = dataset.manifest.languages[code].target_language if dataset.manifest else "en"
            path = dataset.path(code)
            found[path, code] = Source(
                path, code, dataset.name, dataset.kind, _stamp(files), target, dataset.collection
            )
    for run in runs:
        for settings in known_settings(run).get("bitext", ()):
            source_key = (str(settings.get("path")), str(settings.get("language")))
            if source_key not in found and (file := _file(source_key[0])) is not None:
                found[source_key] = Source(*source_key, EARLIER, "bitext", _stamp([file]))
    return list(found.values())


def can_be_counted(source: Source) -> bool:
    """Return whether counting takes seconds; large collections have millions of documents."""
    from engine.extensions.collections import COLLECTIONS

    if source.kind != "collection":
        return True
    reader = COLLECTIONS.get(source.collection)
    return reader is not None and reader.layout.load_language is not None


class PairCounts:
    """The numbers of pairs by source, with those that were cached in earlier sessions."""

    def __init__(self) -> None:
        self._known: dict[str, list[Any]] = {}
        with suppress(OSError, ValueError):
            read = json.loads(_cache_file().read_text("utf-8"))
            if isinstance(read, dict):
                self._known = {key: value for key, value in read.items() if _is_count(value)}

    def known(self, source: Source) -> int | None:
        """Return the count of `source`, `DAMAGED`, or None if it was not counted since its files changed."""
        stamp, count = self._known.get(source.key, ("", None))
        return count if stamp == source.stamp else None

    def count(self, source: Source) -> int:
        """Count the pairs without empty, repeated and overlong ones, or the queries of a collection."""
        try:
            count = _queries(source) if source.kind == "collection" else _pairs(source)
        except (OpticalError, OSError):
            count = DAMAGED
        self._known[source.key] = [source.stamp, count]
        return count

    def save(self) -> None:
        """Write the cache; it is not an error if that is not possible."""
        file = _cache_file()
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file, sync=False) as temporary:
                temporary.write_text(json.dumps(self._known, ensure_ascii=False), "utf-8")


def _pairs(source: Source) -> int:
    from engine.bitext.drops import Drops
    from engine.bitext.reader import open_bitext

    drops = Drops()
    for _ in open_bitext(source.path, language=source.language, target_language=source.target, drops=drops):
        pass
    return drops.kept


def _queries(source: Source) -> int:
    from engine.bitext.files import find
    from engine.extensions.collections import COLLECTIONS

    load_language = COLLECTIONS[source.collection].layout.load_language
    assert load_language is not None  # see `can_be_counted`
    return len(load_language(find(source.path), source.language).queries)


def _cache_file() -> Path:
    return cache_home() / "pair-counts.json"


def _is_count(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[1], int)


def _file(path: str) -> Path | None:
    from engine.bitext.files import find

    if not path or path.startswith("package:"):
        return None
    with suppress(InputError, OSError):
        return find(path)
    return None


def _stamp(files: Iterable[Path]) -> str:
    size = newest = 0
    for file in files:
        with suppress(OSError):
            status = file.stat()
            size, newest = size + status.st_size, max(newest, status.st_mtime_ns)
    return f"{size}-{newest}"
