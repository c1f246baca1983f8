"""Opening the database to read it, for a moment, and the lock that lets one process at a time change it.

Ours never write to the file that readers open (`engine.results.draft`), so readers need no patience with
them; what another program holds open for writing, DuckDB refuses, and that is tried again for a bounded time.
"""

from __future__ import annotations

import fcntl
import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from engine.errors import BusyError, InputError, OpticalError

SCHEMA_VERSION = 3
"""Version of ``schema.sql``; a database of an older one is rebuilt, a newer one is refused."""

WAIT_SECONDS = 10.0
"""How long a reader or writer waits for another process before it says that the database is busy."""

_READER = {
    "enable_external_access": "false",
    "lock_configuration": "true",
    "autoinstall_known_extensions": "false",
}


def connect(path: Path, *, alone: bool = False, wait: float = WAIT_SECONDS) -> duckdb.DuckDBPyConnection:
    """Open the database `path` to read it and nothing else: no other file, network or extension.

    The caller closes it as soon as it can. DuckDB gives all connections of a process that are open at a time
    the same file, even when another took its name meanwhile. With `alone` there is no other in this process
    as long as this one is open, so what it reads is what `path` names now.

    Raises
    ------
    InputError
        If there is no such file or it is not a DuckDB database.
    BusyError
        If another process still holds it for writing after `wait` seconds, or, with `alone`, this one reads
        it all that time.
    """
    # DuckDB refuses a process's second connection when its settings differ from those of the first.
    config: dict[str, str | bool | int | float | list[str]] = dict(_READER)
    if alone:
        config["custom_user_agent"] = "ingest"
    if not path.is_file():
        raise InputError("there is no such results database; `optical-workbench demo` makes one", path=path)
    deadline = time.monotonic() + wait
    pause = 0.005
    while True:
        try:
            return duckdb.connect(path, read_only=True, config=config)
        except duckdb.Error as error:
            message = str(error)
            if not _held(message):
                raise InputError(f"cannot be opened: {first_line(error)}", path=path) from error
            if time.monotonic() >= deadline:
                holder = re.search(r"PID (\d+)", message)
                who = f"process {holder[1]}" if holder else "another part of this process"
                raise BusyError(f"{path}: {who} holds the results database; try again in a moment") from error
        # The jitter keeps two waiting processes from meeting again and again.
        time.sleep(pause * random.uniform(0.5, 1.5))  # timing only, no result depends on it
        # Readers of one process in a loop leave only short gaps.
        pause = min(pause * 1.5, 0.01 if alone else 0.1)


@contextmanager
def exclusive(path: Path, wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock file beside the database `path`, so that one process at a time changes it.

    The operating system drops the lock when its process ends, however it ends.

    Raises
    ------
    BusyError
        If another process still holds it after `wait` seconds.
    OpticalError
        If the lock file cannot be made.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OpticalError(f"{lock}: cannot be made: {error.strerror}") from error
    try:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= deadline:
                    holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                    raise BusyError(
                        f"{path}: process {holder} is writing to it; try again in a moment"
                    ) from error
                time.sleep(0.02)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def origin(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[int, str]:
    """Return the schema version of an open database, and the hash of the definitions it was built from.

    Raises
    ------
    InputError
        If it is not a results database or belongs to a newer Optical Workbench.
    """
    try:
        row = connection.execute("SELECT * FROM meta").fetchone()
    except duckdb.CatalogException:
        row = None
    if row is None:
        raise InputError("not a database of Optical Workbench's results; name another", path=path)
    if row[0] > SCHEMA_VERSION:
        raise InputError(
            f"a newer Optical Workbench made it (schema {row[0]}, this one knows {SCHEMA_VERSION}); "
            "upgrade with `pip install -U optical-workbench`",
            path=path,
        )
    return int(row[0]), str(row[1])


def first_line(error: Exception) -> str:
    """Return the first line of DuckDB's message, and its guess at what was meant where it has one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    guess = [line for line in lines[1:] if line.startswith("Did you mean")]
    return " ".join(lines[:1] + guess[:1])


def _held(message: str) -> bool:
    # The first is another process; the others are two connections of this one that cannot be open together.
    return any(sign in message for sign in ("lock on file", "different configuration", "handle conflict"))
