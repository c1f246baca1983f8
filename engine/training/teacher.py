"""The teacher's vectors of every English sentence of a run: computed once, cached, drawn from in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.encoders.encoder import Encoder, Role
from engine.errors import InputError
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import cache_file, load_cached, save_cached
from engine.training.losses import Targets


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
    attention : Tensor (N,), optional
        Attention that each of the store's tokens receives.
    """

    store: TokenStore
    norms: Tensor
    ids: Tensor
    sentences: Tensor
    attention: Tensor | None = None

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
        attention = None
        if self.attention is not None:
            attention = tokens.new_zeros(mask.shape)
            attention[mask] = self.attention[flat]
        return Targets(tokens, mask, self.sentences[index], norms, ids, excluded, attention)


def encode_targets(
    teacher: Encoder,
    texts: Sequence[str],
    role: Role,
    *,
    precision: torch.dtype,
    attention: bool = False,
    cache: Path | None,
    progress: Callable[[int], None] | None = None,
) -> TeacherVectors:
    """Return the teacher's vectors of `texts`, from the folder `cache` if they were computed before.

    With `attention`, what each token receives is among them.

    Raises
    ------
    InputError
        If the teacher gives no attention.
    """
    kind = "targets-with-attention" if attention else "targets"
    path = cache_file(cache, kind, teacher, texts, role, precision)
    found = load_cached(path)
    if found is not None:
        store = TokenStore(found["vectors"], found["offsets"])
        return TeacherVectors(store, found["norms"], found["ids"], found["sentences"], found.get("attention"))

    rows: list[int] = []
    stores, norms, ids, received = [], [], [], []
    sentences = torch.zeros(len(texts), teacher.width)
    for indices, encoded in teacher.encode(
        texts, role, precision=precision, attention=attention, progress=progress
    ):
        rows += indices
        stores.append(TokenStore.from_padded(encoded.tokens.cpu(), encoded.mask.cpu()))
        norms += [row[mask] for row, mask in zip(encoded.norms.cpu(), encoded.mask.cpu(), strict=True)]
        ids += [row[mask] for row, mask in zip(encoded.ids.cpu(), encoded.mask.cpu(), strict=True)]
        if attention:
            if encoded.attention is None:
                raise InputError(
                    f"checkpoint {teacher.config.checkpoint!r} gives no attention weights, so choose another "
                    "transport.marginals than 'attention'"
                )
            received += [
                row[mask] for row, mask in zip(encoded.attention.cpu(), encoded.mask.cpu(), strict=True)
            ]
        sentences[indices] = encoded.sentences.cpu()
    order = torch.tensor(rows).argsort()
    store = TokenStore.concatenate(stores).select(order)
    vectors = TeacherVectors(
        store,
        torch.cat([norms[i] for i in order]),
        torch.cat([ids[i] for i in order]),
        sentences,
        torch.cat([received[i] for i in order]) if attention else None,
    )
    tensors = {"vectors": store.vectors.contiguous(), "offsets": store.offsets}
    tensors |= {"norms": vectors.norms, "ids": vectors.ids, "sentences": sentences}
    if vectors.attention is not None:
        tensors["attention"] = vectors.attention
    save_cached(tensors, path)
    return vectors
