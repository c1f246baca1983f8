"""Hashes of weights: of tensors in memory and of the files of a checkpoint. Each is computed once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from engine.atomic import write_file
from engine.errors import OpticalError
from engine.hashes import hash_of, stamp_of
from engine.paths import cache_home

_ROW = 512
"""The number of 64-bit words that are summed to one number of a checksum."""

_WEIGHT = 0x9E3779B97F4A7C15 - (1 << 64)
"""An odd number that makes the order of the rows count."""


class WeightHashes:
    """Hashes of the weights of one encoder.

    A hash covers every byte of a tensor. It is computed again only if the tensor may have changed: if its
    storage, its version (which torch counts for changes in place) or a checksum of all its values differs.
    The checksum takes about a tenth of the time of the hash. Hashes of tensors that are as they were loaded
    are stored in the cache with the inode, size and times of the checkpoint's files.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, bytes]] = {}
        self._versions: dict[str, int] = {}
        self._place: Path | None = None
        self._stored: dict[str, str] = {}

    def loaded(self, stamp: str, tensors: Mapping[str, Tensor]) -> None:
        """Declare that `tensors` were just loaded from files that have this `stamp` (see `files_stamp`)."""
        if not stamp:
            return
        self._versions = {name: tensor._version for name, tensor in tensors.items()}
        self._place = cache_home() / "hashes" / f"weights-{hash_of(stamp.encode())}.json"
        with suppress(OSError, ValueError, TypeError, AttributeError):
            stored = json.loads(self._place.read_bytes())
            self._stored = {str(key): bytes.fromhex(value).hex() for key, value in stored.items()}

    def of(self, tensors: Mapping[str, Tensor]) -> dict[str, bytes]:
        """Return the hash of each of `tensors` by name."""
        before = len(self._stored)
        found = {name: self._hash(name, tensor.detach()) for name, tensor in tensors.items()}
        if self._place is not None and len(self._stored) != before:
            with suppress(OSError, OpticalError):
                self._place.parent.mkdir(parents=True, exist_ok=True)
                write_file(self._place, json.dumps(self._stored).encode())
        return found

    def _hash(self, name: str, tensor: Tensor) -> bytes:
        check = checksum(tensor)
        version = None if tensor.is_inference() else tensor._version
        state = (tensor.data_ptr(), version, check)
        known = self._known.get(name)
        if known is not None and version is not None and known[0] == state:
            return known[1]
        as_loaded = version is not None and self._versions.get(name) == version
        key = f"{name} {tensor.dtype} {tuple(tensor.shape)} {check}"
        if as_loaded and key in self._stored:
            digest = bytes.fromhex(self._stored[key])
        else:
            digest = hashlib.blake2b(_bytes(tensor).cpu().numpy().data, digest_size=16).digest()
            if as_loaded and self._place is not None:
                self._stored[key] = digest.hex()
        self._known[name] = (state, digest)
        return digest


def checksum(tensor: Tensor) -> int:
    """Return a number that depends on all bytes of `tensor` and takes little more time than to read them."""
    content = _bytes(tensor)
    words = len(content) // 8
    rest = int.from_bytes(content[words * 8 :].cpu().numpy().tobytes(), "little")
    if words == 0:
        return rest
    numbers = content[: words * 8].view(torch.int64)
    full = words // _ROW
    sums = torch.cat(
        [numbers[: full * _ROW].view(full, _ROW).sum(1), numbers[full * _ROW :].sum().reshape(1)]
    )
    places = torch.arange(1, len(sums) + 1, device=sums.device) * _WEIGHT
    return int((sums * (places ^ (places >> 29))).sum()) ^ rest


def files_stamp(folders: Mapping[str, Path]) -> str:
    """Return the inodes, sizes and times of the files of checkpoints in `folders`.

    It is ``""`` if the files cannot be told apart from other files by them, because one changed just now.
    """
    stamps = []
    for name, folder in folders.items():
        for file in checkpoint_files(folder):
            stamp = stamp_of(file)
            if not stamp:
                return ""
            stamps.append(f"{name}/{file.relative_to(folder)} {stamp}")
    return "\n".join(stamps)


def checkpoint_files(folder: Path) -> list[Path]:
    """Return the files in `folder` that determine what its checkpoint computes, sorted by name.

    These are its weights, settings and vocabularies, and those of its dense layers in folders of their own.
    """
    patterns = [f"{place}*.{suffix}" for place in ("", "*/") for suffix in ("safetensors", "json")]
    patterns += ["*.model", "*.txt"]
    return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})


def _bytes(tensor: Tensor) -> Tensor:
    flat = tensor.reshape(-1).contiguous()
    if flat.storage_offset():
        flat = flat.clone()
    return flat.view(torch.uint8)
