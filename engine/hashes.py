"""Hashes of files, stored with each file's size and times, so that unchanged files are not read again.

Every command that reads the database brings it up to date first. Without these hashes it would read all files
of all runs each time. The weights of a checkpoint are hashed once for the same reason. The hashes are stored
in the cache and can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from engine.atomic import write_file
from engine.errors import OpticalError
from engine.paths import cache_home

SETTLED_SECONDS = 1.0
"""A file that changed more recently is hashed again, because two changes in one clock tick look the same."""


def hash_of(content: bytes) -> str:
    """Return the hash that identifies the content of a file (BLAKE2b, 128 bits)."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def hash_file(file: Path) -> str:
    """Return what `hash_of` returns for the content of `file`, which need not fit into memory."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


class Hashes:
    """The stored hashes of the files in one folder, such as a folder of runs or a checkpoint.

    Parameters
    ----------
    folder : path
        The folder. Files are told apart by their name and that of the folder they are in.
    """

    def __init__(self, folder: Path) -> None:
        self._place = cache_home() / "hashes" / f"{hash_of(os.fsencode(folder.resolve()))}.json"
        self._before: dict[str, list[str]] = {}
        with suppress(OSError, ValueError, TypeError):
            self._before = dict(json.loads(self._place.read_bytes()))
        self._now: dict[str, list[str]] = {}

    def recall(self, file: Path, stamp: str) -> str | None:
        """Return the hash of `file` if it was stored with the same `stamp`; None if the file must be read."""
        match self._before.get(_key(file)):
            case [before, str(digest)] if stamp and before == stamp:
                self._now[_key(file)] = [stamp, digest]
                return digest
        return None

    def remember(self, file: Path, stamp: str, digest: str) -> None:
        """Store the hash of `file`, which had this `stamp` before it was read."""
        if stamp:
            self._now[_key(file)] = [stamp, digest]

    def save(self) -> None:
        """Write the hashes that were recalled or remembered, if the cache can be written."""
        if self._now != self._before:
            with suppress(OSError, OpticalError):
                self._place.parent.mkdir(parents=True, exist_ok=True)
                write_file(self._place, json.dumps(self._now).encode())


def stamp_of(file: Path) -> str | None:
    """Return the inode, size and times of `file`, or None if there is no such file.

    They change with its content. Programs cannot set the time of the last change of state, so it reveals a
    change that keeps size and modification time. The stamp of a file that has just changed, or that cannot be
    inspected, is ``""``, which is never stored.
    """
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    except OSError:
        return ""
    if time.time() - status.st_ctime < SETTLED_SECONDS:
        return ""
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _key(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"
