"""Vectors of many texts, cached on disk, because the documents of a collection do not change between runs.

A cached file says what made it (the format, and the versions of the libraries) and has a checksum of its
vectors. A file of another maker, and a damaged one, is ignored and made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.atomic import replacing
from engine.encoders.encoder import Encoder, Role
from engine.encoders.fingerprint import fingerprint, pieces_fingerprint
from engine.encoders.weights import checksum
from engine.hashes import hash_of
from engine.paths import cache_home
from engine.results.provenance import made_by
from engine.retrieval.tokens import TokenStore

SCHEMA = 1
"""The format of cached files. Files of other formats are ignored."""

#: Vectors of tokens, or one vector for each text.
Kind = Literal["tokens", "sentences"]
#: Texts that are tokenised at once where they are only counted.
_CHUNK = 4096


def vectors_folder() -> Path:
    """Return the user's folder of cached vectors."""
    return cache_home() / "vectors"


def vectors(
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    kinds: Collection[Kind],
    *,
    precision: torch.dtype,
    cache: Path | None = None,
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> dict[Kind, TokenStore | Tensor]:
    """Return vectors of `texts` of each of `kinds`, from the folder `cache` if they are there.

    Missing kinds are computed in one pass. ``tokens`` are the counted token vectors in half precision, which
    changes a MaxSim score by less than a thousandth and halves memory and disk. ``sentences`` are sentence
    vectors (M, H').
    """
    paths = {kind: cache_file(cache, kind, encoder, texts, role, precision) for kind in kinds}
    found: dict[Kind, TokenStore | Tensor] = {}
    for kind, path in paths.items():
        if (known := load_cached(path)) is not None:
            found[kind] = (
                known["sentences"] if kind == "sentences" else TokenStore(known["vectors"], known["offsets"])
            )
    missing = [kind for kind in paths if kind not in found]
    if not missing:
        return found
    rows: list[int] = []
    stores = [TokenStore(torch.zeros(0, encoder.dim, dtype=torch.float16), torch.zeros(1, dtype=torch.int64))]
    sentences = torch.zeros(len(texts), encoder.sentence_width)
    for indices, encoded in encoder.encode(
        texts, role, batch_size=batch_size, precision=precision, progress=progress
    ):
        rows += indices
        if "tokens" in missing:
            stores.append(TokenStore.from_padded(encoded.tokens.half().cpu(), encoded.mask.cpu()))
        if "sentences" in missing:
            sentences[indices] = encoded.sentences.cpu()
    if "tokens" in missing:
        order = torch.tensor(rows, dtype=torch.int64).argsort()
        store = found["tokens"] = TokenStore.concatenate(stores).select(order)
        save_cached({"vectors": store.vectors.contiguous(), "offsets": store.offsets}, paths["tokens"])
    if "sentences" in missing:
        found["sentences"] = sentences
        save_cached({"sentences": sentences}, paths["sentences"])
    return found


def count_cut(encoder: Encoder, texts: Sequence[str], role: Role, *, cache: Path | None = None) -> int:
    """Return how many of `texts` are longer than the encoder takes in `role`, and are cut.

    Parameters
    ----------
    encoder : Encoder
    texts : sequence of str
    role : {"query", "passage", "peer"}
    cache : path, optional
        A folder in which the number is looked up and stored.
    """
    path = None if cache is None else _file_of(cache, "cut", pieces_fingerprint(encoder, role), texts)
    if (known := load_cached(path)) is not None:
        return int(known["cut"])
    # a piece has about one character or more, so most texts are known to be short enough
    longest = encoder.longest(role) // 2 - len(encoder.prefix(role))
    extended = role == "query" and encoder.glossary is not None
    long = [text for text in texts if extended or len(text) > longest]
    found = 0
    for start in range(0, len(long), _CHUNK):
        found += sum(tokens.cut for tokens in encoder.tokenize(long[start : start + _CHUNK], role))
    save_cached({"cut": torch.tensor(found)}, path)
    return found


def sentence_vectors(encoder: Encoder, texts: Sequence[str], role: Role, **options: Any) -> Tensor:
    """Return the sentence vectors (M, H') of `texts`; the options are those of `vectors`."""
    found = vectors(encoder, texts, role, ["sentences"], **options)["sentences"]
    assert isinstance(found, Tensor)
    return found


def token_vectors(encoder: Encoder, texts: Sequence[str], role: Role, **options: Any) -> TokenStore:
    """Return the counted token vectors of `texts` in half precision; the options are those of `vectors`."""
    found = vectors(encoder, texts, role, ["tokens"], **options)["tokens"]
    assert isinstance(found, TokenStore)
    return found


def cache_file(
    cache: Path | None, kind: str, encoder: Encoder, texts: Sequence[str], role: Role, precision: torch.dtype
) -> Path | None:
    """Return the file in the folder `cache` for the vectors of `texts`; None without a cache."""
    if cache is None:
        return None
    encoder_key = fingerprint(encoder, sentences=kind == "sentences", role=role)
    kept = "query" if role == "query" else "passage"  # the prefix of a peer is in the encoder's key
    return _file_of(cache, kind, f"{encoder_key}{kept}{precision}", texts)


def _file_of(cache: Path, kind: str, key: str, texts: Sequence[str]) -> Path:
    """Return the file in the folder `cache` for what was computed of `texts` by what has the key `key`."""
    digest = hashlib.blake2b(key.encode(), digest_size=16)
    for text in texts:
        digest.update(text.encode() + b"\0")
    return cache / f"{kind}-{digest.hexdigest()}.safetensors"


def load_cached(path: Path | None) -> dict[str, Tensor] | None:
    """Return the tensors that `save_cached` wrote, or None.

    A file is removed if it is damaged, if another version made it, or if it does not say what made it.
    """
    if path is None or not path.is_file():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            recorded = file.metadata() or {}
        if recorded.get("made_by") == json.dumps(made_by(SCHEMA)):
            tensors = dict(load_file(str(path)))
            if recorded.get("checksum") == _checksum(tensors):
                return tensors
    except (SafetensorError, OSError):
        pass
    with suppress(OSError):
        path.unlink(missing_ok=True)
    return None


def save_cached(tensors: dict[str, Tensor], path: Path | None) -> None:
    """Write `tensors` to `path` completely or not at all. Errors are ignored: this is only a cache."""
    if path is None:
        return
    maker = {"made_by": json.dumps(made_by(SCHEMA)), "checksum": _checksum(tensors)}
    with suppress(OSError, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, sync=False) as building:
            save_file(tensors, str(building), maker)


def _checksum(tensors: dict[str, Tensor]) -> str:
    parts = [
        f"{name} {tensor.dtype} {tuple(tensor.shape)} {checksum(tensor)}" for name, tensor in tensors.items()
    ]
    return hash_of("\n".join(sorted(parts)).encode())
