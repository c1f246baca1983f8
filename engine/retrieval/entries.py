"""The files of the vector cache: tensors with what made them and a checksum.

A file says what made it (the format, and the versions of the libraries) and has a checksum of its tensors. A
file of another maker, and a damaged one, is ignored and made again.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.atomic import replacing
from engine.encoders.weights import checksum
from engine.hashes import hash_of
from engine.results.provenance import made_by

SCHEMA = 1
"""The format of cached files. Files of other formats are ignored."""


def load_cached(path: Path | None) -> dict[str, Tensor] | None:
    """Return the tensors that `save_cached` wrote, or None.

    A file is removed if it is damaged, if another version made it, or if it does not say what made it.
    """
    if (found := mapped(path)) is not None:
        tensors, recorded = found
        if recorded == checksum_of(tensors):
            return tensors
        remove(path)
    return None


def mapped(path: Path | None) -> tuple[dict[str, Tensor], str] | None:
    """Return the tensors of a file and their checksum as it is recorded, or None; nothing is compared.

    The tensors are mapped into memory: only what is used of them is read. A file is removed as by
    `load_cached` if it was cut short or another version made it.
    """
    if path is None or not path.is_file():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            recorded = file.metadata() or {}
        if (
            recorded.get("made_by") == json.dumps(made_by(SCHEMA))
            and recorded.get("name", path.name) == path.name
        ):
            return dict(load_file(str(path))), recorded.get("checksum", "")
    except (SafetensorError, OSError):
        pass
    remove(path)
    return None


def save_cached(tensors: dict[str, Tensor], path: Path | None) -> OSError | None:
    """Write `tensors` to `path` completely or not at all.

    Errors are returned and not raised: this is only a cache.
    """
    if path is None:
        return None
    record = {
        "made_by": json.dumps(made_by(SCHEMA)),
        "checksum": checksum_of(tensors),
        "name": path.name,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, sync=False) as building:
            save_file(tensors, str(building), record)
    except OSError as error:
        return error
    except SafetensorError as error:
        return OSError(str(error))
    return None


@contextmanager
def claimed(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the claim to write `path`, which one process has at a time; it ends with the process.

    Yields whether the claim is held: False only without `wait`, if another process holds it. Where no lock
    can be made, every process holds it; this costs time and nothing else.
    """
    lock = path.with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a")
    except OSError:
        yield True
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass
        try:
            yield True
        finally:
            remove(lock)


def remove(path: Path | None) -> None:
    """Remove a file of the cache, if that is possible."""
    if path is not None:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def checksum_of(tensors: dict[str, Tensor]) -> str:
    """Return a checksum of the names, shapes and values of `tensors`."""
    parts = [
        f"{name} {tensor.dtype} {tuple(tensor.shape)} {checksum(tensor)}" for name, tensor in tensors.items()
    ]
    return hash_of("\n".join(sorted(parts)).encode())
