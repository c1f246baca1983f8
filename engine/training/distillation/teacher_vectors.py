"""The teacher's vectors of English sentences: made when they are asked for, and kept for the next time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.encoders.encoder import Encoded, Encoder, Role
from engine.errors import InputError
from engine.retrieval.kept import Kept
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import Kind, cache_file
from engine.training.losses import Targets

Without = Callable[[Kind, TokenStore | Tensor, Sequence[int]], TokenStore | Tensor]
"""Returns vectors of some sentences without what they have from their language."""

#: Sentences that are encoded before their vectors are written, which bounds the memory that they take.
_BLOCK = 1024


@dataclass(frozen=True)
class SentenceVectors:
    """Teacher vectors of some sentences, in the order in which they were asked for.

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
        Unit states of the store's tokens in other layers, in half precision.
    """

    store: TokenStore
    norms: Tensor
    ids: Tensor
    sentences: Tensor
    attention: Tensor | None = None
    layers: Tensor | None = None


class TeacherVectors:
    """The teacher's vectors of M sentences.

    Nothing is computed before it is asked for, so a run encodes the sentences that it draws and no others.
    What was computed is kept in the cache (`engine.retrieval.kept`) for all runs with the same teacher. Where
    the teacher computes in bf16, token vectors are kept in half precision, whose rounding is an eighth of
    that of bf16; otherwise in fp32. They are the same whether they were just computed or were kept.

    Parameters
    ----------
    teacher : Encoder
        The teacher; its weights must not change afterwards.
    texts : sequence of str
        The sentences.
    role : {"query", "passage", "peer"}
        Role in which they are encoded.
    precision : torch.dtype
        Autocast type of the matrix products.
    attention : bool
        Whether the attention that each token receives is kept too.
    layers : sequence of int
        Further layers whose states are kept.
    cache : path, optional
        The folder of cached vectors.
    without : callable, optional
        Takes a kind of vectors, the vectors of some sentences, and the rows of the sentences. Returns the
        vectors that are used; those before are kept.
    """

    def __init__(
        self,
        teacher: Encoder,
        texts: Sequence[str],
        role: Role,
        *,
        precision: torch.dtype,
        attention: bool = False,
        layers: Sequence[int] = (),
        cache: Path | None = None,
        without: Without | None = None,
    ) -> None:
        self._without = without
        self.teacher, self.texts, self.role, self.precision = teacher, texts, role, precision
        self._attention, self._layers = attention, tuple(layers)
        kind = "-".join(["teacher", *(["with-attention"] if attention else []), *map(str, layers)])
        file = cache_file(cache, kind, teacher, [], role, precision)
        self.kept = Kept(None if file is None else file.with_suffix(".sqlite"))
        self._kind = "f4" if precision == torch.float32 else "f2"
        self.layer_means: Tensor | None = None

    def __len__(self) -> int:
        """Return the number of sentences."""
        return len(self.texts)

    def missing(self, rows: Sequence[int]) -> list[int]:
        """Return those of `rows` whose vectors are still to be computed, each once."""
        by_text = {self.texts[row]: row for row in rows}
        return [by_text[text] for text in self.kept.missing(by_text)]

    def make(self, rows: Sequence[int], progress: Callable[[int], None] | None = None) -> None:
        """Compute and keep the vectors of `rows`.

        Parameters
        ----------
        rows : sequence of int
            Sentences, such as those that `missing` returned.
        progress : callable, optional
            Is told how many more sentences were encoded.

        Raises
        ------
        InputError
            If the teacher returns no attention weights.
        """
        for start in range(0, len(rows), _BLOCK):
            texts = [self.texts[row] for row in rows[start : start + _BLOCK]]
            for places, encoded in self.teacher.encode(
                texts,
                self.role,
                precision=self.precision,
                attention=self._attention,
                layers=self._layers,
                progress=progress,
            ):
                named = [texts[place] for place in places]
                self.kept.put(list(zip(named, self._packed(encoded), strict=True)))

    def of(self, rows: Sequence[int]) -> SentenceVectors:
        """Return the vectors of `rows`, which may repeat; those that are missing are computed.

        Raises
        ------
        InputError
            As in `make`.
        """
        found = self._unpacked(list(self._values(rows)))
        if self._without is None:
            return found
        store = self._without("tokens", found.store, rows)
        sentences = self._without("sentences", found.sentences, rows)
        assert isinstance(store, TokenStore) and isinstance(sentences, Tensor)
        return replace(found, store=store, sentences=sentences)

    def sentences(self, rows: Sequence[int]) -> Tensor:
        """Return the unit sentence vectors (R, H') of `rows`; those that are missing are computed."""
        width = self.teacher.sentence_width
        found = [np.frombuffer(value, "f4", width) for value in self._values(rows)]
        vectors = torch.from_numpy(np.stack(found))
        if self._without is not None:
            changed = self._without("sentences", vectors, rows)
            assert isinstance(changed, Tensor)
            return changed
        return vectors

    def targets(self, rows: Sequence[int], excluded: Tensor) -> Targets:
        """Return the padded vectors of sentences `rows` (the batch's own first); `excluded` is (B, N)."""
        found = self.of(rows)
        tokens, mask = found.store.to(torch.float32).padded()
        norms = tokens.new_zeros(mask.shape)
        ids = torch.zeros(mask.shape, dtype=torch.long)
        norms[mask], ids[mask] = found.norms, found.ids
        attention = None
        if found.attention is not None:
            attention = tokens.new_zeros(mask.shape)
            attention[mask] = found.attention
        layers = None
        if found.layers is not None:
            own = mask[: len(excluded)]
            layers = torch.zeros(len(found.layers), *own.shape, found.layers.shape[2])
            states = found.layers[:, : int(own.sum())].float()
            layers[:, own] = (
                states if self.layer_means is None else _centred(states, self.layer_means[:, None])
            )
        return Targets(tokens, mask, found.sentences, norms, ids, excluded, attention, layers)

    def centre_layers(self, rows: Sequence[int]) -> None:
        """Centre the states of further layers by their means over the sentences `rows` from now on."""
        if self._layers and self.teacher.config.centring:
            total, count = torch.zeros(len(self._layers), self.teacher.width), 0
            for start in range(0, len(rows), _BLOCK):
                layers = self.of(rows[start : start + _BLOCK]).layers
                assert layers is not None
                total += layers.float().sum(1)
                count += layers.shape[1]
            self.layer_means = total / max(1, count)

    def centred(self, layers: Tensor | None) -> Tensor | None:
        """Return the student's unit states (L, B, T, W) centred as the teacher's are, again of unit length.

        One mean for both sides: a layer below the last has no projection that could make up for two.
        """
        if layers is None or self.layer_means is None:
            return layers
        return _centred(layers, self.layer_means.to(layers.device)[:, None, None])

    def _values(self, rows: Sequence[int]) -> Iterator[bytes]:
        """Yield what is kept of each of `rows`; what is missing is computed first."""
        self.make(self.missing(rows))
        for row in rows:
            value = self.kept.get(self.texts[row])
            if value is None:  # it is damaged, or had to make room
                self.make([row])
                value = self.kept.get(self.texts[row])
                assert value is not None
            yield value

    # -- a sentence's vectors as bytes ------------------------------------------------------------------

    def _packed(self, encoded: Encoded) -> list[bytes]:
        """Return the vectors of each text of a batch: its own, then those of its counted tokens by part."""
        if self._attention and encoded.attention is None:
            raise InputError(
                f"checkpoint {self.teacher.config.checkpoint!r} gives no attention weights, so choose "
                "another transport.marginals"
            )
        tokens = encoded.tokens.half() if self._kind == "f2" else encoded.tokens.float()
        parts = [tokens, encoded.norms.float(), encoded.ids.int()]
        parts += [encoded.attention.float()] if self._attention and encoded.attention is not None else []
        parts += list(encoded.layers.half()) if encoded.layers is not None else []
        arrays = [part.cpu().numpy() for part in parts]
        masks, sentences = encoded.mask.cpu().numpy(), encoded.sentences.float().cpu().numpy()
        return [
            b"".join([sentence.tobytes(), *(array[row][mask].tobytes() for array in arrays)])
            for row, (sentence, mask) in enumerate(zip(sentences, masks, strict=True))
        ]

    def _unpacked(self, values: Sequence[bytes]) -> SentenceVectors:
        """Return the vectors of several texts from the bytes of `_packed`."""
        kinds: list[tuple[str, int]] = [(self._kind, self.teacher.dim), ("f4", 1), ("i4", 1)]
        kinds += [("f4", 1)] if self._attention else []
        kinds += [("f2", self.teacher.width)] * len(self._layers)
        head = 4 * self.teacher.sentence_width
        token = sum(int(kind[1]) * width for kind, width in kinds)
        counts = [(len(value) - head) // token for value in values]
        offsets = torch.zeros(len(values) + 1, dtype=torch.int64)
        torch.cumsum(torch.tensor(counts, dtype=torch.int64), 0, out=offsets[1:])
        total = int(offsets[-1])
        sentences = np.empty((len(values), self.teacher.sentence_width), "f4")
        arrays = [np.empty((total, width), kind) for kind, width in kinds]
        for row, (value, start, count) in enumerate(zip(values, offsets.tolist(), counts, strict=False)):
            sentences[row] = np.frombuffer(value, "f4", self.teacher.sentence_width)
            place = head
            for array, (kind, width) in zip(arrays, kinds, strict=True):
                array[start : start + count] = np.frombuffer(value, kind, count * width, place).reshape(
                    count, width
                )
                place += count * width * int(kind[1])
        tensors = [torch.from_numpy(array) for array in arrays]
        layers = tensors[len(tensors) - len(self._layers) :]
        return SentenceVectors(
            TokenStore(tensors[0], offsets),
            tensors[1][:, 0],
            tensors[2][:, 0].long(),
            torch.from_numpy(sentences),
            tensors[3][:, 0] if self._attention else None,
            torch.stack(layers) if layers else None,
        )


def _centred(states: Tensor, mean: Tensor) -> Tensor:
    return torch.nn.functional.normalize(states - mean, dim=-1)
