"""Fetching the files of a published data set into its folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from engine.datahome.download import Progress, fetch
from engine.datahome.unpack import unpack
from engine.errors import InputError
from engine.extensions.published import PublishedData, PublishedFile


class Display(Protocol):
    """Shows the progress of fetching."""

    def file(self, name: str, number: int, count: int) -> Progress:
        """Start file `number` of `count` and return the function that is called with its progress."""

    def say(self, sentence: str) -> None:
        """Show a sentence."""


def fetch_dataset(published: PublishedData, codes: list[str], display: Display) -> int:
    """Fetch the files of a data set, and return the number of new files.

    Parameters
    ----------
    published : PublishedData
    codes : list of str
        Codes of the languages whose files are fetched; empty fetches all.
    display : Display
        Shows the progress.

    Raises
    ------
    InputError
        If it has no such language, has no files to fetch, or its archive is unsafe.
    OpticalError
        If a file cannot be fetched. The files that were fetched before are kept, and the next call continues.
    """
    if not published.published_files:
        raise InputError(f"{published.name} has no files that can be fetched: {published.remark}")
    files = published.files_in(codes)
    missing = [file for file in files if not (published.place / file.path).exists()]
    for number, file in enumerate(missing, 1):
        target = published.place / file.path
        if file.archive:
            _fetch_archive(file, target, display, number, len(missing))
        else:
            fetch(file, target, display.file(file.path, number, len(missing)))
    return len(missing)


def _fetch_archive(published: PublishedFile, target: Path, display: Display, number: int, count: int) -> None:
    name = unquote(urlsplit(published.address).path.rpartition("/")[2])
    archive = fetch(published, target.parent / name, display.file(name, number, count))
    display.say(f"unpacking {name}")
    unpack(archive, target)
    with suppress(OSError):  # its contents are in place, so a remaining archive is no error
        archive.unlink()
