"""The lock of a run: held by its process for as long as it runs, so it tells whether the run is running.

The system releases the lock when the process ends, however it ends. So neither a corrected clock nor another
process that has the process id by now misleads anyone. Process id and start time in ``run.json`` are for
people to read.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from engine.errors import InputError

LOCK_FILE = "lock"
"""The file in the run folder that the lock is on. It is empty and stays there when the run has ended."""

_PATIENCE = 2.0  # s; whoever looks whether the lock is held holds a shared one for a moment

_held: dict[Path, int] = {}
"""The descriptors of the locks that this process holds, by run folder."""


def take(folder: Path) -> None:
    """Take the lock of the run in `folder` until `release`, or until this process ends.

    Where the file system has no locks, nothing is taken, and no file is left that promises one.

    Raises
    ------
    InputError
        If another process holds it.
    """
    folder = folder.resolve()
    if folder in _held:
        return
    file = folder / LOCK_FILE
    patience = time.monotonic() + _PATIENCE
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o644)
        except OSError:  # what is written next to it says why the folder cannot be written
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), file.stat()):
                    _held[folder] = descriptor
                    return
            os.close(descriptor)  # the file was deleted meanwhile
        except BlockingIOError:
            os.close(descriptor)
            if time.monotonic() > patience:
                raise InputError("another process runs this run", path=folder) from None
            time.sleep(0.02)
        except OSError:
            os.close(descriptor)
            file.unlink(missing_ok=True)
            return


def release(folder: Path) -> None:
    """Release the lock of the run in `folder`, if this process holds it."""
    descriptor = _held.pop(folder.resolve(), None)
    if descriptor is not None:
        os.close(descriptor)


def is_held(folder: Path) -> bool | None:
    """Return whether a process holds the lock of the run in `folder`; None if the run has no lock."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def has_open(pid: int, folder: Path) -> bool:
    """Return whether process `pid` has the lock file of the run in `folder` open.

    Raises
    ------
    psutil.AccessDenied
        If the process belongs to another user.
    """
    file = folder / LOCK_FILE
    if not sys.platform.startswith("linux"):
        paths = [Path(opened.path) for opened in psutil.Process(pid).open_files()]
        return any(path.exists() and path.samefile(file) for path in paths)
    try:
        lock = file.stat()
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return False
    except PermissionError as error:
        raise psutil.AccessDenied(pid) from error
    for descriptor in descriptors:
        with suppress(OSError):
            if os.path.samestat(descriptor.stat(), lock):
                return True
    return False


def _let_go() -> None:
    """Close the descriptors that a forked child has; the lock stays its parent's."""
    for descriptor in _held.values():
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
