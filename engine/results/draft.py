"""Changing the database without shutting a reader out: in a draft beside it, which then takes its place.

DuckDB refuses to open a file that is being written. So nobody writes to the file that readers open: a draft
is made of it (or from nothing), changed, flushed and moved to its place. Who has the old file open goes on
reading it as it was. A writer that is killed leaves the old file whole, and a draft that the next one
removes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import duckdb

from engine.atomic import flush
from engine.errors import BusyError
from engine.results import database

_FILES = ("", ".wal")


@contextmanager
def drafted(path: Path, *, copy: bool, wait: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to a draft of the database `path` and put the draft in its place at the end.

    If anything raises, `path` stays as it was and the draft goes. Call it inside `database.exclusive`.

    Parameters
    ----------
    path : path
        The database.
    copy : bool
        Start from what it holds; otherwise from an empty file.
    wait : float
        Seconds to wait, before the draft takes its place, until this process reads the database nowhere else.

    Raises
    ------
    BusyError
        If a part of this process reads it all that time, or another program wrote to it meanwhile.
    duckdb.Error, OSError
        If the draft cannot be written.
    """
    draft = _draft_of(path)
    before = _state(path)
    try:
        if copy:
            for suffix in _FILES:
                if (source := _beside(path, suffix)).exists():
                    _copy(source, _beside(draft, suffix))
        connection = duckdb.connect(draft)
        try:
            yield connection
            # Closing would do this too, but without a word if it fails.
            connection.execute("CHECKPOINT")
        finally:
            connection.close()
        if path.exists():
            shutil.copymode(path, draft)
        flush(draft)
        with ExitStack() as held:
            if path.exists():
                held.enter_context(closing(database.connect(path, alone=True, wait=wait)))
            if _state(path) != before:
                raise BusyError(f"{path}: another program wrote to it meanwhile; try again in a moment")
            # The log of the old file must not be replayed into the new one; all that counts is in the draft.
            _beside(path, ".wal").unlink(missing_ok=True)
            draft.replace(path)
    finally:
        with suppress(OSError):
            remove_draft(path)


def remove_draft(path: Path) -> None:
    """Remove what a writer to the database `path` that was killed has left behind."""
    for suffix in _FILES:
        _beside(_draft_of(path), suffix).unlink(missing_ok=True)


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.draft")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _state(path: Path) -> list[tuple[int, int, int]]:
    """Return what changes when anybody writes to the database or its log."""
    found = []
    for suffix in _FILES:
        with suppress(FileNotFoundError):
            status = _beside(path, suffix).stat()
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return found


def _copy(source: Path, target: Path) -> None:
    """Copy a file; where the file system can, the copy shares the blocks of `source` and costs nothing."""
    with source.open("rb") as old, target.open("wb") as new:
        left = os.fstat(old.fileno()).st_size
        with suppress(AttributeError, OSError):  # not this operating system, not this file system
            while left and (copied := os.copy_file_range(old.fileno(), new.fileno(), left)):
                left -= copied
    if left:
        shutil.copyfile(source, target)
