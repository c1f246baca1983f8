"""Replace files and folders in one step, so that a reader sees the old one or the whole new one.

Everything is written in a staging folder next to its place and moved there when it is complete. The staging
folder is locked by its writer. If the writer is killed, the lock ends with it, and the next writer in the
same place removes what it left.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine.errors import OpticalError

_PREFIX, _SUFFIX = ".optical-", ".part"


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Yield a new hidden folder in `folder`, which is removed at the end of the block.

    Staging folders in `folder` whose writers have ended are removed first.

    Parameters
    ----------
    folder : Path
        A folder, which exists.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    sweep(folder)
    while True:
        made = folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        made.mkdir(mode=0o700)
        if (descriptor := _lock(made)) is not None:
            break  # otherwise another writer took it for abandoned before it was locked
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove the staging folders in `folder` whose writers have ended, if that is possible."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if is_staging(entry.name)]
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            descriptor = _lock(folder / name, only_locked=True)
            if descriptor is not None:
                shutil.rmtree(folder / name, ignore_errors=True)
                os.close(descriptor)


def is_staging(name: str) -> bool:
    """Return whether `name` is the name of a staging folder."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to, and move the file to `path` at the end of the block.

    The temporary file has the same name in a staging folder. An exception inside the block removes it and
    leaves `path` as it was.

    Parameters
    ----------
    path : Path
        The file that is replaced or made. Its folder exists.
    sync : bool
        Whether the content is on the disk before it replaces the old file, and the new name after it, so that
        a power failure loses neither. A cache does not need it.
    """
    with staging(path.parent) as folder:
        temporary = folder / path.name
        yield temporary
        if sync:
            flush(temporary)
        move(temporary, path, sync=sync)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill, and move it to `path` at the end of the block.

    An exception inside the block removes it and leaves `path` as it was. The content is on the disk before it
    replaces the old folder.

    Parameters
    ----------
    path : Path
        The folder that is replaced or made. Folders above it are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with staging(path.parent) as folder:
        building = folder / "new"
        building.mkdir()
        yield building
        for place, _, files in os.walk(building):
            for name in files:
                flush(Path(place, name))
            flush(Path(place))
        if path.exists():
            path.rename(folder / "old")
        move(building, path)


def move(source: Path, target: Path, *, sync: bool = True) -> None:
    """Move a file or folder to another name in one step; with `sync`, a power failure does not undo it.

    Raises
    ------
    OSError
        If it cannot be moved.
    """
    source.replace(target)
    if sync:
        with suppress(OSError):  # the move is done
            flush(target.parent)


def write_file(path: Path, content: Any) -> None:
    """Write the bytes `content` to `path` in one step.

    Raises
    ------
    OpticalError
        If the file cannot be written. Nothing is left behind then.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise OpticalError(f"{path}: cannot be written: {error.strerror}") from error


def flush(path: Path) -> None:
    """Wait until the content of the file or folder `path` is on the disk.

    Some file systems, such as some network drives, cannot flush a folder. There, nothing is waited for.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _lock(folder: Path, *, only_locked: bool = False) -> int | None:
    """Lock `folder` and return the descriptor with the lock; None if another process has it or removed it.

    Where the file system has no locks, the descriptor is returned without one, or None with `only_locked`.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        if not only_locked:
            return descriptor
    os.close(descriptor)
    return None
