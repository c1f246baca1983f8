"""The teacher's vectors of every English sentence of a run: computed once, cached, drawn from in batches."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.encoders.encoder import Encoder, Role
from engine.retrieval.tokens import TokenStore
from engine.training.losses import Targets


def fingerprint(encoder: Encoder) -> str:
    """Return a short hash of what an encoder computes: its settings, fitted vectors and weights.

    Of each weight tensor a sample of 64 values is hashed, which any training step changes.
    """
    digest = hashlib.blake2b(digest_size=12)
    settings = encoder.config.model_dump(exclude={"checkpoint"})
    digest.update(repr(sorted(settings.items())).encode())
    for name, tensor in encoder.state_dict().items():
        if encoder.trimming is not None and "word_embeddings" in name:
            tensor = encoder.trimming.whole
        flat = tensor.detach().reshape(-1)
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(flat[:: max(1, len(flat) // 64)].float().cpu().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class TeacherVectors:
    """Teacher vectors of M sentences.

    Attributes
    ----------
    store : TokenStore
        Counted unit token vectors.
    norms, ids : Tensor (N,)
        Length before normalising, and piece id, of each of the store's tokens.
    sentences : Tensor (M, H')
        Unit sentence vectors.
    """

    store: TokenStore
    norms: Tensor
    ids: Tensor
    sentences: Tensor

    def targets(self, rows: Sequence[int], excluded: Tensor) -> Targets:
        """Return the padded vectors of sentences `rows` (the batch's own first); `excluded` is (B, N)."""
        index = torch.tensor(rows)
        tokens, mask = self.store.select(index).padded()
        norms = tokens.new_zeros(mask.shape)
        ids = torch.zeros(mask.shape, dtype=torch.long)
        flat = torch.cat(
            [torch.arange(int(self.store.offsets[r]), int(self.store.offsets[r + 1])) for r in rows]
        )
        norms[mask] = self.norms[flat]
        ids[mask] = self.ids[flat]
        return Targets(tokens, mask, self.sentences[index], norms, ids, excluded)


def sentence_vectors(
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    *,
    precision: torch.dtype,
    cache: Path,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Return the sentence vectors (M, H') of `texts`, from the folder `cache` if they were computed before."""
    path = cache / f"sentences-{_key(encoder, texts, role, precision)}.safetensors"
    found = _load(path)
    if found is not None:
        return found["sentences"]
    vectors = encoder.encode_sentences(texts, role, precision=precision, progress=progress)
    _save({"sentences": vectors}, path)
    return vectors


def encode_targets(
    teacher: Encoder,
    texts: Sequence[str],
    role: Role,
    *,
    precision: torch.dtype,
    cache: Path | None,
    progress: Callable[[int], None] | None = None,
) -> TeacherVectors:
    """Return the teacher's vectors of `texts`, from the folder `cache` if they were computed before."""
    path = None if cache is None else cache / f"targets-{_key(teacher, texts, role, precision)}.safetensors"
    found = None if path is None else _load(path)
    if found is not None:
        store = TokenStore(found["vectors"], found["offsets"])
        return TeacherVectors(store, found["norms"], found["ids"], found["sentences"])

    rows: list[int] = []
    stores, norms, ids = [], [], []
    sentences = torch.zeros(len(texts), teacher.width)
    for indices, encoded in teacher.encode(texts, role, precision=precision, progress=progress):
        rows += indices
        stores.append(TokenStore.from_padded(encoded.tokens.cpu(), encoded.mask.cpu()))
        norms += [row[mask] for row, mask in zip(encoded.norms.cpu(), encoded.mask.cpu(), strict=True)]
        ids += [row[mask] for row, mask in zip(encoded.ids.cpu(), encoded.mask.cpu(), strict=True)]
        sentences[indices] = encoded.sentences.cpu()
    order = torch.tensor(rows).argsort()
    store = TokenStore.concatenate(stores).select(order)
    vectors = TeacherVectors(
        store, torch.cat([norms[i] for i in order]), torch.cat([ids[i] for i in order]), sentences
    )
    if path is not None:
        tensors = {"vectors": store.vectors.contiguous(), "offsets": store.offsets}
        _save(tensors | {"norms": vectors.norms, "ids": vectors.ids, "sentences": sentences}, path)
    return vectors


def _key(encoder: Encoder, texts: Sequence[str], role: Role, precision: torch.dtype) -> str:
    digest = hashlib.blake2b(f"{fingerprint(encoder)}{role}{precision}".encode(), digest_size=16)
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def _load(path: Path) -> dict[str, Tensor] | None:
    if not path.is_file():
        return None
    try:
        return load_file(str(path))
    except (SafetensorError, OSError):
        path.unlink(missing_ok=True)  # cut short by a full disk or a kill: compute it again
        return None


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    building = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, str(building))
        building.replace(path)
    except (OSError, SafetensorError):  # a cache that cannot be written costs time, not the run
        building.unlink(missing_ok=True)
