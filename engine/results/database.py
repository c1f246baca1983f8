"""Open the results database to read it, and lock it so that one process at a time changes it.

Ingest never writes to the file that readers open (`engine.results.draft`), so readers do not wait for it.
DuckDB refuses a file that another program has open for writing; `connect` then tries again for some time.
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
from engine.results.missing import missing_results

SCHEMA_VERSION = 6
"""Version of ``schema.sql``. A database of an older version is rebuilt; a newer one is refused."""

WAIT_SECONDS = 10.0
"""How long a reader or writer waits for another process before it reports that the database is busy."""

_READER = {
    "enable_external_access": "false",
    "lock_configuration": "true",
    "autoinstall_known_extensions": "false",
}


def connect(path: Path, *, alone: bool = False, wait: float = WAIT_SECONDS) -> duckdb.DuckDBPyConnection:
    """Open the database `path` read-only, without access to other files, the network or extensions.

    The caller closes the connection as soon as possible.

    Parameters
    ----------
    path : Path
        The database.
    alone : bool
        Whether this is the only connection of the process while it is open. All connections that a process
        has open at one time read the same file, even if another file has replaced it since. Without other
        connections, the one that is opened reads the file that `path` names now.
    wait : float
        How many seconds to try.

    Raises
    ------
    InputError
        If there is no such file or it is not a DuckDB database.
    BusyError
        If another process has it open for writing for `wait` seconds or, with `alone`, this process reads it
        for as long.
    """
    # DuckDB refuses the second connection of a process if its settings differ from those of the first.
    config: dict[str, str | bool | int | float | list[str]] = dict(_READER)
    if alone:
        config["custom_user_agent"] = "ingest"
    if not path.is_file():
        raise InputError(missing_results(path) or f"{path}: there is no such results database")
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
        # The jitter prevents two waiting processes from colliding repeatedly.
        time.sleep(pause * random.uniform(0.5, 1.5))  # timing only, no result depends on it
        # Readers of one process that read in a loop leave only short gaps.
        pause = min(pause * 1.5, 0.01 if alone else 0.1)


@contextmanager
def exclusive(path: Path, wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock file of the database `path`, so that one process at a time changes the database.

    The operating system releases the lock when the process ends for any reason.

    Raises
    ------
    BusyError
        If another process holds it for `wait` seconds.
    OpticalError
        If the lock file cannot be created.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OpticalError(f"{lock}: cannot be created: {error.strerror}") from error
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
    """Return the schema version of an open database, and the hash of the definitions that it was built from.

    Raises
    ------
    InputError
        If it is not a results database, or a newer version of Optical Workbench built it.
    """
    try:
        row = next(iter(connection.execute("SELECT * FROM meta").fetchall()), None)
    except duckdb.CatalogException:
        row = None
    if row is None:
        raise InputError(
            "this is not a results database of Optical Workbench; choose another file", path=path
        )
    if row[0] > SCHEMA_VERSION:
        raise InputError(
            f"a newer Optical Workbench made it (schema {row[0]}, this one has {SCHEMA_VERSION}); "
            "upgrade with `pip install -U optical-workbench`",
            path=path,
        )
    return int(row[0]), str(row[1])


def first_line(error: Exception) -> str:
    """Return the first line of DuckDB's message, with its suggestion if it has one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    guess = [line for line in lines[1:] if line.startswith("Did you mean")]
    return " ".join(lines[:1] + guess[:1])


def _held(message: str) -> bool:
    # The first sign means another process, the others two connections of this process.
    return any(sign in message for sign in ("lock on file", "different configuration", "handle conflict"))
