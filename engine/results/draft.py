"""Change the database without blocking readers: in a draft, which then replaces the file.

DuckDB refuses to open a file that is being written. So nothing writes to the file that readers open. A draft
is made from it (or from nothing), changed, flushed and moved to the place of the file. A reader that has the
old file open continues to read the old content. A writer that is killed leaves the old file intact, and a
draft that the next writer removes.
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
    """Yield a connection to a draft of the database `path`, and replace the database by the draft at the end.

    An exception leaves `path` unchanged and removes the draft. Call it inside `database.exclusive`.

    Parameters
    ----------
    path : path
        The database.
    copy : bool
        Whether the draft starts as a copy of the database; otherwise it starts empty.
    wait : float
        Seconds to wait for other readers in this process before the draft replaces the database.

    Raises
    ------
    BusyError
        If this process reads the database for all that time, or another program has written to it.
    duckdb.Error, OSError
        If the draft cannot be written.
    """
    draft = _draft_of(path)
    before = _state(path)
    try:
        if copy:
            for suffix in _FILES:
                if (source := _with_suffix(path, suffix)).exists():
                    _copy(source, _with_suffix(draft, suffix))
        connection = duckdb.connect(draft)
        try:
            yield connection
            # Closing also does this, but does not report an error.
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
                raise BusyError(
                    f"{path}: another program wrote to it at the same time; try again in a moment"
                )
            # The log of the old file must not be replayed into the new one. The draft needs no log.
            _with_suffix(path, ".wal").unlink(missing_ok=True)
            draft.replace(path)
    finally:
        with suppress(OSError):
            remove_draft(path)


def remove_draft(path: Path) -> None:
    """Remove the draft that a killed writer of the database `path` left."""
    for suffix in _FILES:
        _with_suffix(_draft_of(path), suffix).unlink(missing_ok=True)


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.draft")


def _with_suffix(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _state(path: Path) -> list[tuple[int, int, int]]:
    """Return the state of the database and its log; it changes when something writes to them."""
    found = []
    for suffix in _FILES:
        with suppress(FileNotFoundError):
            status = _with_suffix(path, suffix).stat()
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return found


def _copy(source: Path, target: Path) -> None:
    """Copy a file; where the file system supports it, the copy shares the blocks of `source`."""
    with source.open("rb") as old, target.open("wb") as new:
        left = os.fstat(old.fileno()).st_size
        with suppress(AttributeError, OSError):  # not supported by this operating system or file system
            while left and (copied := os.copy_file_range(old.fileno(), new.fileno(), left)):
                left -= copied
    if left:
        shutil.copyfile(source, target)
