"""What training changed in the weights of a checkpoint, kept instead of the whole weights.

A student of a frozen or trimmed encoder shares most of its weights with the checkpoint that it began as. Its
folder holds the tensors that differ, and of tables such as the word embeddings the rows that differ. The rest
is read from that checkpoint, which a hash of all its weights identifies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.encoders.weights import WeightHashes, files_stamp
from engine.errors import InputError

CHANGES_FILE = "model.changes.safetensors"
#: Prefixes of the names in this file: whole tensors, changed rows, and the numbers of these rows.
_WHOLE, _ROWS, _NUMBERS = "whole/", "rows/", "numbers/"
#: Views of the bits of a number, by its size in bytes. As bits, NaN equals itself and 0 differs from -0.
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def changes(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Return what turns the tensors `before` into `after`, bit for bit.

    Returns
    -------
    dict of Tensor or None
        On the CPU, by names that `apply_changes` reads. None if the two have other names, shapes or types.
    """
    if before.keys() != after.keys():
        return None
    found: dict[str, Tensor] = {}
    known: set[tuple[int, int]] = set()
    for name, old in before.items():
        new = after[name].detach()
        if new.shape != old.shape or new.dtype != old.dtype:
            return None
        if (shared := (old.data_ptr(), new.data_ptr())) in known:  # tied weights
            continue
        known.add(shared)
        new = new.cpu().contiguous()
        differs = _bits(new) != _bits(old.detach().cpu().contiguous())
        if not bool(differs.any()):
            continue
        rows = differs.reshape(len(new), -1).any(1).nonzero()[:, 0] if new.ndim > 1 else None
        if rows is None or 2 * len(rows) > len(new):
            found[_WHOLE + name] = new.clone()
        else:
            found[_NUMBERS + name] = rows
            found[_ROWS + name] = new[rows]
    return found


def apply_changes(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Change `tensors` in place as the file in `folder` says.

    Raises
    ------
    InputError
        If the file is damaged, or its names and shapes are not those of `tensors`.
    """
    path = folder / CHANGES_FILE
    try:
        found = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise InputError(f"the changed weights cannot be read: {error}", path=path) from error
    with torch.no_grad():
        for key, value in found.items():
            kind, _, name = key.partition("/")
            if f"{kind}/" == _NUMBERS:
                continue
            target = tensors.get(name)
            numbers = found.get(_NUMBERS + name) if f"{kind}/" == _ROWS else None
            if target is None or not _fits(target, value, numbers):
                raise InputError(
                    f"the changed weights {name!r} do not fit the checkpoint that they are changes of; "
                    "the folder was changed, or another version of transformers names them otherwise",
                    path=path,
                )
            if numbers is None:
                target.copy_(value)
            else:
                target[numbers] = value


def check_base(state: Mapping[str, Tensor], source: str, wanted: str, folder: Path) -> None:
    """Check that `state`, the weights of the checkpoint at `source`, has the hash `wanted`.

    Raises
    ------
    InputError
        If it has another one, so the changes in `folder` do not belong to it.
    """
    if weights_hash(state, source) != wanted:
        raise InputError(
            f"this folder holds only what training changed in {source}, and the weights there are no longer "
            "those that were trained; put those back, or train the student again",
            path=folder,
        )


def weights_hash(state: Mapping[str, Tensor], source: str) -> str:
    """Return a hash of the names, shapes and bits of the weights `state` of the checkpoint at `source`.

    The pooler is left out: it is unused, and random if the checkpoint has none.
    """
    hashes = WeightHashes()
    if Path(source).is_dir():
        hashes.loaded(files_stamp({"weights": Path(source)}), state)
    used = {name: tensor for name, tensor in sorted(state.items()) if "pooler." not in name}
    digest = hashlib.blake2b(digest_size=16)
    for name, found in hashes.of(used).items():
        digest.update(f"{name} {used[name].dtype} {tuple(used[name].shape)}".encode() + found)
    return digest.hexdigest()


def tokenization(tokenizer: Any) -> list[bytes]:
    """Return what determines the pieces of a text: normaliser, pre-tokenizer, vocabulary, special tokens.

    Truncation and padding are left out: they are those of the last call.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # characters need no vocabulary
        return [type(tokenizer).__name__.encode()]
    parts = (backend.normalizer, backend.pre_tokenizer, backend.model, backend.post_processor)
    states = [b"" if part is None else bytes(part.__getstate__()) for part in parts]
    added = sorted((number, repr(token)) for number, token in tokenizer.added_tokens_decoder.items())
    return [*states, repr(added).encode()]


def tokenizer_hash(tokenizer: Any) -> str:
    """Return a hash of what determines the pieces of a text."""
    digest = hashlib.blake2b(digest_size=16)
    for part in tokenization(tokenizer):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _fits(target: Tensor, value: Tensor, numbers: Tensor | None) -> bool:
    if numbers is None:
        return value.shape == target.shape and value.dtype == target.dtype
    return (
        value.dtype == target.dtype
        and value.shape[1:] == target.shape[1:]
        and numbers.shape == value.shape[:1]
        and numbers.dtype == torch.int64
        and (not len(numbers) or bool((numbers.min() >= 0) & (numbers.max() < len(target))))
    )


def _bits(tensor: Tensor) -> Tensor:
    return (
        tensor.view(_BITS[tensor.element_size()])
        if tensor.ndim
        else tensor.reshape(1).view(_BITS[tensor.element_size()])
    )
