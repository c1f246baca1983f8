"""Vectors of many texts, computed once: the documents of a collection do not change between runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.encoders.encoder import Encoder, Role
from engine.encoders.fingerprint import fingerprint
from engine.retrieval.tokens import TokenStore


def sentence_vectors(
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    *,
    precision: torch.dtype,
    cache: Path | None = None,
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Return the sentence vectors (M, H') of `texts`, from the folder `cache` if computed before."""
    path = cache_file(cache, "sentences", encoder, texts, role, precision)
    found = load_cached(path)
    if found is not None:
        return found["sentences"]
    vectors = encoder.encode_sentences(
        texts, role, batch_size=batch_size, precision=precision, progress=progress
    )
    save_cached({"sentences": vectors}, path)
    return vectors


def token_vectors(
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    *,
    precision: torch.dtype,
    cache: Path | None = None,
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> TokenStore:
    """Return the counted token vectors of `texts` in half precision, from `cache` if computed before.

    Half precision (eleven bits) moves a MaxSim score by less than a thousandth and halves memory and disk.
    """
    path = cache_file(cache, "tokens", encoder, texts, role, precision)
    found = load_cached(path)
    if found is not None:
        return TokenStore(found["vectors"], found["offsets"])
    rows: list[int] = []
    stores = []
    for indices, encoded in encoder.encode(
        texts, role, batch_size=batch_size, precision=precision, progress=progress
    ):
        rows += indices
        stores.append(TokenStore.from_padded(encoded.tokens.half().cpu(), encoded.mask.cpu()))
    if not stores:
        return TokenStore(torch.zeros(0, encoder.dim, dtype=torch.float16), torch.zeros(1, dtype=torch.int64))
    store = TokenStore.concatenate(stores).select(torch.tensor(rows).argsort())
    save_cached({"vectors": store.vectors.contiguous(), "offsets": store.offsets}, path)
    return store


def cache_file(
    cache: Path | None, kind: str, encoder: Encoder, texts: Sequence[str], role: Role, precision: torch.dtype
) -> Path | None:
    """Return the file in the folder `cache` for the vectors of `texts`, or None without a cache."""
    if cache is None:
        return None
    encoder_key = fingerprint(encoder, sentences=kind == "sentences")
    digest = hashlib.blake2b(f"{encoder_key}{role}{precision}".encode(), digest_size=16)
    for text in texts:
        digest.update(text.encode() + b"\0")
    return cache / f"{kind}-{digest.hexdigest()}.safetensors"


def load_cached(path: Path | None) -> dict[str, Tensor] | None:
    """Return what `save_cached` wrote, or None; a file that was cut short is removed."""
    if path is None or not path.is_file():
        return None
    try:
        return dict(load_file(str(path)))
    except (SafetensorError, OSError):
        path.unlink(missing_ok=True)
        return None


def save_cached(tensors: dict[str, Tensor], path: Path | None) -> None:
    """Write `tensors` to `path`, whole or not at all; a cache that cannot be written costs time only."""
    if path is None:
        return
    building = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, str(building))
        building.replace(path)
    except (OSError, SafetensorError):
        with suppress(OSError):
            building.unlink()
