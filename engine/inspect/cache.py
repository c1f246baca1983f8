"""Keep encoders, collections and document vectors in memory, so that the next query finds them loaded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.config import CollectionConfig, TranslationConfig
from engine.encoders.encoder import Encoder, Role
from engine.evaluation.finished_run import SavedEncoder
from engine.evaluation.query_translation import open_translator
from engine.reporting import SILENT, Reporter
from engine.retrieval.single import PreparedSearch
from engine.retrieval.vectors import cache_file, vectors_folder
from engine.translation.translator import Translator

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The values that were used last.

    Parameters
    ----------
    most : int
        The most values that are kept. A new value replaces the one that was not used for the longest time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[str, Value] = OrderedDict()

    def find(self, key: str) -> Value | None:
        """Return the value of `key`, or None."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def get(self, key: str, make: Callable[[], Value]) -> Value:
        """Return the value of `key`, made by `make` if it is not kept."""
        if key not in self._values:
            # Drop the old value first: both may not fit into memory.
            while len(self._values) >= self._most:
                self._values.popitem(last=False)
            self._values[key] = make()
        self._values.move_to_end(key)
        return self._values[key]

    def drop(self, key: str) -> None:
        """Remove the value of `key`, if it is kept."""
        self._values.pop(key, None)


class Cache:
    """Everything that is slow to load, kept by its content and not by the run that uses it.

    Two runs whose documents are encoded by one teacher therefore share the teacher and its vectors.

    Parameters
    ----------
    encoders : int
        The most encoders that are kept. Two students with a teacher each need four.
    documents : int
        The most sets of document vectors that are kept. They need the most memory by far.
    """

    def __init__(self, encoders: int = 4, documents: int = 2) -> None:
        self._encoders: Recent[Encoder] = Recent(encoders)
        self._collections: Recent[list[Collection]] = Recent(8)
        self._documents: Recent[PreparedSearch] = Recent(documents)
        self._translators: Recent[Translator] = Recent(1)

    def encoder(self, saved: SavedEncoder, reporter: Reporter = SILENT) -> Encoder:
        """Return the encoder `saved`, loaded if needed.

        Raises
        ------
        InputError
            If it cannot be loaded.
        """

        def load() -> Encoder:
            reporter.say(f"loading {saved.name} …")
            return saved.load()

        return self._encoders.get(saved.key, load)

    def collections(self, config: CollectionConfig, seed: int) -> list[Collection]:
        """Return the pools of the collection that `config` names.

        Raises
        ------
        InputError
            If a file of the collection is missing or broken.
        """
        key = f"{seed} {config.model_dump_json()}"
        return self._collections.get(key, lambda: load_collections(config, seed))

    def translator(self, config: TranslationConfig) -> Translator:
        """Return the translator that `config` describes.

        Raises
        ------
        InputError
            If it cannot be opened.
        """
        return self._translators.get(config.model_dump_json(), lambda: open_translator(config))

    def documents(self, key: str, make: Callable[[], PreparedSearch]) -> PreparedSearch:
        """Return the document vectors called `key` (see `documents_key`), made by `make` if needed."""
        return self._documents.get(key, make)


def documents_key(encoder: Encoder, texts: Sequence[str], role: Role, precision: torch.dtype) -> str:
    """Return a name for the token vectors of `texts`; it hashes the texts and what the encoder computes."""
    return str(cache_file(vectors_folder(), "tokens", encoder, texts, role, precision))


@dataclass(frozen=True)
class FileStamps:
    """Sizes and times of files and folders, by which a change to them is noticed."""

    stamps: tuple[tuple[Path, tuple[int, int, int] | None], ...]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> FileStamps:
        """Return the stamps that `paths` have now."""
        return cls(tuple((path, _stamp(path)) for path in dict.fromkeys(paths)))

    def unchanged(self) -> bool:
        """Return whether every path still has its stamp."""
        return all(_stamp(path) == stamp for path, stamp in self.stamps)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return the inode, size and time of modification of `path`, or None where there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
