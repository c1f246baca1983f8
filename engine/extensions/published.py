"""Published data, and data that was recognised: the types that collections and bitext declare it with.

`PUBLISHED_BITEXT` holds the published data sets that are bitext only. A data set that a collection reads is
declared by that collection (`engine.extensions.collections.CollectionReader.published`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from engine.errors import InputError
from engine.paths import data_home
from engine.registry import Registry

DataKind = Literal["collection", "bitext", "catalogues"]
"""What data is for: evaluation, learning, or (catalogues of messages) learning from installed packages."""

Counts = Mapping[str, Mapping[str, int]]
"""Counts by what is counted (``questions``, ``pairs``), then by language code."""

LARGEST_FILE = 20_000_000_000
"""Largest size in bytes of a file whose size is not published."""


@dataclass(frozen=True)
class PublishedFile:
    """A published file.

    Attributes
    ----------
    address : str
        Its https or http address.
    path : str
        Its path in the folder of its data set. For an archive, the folder that it is unpacked to; empty for
        the data set's own folder.
    language : str
        Code of its language; empty if it belongs to all languages.
    size : int
        Published size in bytes; 0 if it is not known.
    checksum : str
        ``sha256:`` or ``md5:`` followed by the hexadecimal digest; empty if none is published.
    archive : bool
        Whether it is an archive to unpack.
    """

    address: str
    path: str
    language: str = ""
    size: int = 0
    checksum: str = ""
    archive: bool = False

    @property
    def limit(self) -> int:
        """Largest accepted size in bytes: 10 % above the published one, since publishers correct files."""
        return self.size + self.size // 10 + 1_000_000 if self.size else LARGEST_FILE


@dataclass(frozen=True)
class PublishedData:
    """A published data set.

    Attributes
    ----------
    name : str
        Its name in the ``data`` commands.
    folder : str
        Its folder in the data home, or in the home of ir_datasets if `shared`.
    licence, source : str
        Its terms, and where it comes from.
    files : sequence of PublishedFile or callable that returns one
        Its files; none if it has to be obtained by other means.
    counts : Counts or callable that returns them
        Its counts as published; the code ``all`` stands for all languages together.
    remark : str
        What a user has to know: what is missing, what to do by hand.
    shared : bool
        Whether it lies in the home of the library ir_datasets, which reads it.
    documents : str
        Glob pattern, in its folder, of the files with its documents, where these are published separately.
    language_of : callable, optional
        Returns the language tag that the name of a file in its folder contains, or None if the file does not
        belong to the data set. Without it, only the files in `files` are looked for.
    lines : mapping of str to str
        What is counted by lines: a name, and a regular expression that matches the paths of the files whose
        lines are counted. ``{code}`` in it stands for the language code.
    usage : mapping of str to list of str
        Settings to show in the example of a ``[[collections]]`` table in addition to its name.
    """

    name: str
    folder: str
    licence: str
    source: str
    files: Sequence[PublishedFile] | Callable[[], Sequence[PublishedFile]] = ()
    counts: Counts | Callable[[], Counts] = field(default_factory=dict)
    remark: str = ""
    shared: bool = False
    documents: str = ""
    language_of: Callable[[str], str | None] | None = None
    lines: Mapping[str, str] = field(default_factory=dict)
    usage: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def published_files(self) -> tuple[PublishedFile, ...]:
        """Its files."""
        return tuple(self.files() if callable(self.files) else self.files)

    @cached_property
    def published_counts(self) -> Counts:
        """Its counts."""
        return self.counts() if callable(self.counts) else self.counts

    @property
    def place(self) -> Path:
        """The folder of its files once they are fetched."""
        return (ir_datasets_home() if self.shared else data_home()) / self.folder

    @property
    def languages(self) -> list[str]:
        """Codes of its languages."""
        counted = {code for counts in self.published_counts.values() for code in counts if code != "all"}
        return sorted(counted | {file.language for file in self.published_files if file.language})

    @property
    def size(self) -> int:
        """Published size of all its files in bytes; 0 if that of one file is not known."""
        sizes = [file.size for file in self.published_files]
        return sum(sizes) if all(sizes) else 0

    def files_in(self, codes: Sequence[str]) -> list[PublishedFile]:
        """Return the files of the languages `codes` and those of all languages; without codes, all files.

        Raises
        ------
        InputError
            If it has no such language.
        """
        known = {file.language for file in self.published_files}
        for code in codes:
            if code not in known:
                raise InputError(f"{self.name} has no {code!r}; it has {', '.join(sorted(known - {''}))}")
        return [file for file in self.published_files if not codes or file.language in ("", *codes)]

    def has_counts(self, languages: Mapping[str, LanguageFiles]) -> bool:
        """Return whether all counts of `languages` are the published ones."""
        return all(
            self.published_counts.get(what, {}).get(code) == count
            for code, part in languages.items()
            for what, count in part.counts.items()
        )


@dataclass(frozen=True)
class LanguageFiles:
    """One language of imported or recognised data.

    Attributes
    ----------
    files : list of str
        Its files, relative to the folder of the data.
    path : str
        Value of a configuration's `path` for it, relative to the folder; empty for the folder itself.
    counts : dict of str to int
        What was counted when the data was recognised.
    target_language : str
        Code of the other language of bitext, or of a collection's documents if their files do not name it;
        otherwise empty.
    """

    files: list[str]
    path: str
    counts: dict[str, int]
    target_language: str = ""


@dataclass(frozen=True)
class RecognisedData:
    """Data that was recognised in a file or folder of the user.

    Attributes
    ----------
    format : str
        Its format, in words.
    kind : {"collection", "bitext", "catalogues"}
        What it is for.
    reader : str
        Value of ``format`` in ``[[bitext]]``, or of ``name`` in ``[[collections]]``.
    root : path
        The folder that the names of its files are relative to.
    languages : dict of str to LanguageFiles
        Its languages by code.
    known : str
        Name of the published data set that it is, or is a part of; empty if it is none.
    extra : tuple of str
        Files that belong to no language, relative to the folder.
    left_out : int
        Number of files in the folder that are no part of it.
    """

    format: str
    kind: DataKind
    reader: str
    root: Path
    languages: dict[str, LanguageFiles]
    known: str = ""
    extra: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def files(self) -> list[str]:
        """All its files, relative to the folder."""
        named = (name for part in self.languages.values() for name in part.files)
        return list(dict.fromkeys([*named, *self.extra]))


def ir_datasets_home() -> Path:
    """Return the home of the library ir_datasets: ``$IR_DATASETS_HOME`` or ``~/.ir_datasets``."""
    return Path(os.environ.get("IR_DATASETS_HOME") or Path.home() / ".ir_datasets")


PUBLISHED_BITEXT: Registry[PublishedData] = Registry(
    "published bitext",
    PublishedData,
    "engine.datahome.published_bitext",
    "optical_workbench.published_bitext",
)
"""Published data sets that are bitext only."""
