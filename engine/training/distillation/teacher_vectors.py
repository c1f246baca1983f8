"""The teacher's vectors of all English sentences of a run: computed once, cached, selected in batches."""

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
    layers : Tensor (L, N, W), optional
        Centred unit states of the store's tokens in other layers, in half precision.
    layer_means : Tensor (L, W), optional
        What they were centred by.
    """

    store: TokenStore
    norms: Tensor
    ids: Tensor
    sentences: Tensor
    attention: Tensor | None = None
    layers: Tensor | None = None
    layer_means: Tensor | None = None

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
        layers = None
        if self.layers is not None:
            own = mask[: len(excluded)]
            layers = torch.zeros(len(self.layers), *own.shape, self.layers.shape[2])
            layers[:, own] = self.layers[:, flat[: int(own.sum())]].float()
        return Targets(tokens, mask, self.sentences[index], norms, ids, excluded, attention, layers)

    def centred(self, layers: Tensor | None) -> Tensor | None:
        """Return the student's unit states (L, B, T, W) centred as the teacher's are, again of unit length.

        One mean for both sides: a layer below the last has no projection that could make up for two.
        """
        if layers is None or self.layer_means is None:
            return layers
        return torch.nn.functional.normalize(
            layers - self.layer_means.to(layers.device)[:, None, None], dim=-1
        )


def encode_targets(
    teacher: Encoder,
    texts: Sequence[str],
    role: Role,
    *,
    precision: torch.dtype,
    attention: bool = False,
    layers: Sequence[int] = (),
    cache: Path | None,
    progress: Callable[[int], None] | None = None,
) -> TeacherVectors:
    """Return the teacher's vectors of `texts`, from the folder `cache` if they were computed before.

    With `attention`, they include the attention that each token receives; with `layers`, the states of these
    layers.

    Raises
    ------
    InputError
        If the teacher returns no attention weights.
    """
    kind = "-".join(["targets", *(["with-attention"] if attention else []), *map(str, layers)])
    path = cache_file(cache, kind, teacher, texts, role, precision)
    found = load_cached(path)
    if found is not None:
        store = TokenStore(found["vectors"], found["offsets"])
        further = (found.get(name) for name in ("attention", "layers", "layer_means"))
        return TeacherVectors(store, found["norms"], found["ids"], found["sentences"], *further)

    rows: list[int] = []
    stores, norms, ids, received = [], [], [], []
    inner: list[Tensor] = []
    sentences = torch.zeros(len(texts), teacher.sentence_width)
    for indices, encoded in teacher.encode(
        texts, role, precision=precision, attention=attention, layers=layers, progress=progress
    ):
        rows += indices
        stores.append(TokenStore.from_padded(encoded.tokens.cpu(), encoded.mask.cpu()))
        norms += [row[mask] for row, mask in zip(encoded.norms.cpu(), encoded.mask.cpu(), strict=True)]
        ids += [row[mask] for row, mask in zip(encoded.ids.cpu(), encoded.mask.cpu(), strict=True)]
        if attention:
            if encoded.attention is None:
                raise InputError(
                    f"checkpoint {teacher.config.checkpoint!r} gives no attention weights, so choose another "
                    "transport.marginals"
                )
            received += [
                row[mask] for row, mask in zip(encoded.attention.cpu(), encoded.mask.cpu(), strict=True)
            ]
        if encoded.layers is not None:
            inner += [
                row[:, mask].half().cpu()
                for row, mask in zip(encoded.layers.unbind(1), encoded.mask, strict=True)
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
        *(_centred(torch.cat([inner[i] for i in order], 1), teacher) if inner else ()),
    )
    tensors = {"vectors": store.vectors.contiguous(), "offsets": store.offsets}
    tensors |= {"norms": vectors.norms, "ids": vectors.ids, "sentences": sentences}
    for name in ("attention", "layers", "layer_means"):
        tensor = getattr(vectors, name)
        if tensor is not None:
            tensors[name] = tensor
    save_cached(tensors, path)
    return vectors


def _centred(states: Tensor, teacher: Encoder) -> tuple[Tensor, Tensor]:
    """Return unit states (L, N, W) centred layer by layer, if the teacher's are, and their means (L, W)."""
    means = torch.stack([layer.float().mean(0) for layer in states])
    if not teacher.config.centring:
        means.zero_()
    for layer, mean in zip(states, means, strict=True):  # in place: these are the largest tensors of a run
        layer.copy_(torch.nn.functional.normalize(layer.float() - mean, dim=-1))
    return states, means
