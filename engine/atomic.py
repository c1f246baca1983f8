"""Replace a file in one step, so that a reader sees the old file or the whole new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine.errors import OpticalError


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to, and move the file to `path` at the end of the block.

    The temporary file is in the folder of `path` and has the same suffix. An exception inside the block
    removes it and leaves `path` as it was.

    Parameters
    ----------
    path : Path
        The file that is replaced or made. Its folder exists.
    sync : bool
        Whether the content is on the disk before it replaces the old file, so that a power failure loses
        neither. A cache does not need it.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        if sync:
            flush(temporary)
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


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
    """Wait until the content of `path` is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
