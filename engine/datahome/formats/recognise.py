"""Recognising what a file or folder of the user contains."""

from __future__ import annotations

from pathlib import Path

from engine.bitext.files import damage_named, files_in, is_companion
from engine.datahome.formats.bitext import bitext_file, bitext_folder
from engine.errors import InputError
from engine.extensions.collections import readers_by_generality
from engine.extensions.published import RecognisedData

EXPECTED = (
    "bitext (TMX, XLIFF, gettext, line-aligned files, TSV, CSV, JSON Lines, Parquet, a saved Hugging "
    "Face dataset) or a collection (one that 'optical-workbench data list' shows, or a folder with "
    "documents, topics and qrels)"
)
"""What is recognised, for messages."""


def recognise(path: Path, code: str | None = None) -> RecognisedData:
    """Recognise a file or folder by its content, and count what is in it.

    Parameters
    ----------
    path : path
        A file or folder; an archive has to be unpacked before.
    code : str, optional
        Code of its language, for data that does not contain it.

    Raises
    ------
    InputError
        If it is not recognised, is broken, or its languages are unknown.
    """
    with damage_named(path):
        if path.is_dir():
            folder = _data_folder(path)
            found = _collection_folder(folder, code) or bitext_folder(folder, code)
        elif path.is_file():
            found = _collection_file(path) or bitext_file(path, code)
        else:
            raise InputError("there is no such file or folder; give another path", path=path)
    if found is None:
        raise InputError(f"this is not recognised; it should be {EXPECTED}", path=path)
    return found


def _collection_folder(folder: Path, code: str | None) -> RecognisedData | None:
    names = [file.relative_to(folder).as_posix() for file in files_in(folder)]
    for reader in readers_by_generality():
        recognise_folder = reader.layout.recognise
        if recognise_folder is not None and (found := recognise_folder(folder, names, code)) is not None:
            return found
    return None


def _collection_file(path: Path) -> RecognisedData | None:
    for reader in readers_by_generality():
        recognise_file = reader.layout.recognise_file
        if recognise_file is not None and (found := recognise_file(path)) is not None:
            return found
    return None


def _data_folder(folder: Path) -> Path:
    """Return the folder with the data, if it is wrapped in folders that contain nothing else."""
    while True:
        entries = [entry for entry in folder.iterdir() if not is_companion(entry.name)]
        # The names of a saved data set's parts and of locales have a meaning.
        if len(entries) != 1 or not entries[0].is_dir() or not any(files_in(entries[0])):
            return folder
        if (entries[0] / "LC_MESSAGES").is_dir():
            return folder
        folder = entries[0]
