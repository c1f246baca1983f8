"""Change the database without blocking readers: in a draft, which then replaces the file.

DuckDB refuses to open a file that is being written. So nothing writes to the file that readers open. A draft
is changed, flushed and moved to the place of the file. A reader that has the old file open continues to read
the old content. A writer that is killed leaves the old file intact, and a draft that the next writer removes.

A large database is not copied for this. It has a twin, a hidden file next to it, which is the database as it
was before the last small change. The twin becomes the next draft: it needs the last change and the new one.
Then the two change places. So a change costs what is new, for twice the space on the disk. A twin can be
deleted at any time; the next change copies the database once and has a twin again.

A twin is used only if it is certain that nobody needs it as it is, and that it lacks nothing but run folders:
it has no other name (a hard link as a backup), no other process has it open, and the database has not been
written to since the two changed places. Otherwise the draft is a copy of the database.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from engine.atomic import flush, move
from engine.errors import BusyError
from engine.results import database

_FILES = ("", ".wal")

TWIN_BYTES = 1 << 25
"""The size from which a database has a twin. A smaller one is copied in about the time of opening it."""

LARGE_SHARE = 8
"""After a change of more than this share of the database, a copy costs less than to repeat the change."""

RETIRED_SECONDS = 0.25
"""How long a twin rests: by then, a reader that had opened the file has locked it, too."""


@dataclass
class Draft:
    """A draft that is open.

    Attributes
    ----------
    connection : DuckDBPyConnection
        The connection to write with.
    behind : bool
        Whether the draft is the twin, which lacks the last change, and not a copy.
    written : int
        The bytes of the rows that are written to it; the caller adds them up.
    """

    connection: duckdb.DuckDBPyConnection
    behind: bool
    written: int = 0


@contextmanager
def drafted(path: Path, *, empty: bool, wait: float) -> Iterator[Draft]:
    """Yield a draft of the database `path`, and replace the database by the draft at the end.

    An exception leaves `path` unchanged and removes the draft. Call it inside `database.exclusive`.

    Parameters
    ----------
    path : path
        The database.
    empty : bool
        Whether the draft starts empty; otherwise it is the twin of the database or a copy of it.
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
        connection = None if empty else _open_twin(path)
        behind = connection is not None
        if connection is None:
            twin_of(path).unlink(missing_ok=True)
            if not empty:
                for suffix in _FILES:
                    if (source := _with_suffix(path, suffix)).exists():
                        _copy(source, _with_suffix(draft, suffix))
            connection = duckdb.connect(draft)
        opened = Draft(connection, behind)
        try:
            yield opened
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
            # A log of the old file belongs to it and must not be replayed into the new one, which needs none.
            logged = _with_suffix(path, ".wal").exists()
            twin = not logged and _make_twin(path, small=not empty and _small(opened, path))
            _with_suffix(path, ".wal").unlink(missing_ok=True)
            move(draft, path)
            if twin:
                _match(path)
    finally:
        with suppress(OSError):
            remove_draft(path)


def remove_draft(path: Path) -> None:
    """Remove the draft that a killed writer of the database `path` left."""
    for suffix in _FILES:
        _with_suffix(_draft_of(path), suffix).unlink(missing_ok=True)


def twin_of(path: Path) -> Path:
    """Return the place of the twin of the database `path`."""
    return path.with_name(f".{path.name}.twin")


def _open_twin(path: Path) -> duckdb.DuckDBPyConnection | None:
    """Open the twin as the draft; return None if there is none that may be used.

    Its name changes before anything is written to it, so a killed writer leaves a draft and no torn twin.
    """
    twin, draft = twin_of(path), _draft_of(path)
    try:
        found, live = twin.stat(), path.stat()
    except OSError:
        return None
    same = found.st_mtime_ns == live.st_mtime_ns and not _with_suffix(path, ".wal").exists()
    if not same or found.st_nlink != 1 or found.st_ino == live.st_ino:
        return None
    time.sleep(max(0.0, min(RETIRED_SECONDS, found.st_ctime + RETIRED_SECONDS - time.time())))
    twin.replace(draft)
    try:
        return duckdb.connect(draft)
    except duckdb.Error:  # a reader still has it open, or it is damaged
        remove_draft(path)
        return None


def _small(draft: Draft, path: Path) -> bool:
    return draft.written * LARGE_SHARE <= path.stat().st_size


def _make_twin(path: Path, *, small: bool) -> bool:
    """Make the twin that `path` will have when the draft has replaced it; return whether there is one.

    After a small change it is the old database, which lacks that change, otherwise a copy of the draft. Until
    `_match` has been called it is no valid twin.
    """
    twin, draft = twin_of(path), _draft_of(path)
    if draft.stat().st_size < TWIN_BYTES:
        return False
    try:
        if small:
            os.link(path, twin)
        else:
            _copy(draft, twin)
            shutil.copymode(draft, twin)
            flush(twin)
    except OSError:  # no hard links here, or no space; the next change copies the database
        with suppress(OSError):
            twin.unlink(missing_ok=True)
        return False
    return True


def _match(path: Path) -> None:
    """Give the twin the time of the database, which changes as soon as another program writes to either."""
    with suppress(OSError):
        changed = path.stat().st_mtime_ns
        os.utime(twin_of(path), ns=(changed, changed))


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
