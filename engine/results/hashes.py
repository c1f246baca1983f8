"""Hashes of run files, remembered by what the file system says of a file, so that none is read in vain.

Every command that reads brings the database up to date first; without this it would read all files of all
runs each time. What is remembered lies in the cache and can be deleted at any time.
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
"""A file that changed less long ago is hashed again: two changes at one tick of the clock look alike."""


def hash_of(content: bytes) -> str:
    """Return the hash by which a file's content is known (BLAKE2b, 128 bits)."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


class Hashes:
    """What the files of one folder of runs were hashed to the last time.

    Parameters
    ----------
    runs : path
        The folder of run folders.
    """

    def __init__(self, runs: Path) -> None:
        self._place = cache_home() / "hashes" / f"{hash_of(os.fsencode(runs.resolve()))}.json"
        self._before: dict[str, list[str]] = {}
        with suppress(OSError, ValueError, TypeError):
            self._before = dict(json.loads(self._place.read_bytes()))
        self._now: dict[str, list[str]] = {}

    def recall(self, file: Path, stamp: str) -> str | None:
        """Return the hash of `file`, which now looks like `stamp`; None if it has to be read."""
        match self._before.get(_key(file)):
            case [before, str(digest)] if stamp and before == stamp:
                self._now[_key(file)] = [stamp, digest]
                return digest
        return None

    def remember(self, file: Path, stamp: str, digest: str) -> None:
        """Remember the hash of `file`, which looked like `stamp` before it was read."""
        if stamp:
            self._now[_key(file)] = [stamp, digest]

    def save(self) -> None:
        """Keep what was recalled and remembered, and nothing else; a cache that cannot be written is none."""
        if self._now != self._before:
            with suppress(OSError, OpticalError):
                self._place.parent.mkdir(parents=True, exist_ok=True)
                write_file(self._place, json.dumps(self._now).encode())


def stamp_of(file: Path) -> str | None:
    """Return what changes when `file` does: its place, size and times; None if there is no such file.

    The time of the last change of state cannot be set, so it tells of a change that keeps size and time. A
    file that has just changed, or cannot be looked at, has ``""``, which is never remembered.
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
