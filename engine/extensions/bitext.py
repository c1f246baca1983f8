"""Bitext formats: what a format declares, and the registry of all formats.

Another distribution adds a format with an entry point in the group ``optical_workbench.bitext`` that names a
`BitextFormat`; a script adds one with ``BITEXT_FORMATS.register``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.registry import Registry


@dataclass(frozen=True, slots=True)
class SentencePair:
    """Two sentences with the same meaning.

    Attributes
    ----------
    source, target : str
        The sentences. `engine.bitext.open_bitext` returns them in NFC and with single spaces.
    source_language, target_language : str
        The languages. `engine.bitext.open_bitext` returns their codes (`engine.languages.Language.code`).
    id : str
        Identifier of the pair in its file: the unit's id if the format has one, otherwise its line number.
    score : float, optional
        Score of the mining or filtering tool, if the format has one.
    document : str
        The document that it is from, if the format knows it. Parts of a split (the setting `part`) and
        samples then respect documents.
    passage : str
        The text that answers it, if it is a question with an answer.
    """

    source: str
    target: str
    source_language: str
    target_language: str
    id: str
    score: float | None = None
    document: str = ""
    passage: str = ""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A unit without one of the two requested languages.

    Attributes
    ----------
    languages : tuple of str
        The language tags of the unit.
    """

    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """The beginning of a file, from which its format is recognised.

    Attributes
    ----------
    path : path
        The file.
    head : bytes
        Its first bytes as they are stored (at most four).
    text : str, optional
        The beginning of its text, unpacked and decoded (at most 64 KiB); None if it is not text.
    lines : tuple of str
        The first lines of `text` that are not blank (at most 200); a line that is cut is left out.
    """

    path: Path
    head: bytes
    text: str | None
    lines: tuple[str, ...] = ()


def _only_itself(path: Path) -> tuple[str, ...]:
    return (path.name,)


@dataclass(frozen=True)
class BitextFormat:
    """A file format of sentence pairs.

    Only `name`, `meaning`, `title` and `read` are required. The other fields let ``format = "auto"`` and
    ``optical-workbench data import`` recognise the format.

    Attributes
    ----------
    name : str
        The value of the setting `format`.
    meaning : str
        One sentence on what the format is.
    title : str
        A file of the format in a few words with an article, such as ``a translation memory (TMX)``.
    read : callable
        ``read(path, source, target)`` yields the pairs of the file, folder or prefix `path` in its order, and
        an `Unmatched` for a unit without one of the two languages. `source` and `target` are the language
        tags that the user requested; `engine.languages.choose_tag` finds them among the tags of the file. It
        raises `engine.errors.InputError`, with the path and the line, for a file that cannot be read.
    splits : tuple of str
        Names of the splits that its data is published in; the setting `split` chooses one, by default the
        first. Empty if it has none.
    read_split : callable, optional
        ``read_split(path, source, target, split)`` is `read` for one of `splits`. Needed if there are any.
    endings : tuple of str
        Endings of its files' names, in lower case and with the dot, such as ``.tmx``.
    holds : callable, optional
        ``holds(names)`` says whether a zip archive with members of these names is read as this format.
    is_folder : callable, optional
        ``is_folder(names)`` says whether a folder is read as this format, by the paths of its files relative
        to it, with ``/`` between folders.
    assumed_for : {"file", "folder"}, optional
        A file or folder that no format recognises by its name is read as this format.
    matches : callable, optional
        ``matches(sample)`` says whether the beginning of a file is of this format.
    languages : callable, optional
        ``languages(path, names)`` returns the language tags that a file or folder contains; `names` are its
        files' names. Words that are no language are ignored.
    files : callable
        ``files(path)`` returns the names of all files that are read together with the file `path`.
    folder_files : callable, optional
        For folders in which each language has its own files: ``folder_files(path, names)`` returns the files'
        names by language code.
    """

    name: str
    meaning: str
    title: str
    read: Callable[[Path, str, str], Iterator[SentencePair | Unmatched]]
    splits: tuple[str, ...] = ()
    read_split: Callable[[Path, str, str, str], Iterator[SentencePair | Unmatched]] | None = None
    endings: tuple[str, ...] = ()
    holds: Callable[[Sequence[str]], bool] | None = None
    is_folder: Callable[[Sequence[str]], bool] | None = None
    assumed_for: Literal["file", "folder"] | None = None
    matches: Callable[[Sample], bool] | None = None
    languages: Callable[[Path, Sequence[str]], Iterable[str]] | None = None
    files: Callable[[Path], Sequence[str]] = field(default=_only_itself)
    folder_files: Callable[[Path, Sequence[str]], Mapping[str, Sequence[str]]] | None = None


BITEXT_FORMATS: Registry[BitextFormat] = Registry(
    "bitext format",
    BitextFormat,
    "engine.bitext.formats",
    "optical_workbench.bitext",
    first=(
        "tmx",
        "xliff",
        "gettext",
        "moses",
        "tsv",
        "csv",
        "sentence-transformers",
        "jsonl",
        "huggingface",
        "parquet",
    ),
)
"""All bitext formats by name."""
