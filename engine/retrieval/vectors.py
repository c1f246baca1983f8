"""Vectors of many texts, cached on disk, because the documents of a collection do not change between runs.

The vectors of many texts are in several files, each with those of consecutive texts. A file that is there is
complete, so what was encoded before a run was killed is not encoded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from engine.encoders.encoder import Encoder, Role
from engine.encoders.fingerprint import fingerprint, pieces_fingerprint
from engine.errors import OpticalError
from engine.paths import cache_home
from engine.retrieval.entries import claimed, load_cached, save_cached
from engine.retrieval.residual import ResidualCodec
from engine.retrieval.stored import Shard, StoredTokens, Tokens
from engine.retrieval.tokens import TokenStore

#: Vectors of tokens, or one vector for each text.
Kind = Literal["tokens", "sentences"]
SHARD = 2048
"""Number of texts whose vectors are in one file."""
IN_MEMORY = 2**30
"""Bytes of token vectors above which those of a pool of documents stay on disk."""
#: Texts, and token vectors of them, from which the quantisation of a pool is learnt.
_SAMPLE, _SAMPLED_VECTORS = 4096, 1 << 18
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
    return _Cached(encoder, role, kinds, precision, cache, batch_size, progress).in_memory(texts, kinds)


def pool_vectors(
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    kinds: Collection[Kind],
    *,
    precision: torch.dtype,
    cache: Path,
    bits: int = 16,
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> dict[Kind, Tokens | Tensor]:
    """Return vectors as `vectors`, for a pool of any size: token vectors of more than 1 GiB stay on disk.

    With 2 or 4 `bits`, token vectors are quantised (`engine.retrieval.residual`) and stay on disk always.

    Raises
    ------
    OpticalError
        If vectors that do not fit in memory, or are quantised, cannot be written. Those that were written
        before are kept.
    DivergedError
        When a vector that would be quantised is not a number.
    """
    cached = _Cached(encoder, role, kinds, precision, cache, batch_size, progress)
    stored = None
    if "tokens" in kinds and texts and (bits < 16 or len(texts) > SHARD):
        stored = cached.on_disk(texts, kinds, cached.codec(texts, bits) if bits < 16 else None)
    if stored is None or (bits == 16 and stored.nbytes <= IN_MEMORY):
        return {**cached.in_memory(texts, kinds)}
    others: list[Kind] = [kind for kind in kinds if kind != "tokens"]
    return {"tokens": stored, **cached.in_memory(texts, others)}


class _Cached:
    """The vectors of one encoder in a folder, in which missing ones are added; parameters as of `vectors`."""

    def __init__(
        self,
        encoder: Encoder,
        role: Role,
        kinds: Collection[Kind],
        precision: torch.dtype,
        cache: Path | None,
        batch_size: int,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.encoder, self.role, self.precision, self.cache = encoder, role, precision, cache
        self.batch_size, self.progress = batch_size, progress
        self._keys: dict[str, str] = (
            {} if cache is None else {kind: _key(kind, encoder, role, precision) for kind in kinds}
        )
        self._trouble: OSError | None = None

    def in_memory(self, texts: Sequence[str], kinds: Collection[Kind]) -> dict[Kind, TokenStore | Tensor]:
        """Return the vectors of `texts` of each of `kinds`."""
        if len(texts) <= SHARD:
            return self._one_file(texts, kinds)
        found: dict[Kind, TokenStore | Tensor] = {}
        for kind in kinds:  # earlier versions have one file for all texts
            if (known := load_cached(self._file(kind, texts))) is not None:
                found[kind] = _entry(kind, known)
        missing = [kind for kind in kinds if kind not in found]
        made = [self._one_file(part, missing) for part in _parts(texts)] if missing else []
        for kind in missing:
            pieces = [part[kind] for part in made]
            stores = [piece for piece in pieces if isinstance(piece, TokenStore)]
            matrices = [piece for piece in pieces if isinstance(piece, Tensor)]
            found[kind] = TokenStore.concatenate(stores) if stores else torch.cat(matrices)
        return found

    def on_disk(
        self, texts: Sequence[str], kinds: Collection[Kind], codec: ResidualCodec | None
    ) -> StoredTokens | None:
        """Return the token vectors of `texts` without reading them; what is missing of `kinds` is written.

        Several processes share the work. None if vectors cannot be written, and fit in memory.

        Raises
        ------
        OpticalError
            If vectors cannot be written, and do not fit in memory or are quantised.
        """
        if codec is None and (whole := Shard.open(self._file("tokens", texts))) is not None:
            return StoredTokens([whole])
        parts, shards = _parts(texts), dict[int, Shard]()
        for wait in (False, True):  # first what no other process encodes
            for number, part in enumerate(parts):
                if number in shards:
                    continue
                path = self._shard_file(part, codec)
                shard = Shard.open(path, codec)
                if shard is None:
                    with claimed(path, wait=wait) as mine:
                        if not mine:
                            continue
                        shard = Shard.open(path, codec)
                        size = self._write(part, kinds, codec, path) if shard is None else 0
                    shard = shard or Shard.open(path, codec)
                    if shard is None and codec is None and size * len(parts) <= IN_MEMORY:
                        return None
                elif self.progress is not None:
                    self.progress(len(part))
                if shard is None:
                    reason = self._trouble and (self._trouble.strerror or self._trouble)
                    raise OpticalError(
                        f"{path}: the vectors of texts {number * SHARD + 1:,} to "
                        f"{number * SHARD + len(part):,} of {len(texts):,} could not be written ({reason}); "
                        "those before them are kept: make room, or set OPTICAL_CACHE to a folder on another "
                        "disk, and run the command again"
                    )
                shards[number] = shard
        return StoredTokens([shards[number] for number in range(len(parts))])

    def codec(self, texts: Sequence[str], bits: int) -> ResidualCodec:
        """Return the codec for the token vectors of `texts`, learnt from those of a sample of them.

        Raises
        ------
        DivergedError
            When a vector is not a number.
        """
        assert self.cache is not None
        path = _file_of(self.cache, f"codec-{bits}bit", self._keys["tokens"], texts)
        if (known := load_cached(path)) is not None:
            return ResidualCodec.from_tensors(known)
        generator = torch.Generator().manual_seed(0)
        rows = torch.randperm(len(texts), generator=generator)[:_SAMPLE].sort().values.tolist()
        progress, self.progress = self.progress, None
        store = self.in_memory([texts[row] for row in rows], ["tokens"])["tokens"]
        self.progress = progress
        assert isinstance(store, TokenStore)
        total = len(store.vectors) * len(texts) // max(1, len(rows))
        some = torch.randperm(len(store.vectors), generator=generator)[:_SAMPLED_VECTORS]
        codec = ResidualCodec.learn(store.vectors[some], bits, vectors=total)
        save_cached(codec.tensors(), path)
        return codec

    def _shard_file(self, texts: Sequence[str], codec: ResidualCodec | None) -> Path:
        assert self.cache is not None
        kind, key = "tokens", self._keys["tokens"]
        if codec is not None:
            kind, key = f"tokens-{codec.bits}bit", f"{key} {codec.name}"
        return _file_of(self.cache, kind, key, texts)

    def _write(
        self, texts: Sequence[str], kinds: Collection[Kind], codec: ResidualCodec | None, path: Path
    ) -> int:
        """Encode `texts` and write the file of their token vectors, if possible; return the vectors' size."""
        if codec is None:
            return self._one_file(texts, kinds)["tokens"].nbytes
        tensors = load_cached(self._file("tokens", texts))
        if tensors is None:
            made = self._encode(texts, kinds)
            tensors = made.pop("tokens")
            for kind, others in made.items():
                save_cached(others, self._file(kind, texts))
        codes, residuals = codec.encode(tensors["vectors"])
        encoded = {"codes": codes, "residuals": residuals, "offsets": tensors["offsets"]}
        self._trouble = save_cached(encoded, path)
        return tensors["vectors"].nbytes

    def _one_file(self, texts: Sequence[str], kinds: Collection[Kind]) -> dict[Kind, TokenStore | Tensor]:
        """Return the vectors of texts that are in one file for each kind; it is written if it is missing."""
        found: dict[Kind, TokenStore | Tensor] = {}
        for kind in kinds:
            if (known := load_cached(self._file(kind, texts))) is not None:
                found[kind] = _entry(kind, known)
        missing = [kind for kind in kinds if kind not in found]
        made = self._encode(texts, missing) if missing else {}
        for kind, tensors in made.items():
            found[kind] = _entry(kind, tensors)
            self._trouble = save_cached(tensors, self._file(kind, texts))
        return found

    def _encode(self, texts: Sequence[str], kinds: Collection[Kind]) -> dict[Kind, dict[str, Tensor]]:
        """Return the tensors of the file of each kind."""
        encoder = self.encoder
        rows: list[int] = []
        empty = torch.zeros(0, encoder.dim, dtype=torch.float16)
        stores = [TokenStore(empty, torch.zeros(1, dtype=torch.int64))]
        sentences = torch.zeros(len(texts), encoder.sentence_width)
        for indices, encoded in encoder.encode(
            texts,
            self.role,
            batch_size=self.batch_size,
            precision=self.precision,
            progress=self.progress,
        ):
            rows += indices
            if "tokens" in kinds:
                stores.append(TokenStore.from_padded(encoded.tokens.half().cpu(), encoded.mask.cpu()))
            if "sentences" in kinds:
                sentences[indices] = encoded.sentences.cpu()
        found: dict[Kind, dict[str, Tensor]] = {}
        if "tokens" in kinds:
            order = torch.tensor(rows, dtype=torch.int64).argsort()
            store = TokenStore.concatenate(stores).select(order)
            found["tokens"] = {"vectors": store.vectors.contiguous(), "offsets": store.offsets}
        if "sentences" in kinds:
            found["sentences"] = {"sentences": sentences}
        return found

    def _file(self, kind: Kind, texts: Sequence[str]) -> Path | None:
        return None if self.cache is None else _file_of(self.cache, kind, self._keys[kind], texts)


def _parts(texts: Sequence[str]) -> list[Sequence[str]]:
    """Return the texts of each file."""
    return [texts[start : start + SHARD] for start in range(0, len(texts), SHARD)]


def _entry(kind: Kind, tensors: dict[str, Tensor]) -> TokenStore | Tensor:
    """Return the vectors in the tensors of a file."""
    return tensors["sentences"] if kind == "sentences" else TokenStore(tensors["vectors"], tensors["offsets"])


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
    return _file_of(cache, kind, _key(kind, encoder, role, precision), texts)


def _key(kind: str, encoder: Encoder, role: Role, precision: torch.dtype) -> str:
    """Return what the vectors of a text depend on besides the text."""
    encoder_key = fingerprint(encoder, sentences=kind == "sentences", role=role)
    kept = "query" if role == "query" else "passage"  # the prefix of a peer is in the encoder's key
    return f"{encoder_key}{kept}{precision}"


def _file_of(cache: Path, kind: str, key: str, texts: Sequence[str]) -> Path:
    """Return the file in the folder `cache` for what was computed of `texts` by what has the key `key`."""
    digest = hashlib.blake2b(key.encode(), digest_size=16)
    for text in texts:
        digest.update(text.encode() + b"\0")
    return cache / f"{kind}-{digest.hexdigest()}.safetensors"
