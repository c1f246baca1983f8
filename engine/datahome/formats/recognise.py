"""One way into recognising: a file or folder, whatever it holds."""

from __future__ import annotations

from pathlib import Path

from engine.bitext.files import damage_named
from engine.datahome.formats.bitext import bitext_file, bitext_folder
from engine.datahome.formats.collections import collection_file, collection_folder
from engine.datahome.formats.seen import Seen, inside
from engine.errors import InputError

KNOWN = (
    "bitext (TMX, XLIFF, gettext, line-aligned files, TSV, JSON Lines, Parquet, a saved Hugging Face "
    "dataset) or a collection (of LAReQA's or Tatoeba's shape, Mewsli-X, CIRAL, AfriCLIRMatrix, or a folder "
    "with documents, topics and qrels)"
)
"""What is recognised, for people."""


def recognise(path: Path, code: str | None = None) -> Seen:
    """Tell by its content what a file or folder is, and count it.

    Parameters
    ----------
    path : path
        A file or folder; an archive is unpacked before.
    code : str, optional
        Its language, where the data does not tell.

    Raises
    ------
    InputError
        If it is nothing that can be read, is broken, or does not tell its languages.
    """
    with damage_named(path):
        if path.is_dir():
            folder = _descended(path)
            seen = collection_folder(folder, code) or bitext_folder(folder, code)
        elif path.is_file():
            seen = collection_file(path) or bitext_file(path, code)
        else:
            raise InputError("there is no such file or folder; give another path", path=path)
    if seen is None:
        raise InputError(f"this is not recognised; it should be {KNOWN}", path=path)
    return seen


def _descended(folder: Path) -> Path:
    """Return the folder that holds the data, where it is wrapped in folders that hold nothing else."""
    while True:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
        # A saved dataset's parts and locales have names that mean something.
        if len(entries) != 1 or not entries[0].is_dir() or not any(inside(entries[0])):
            return folder
        if (entries[0] / "LC_MESSAGES").is_dir():
            return folder
        folder = entries[0]
