"""Fetching a whole dataset into its folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from engine.datahome.download import Progress, RemoteFile, fetch
from engine.datahome.resource import Resource
from engine.datahome.unpack import unpack
from engine.errors import InputError


class Display(Protocol):
    """Shows how far a fetch has come."""

    def file(self, name: str, number: int, count: int) -> Progress:
        """Begin a file, the `number`-th of `count`, and return what hears of its bytes."""

    def say(self, sentence: str) -> None:
        """Show a sentence."""


def fetch_dataset(resource: Resource, codes: list[str], display: Display) -> int:
    """Fetch a dataset's files, those of some languages only if `codes` names any; return how many are new.

    Raises
    ------
    InputError
        If it has no such language, cannot be fetched, or its archive is unsafe.
    OpticalError
        If a file cannot be fetched; those fetched before stay, and the next call goes on.
    """
    if not resource.remotes:
        raise InputError(f"{resource.name} has no files to fetch by itself: {resource.remark}")
    remotes = resource.chosen(codes)
    missing = [remote for remote in remotes if not (resource.place / remote.path).exists()]
    for number, remote in enumerate(missing, 1):
        target = resource.place / remote.path
        if remote.archive:
            _fetch_archive(remote, target, display, number, len(missing))
        else:
            fetch(remote, target, display.file(remote.path, number, len(missing)))
    return len(missing)


def _fetch_archive(remote: RemoteFile, target: Path, display: Display, number: int, count: int) -> None:
    name = unquote(urlsplit(remote.address).path.rpartition("/")[2])
    archive = fetch(remote, target.parent / name, display.file(name, number, count))
    display.say(f"unpacking {name}")
    unpack(archive, target)
    with suppress(OSError):  # what it held is in place; a copy too many is no failure
        archive.unlink()
