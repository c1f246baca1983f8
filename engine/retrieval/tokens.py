"""Texts as packed token vectors, which late interaction searches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class TokenStore:
    """The counted token vectors of M texts, one after another, without padding.

    Parameters
    ----------
    vectors : Tensor of shape (N, H)
        All token vectors, document by document, of a floating-point type.
    offsets : Tensor of shape (M + 1,), int64
        Document i has the vectors ``vectors[offsets[i]:offsets[i + 1]]``; it may have none.

    Raises
    ------
    ValueError
        When the shapes or the offsets do not fit together.
    """

    vectors: Tensor
    offsets: Tensor

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.vectors.dtype not in _DTYPES:
            raise ValueError(f"vectors must be (N, H) and floating point, not {tuple(self.vectors.shape)}")
        if self.offsets.ndim != 1 or self.offsets.dtype != torch.int64 or len(self.offsets) < 1:
            raise ValueError("offsets must be (M + 1,) and int64")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.vectors) or (self.offsets.diff() < 0).any():
            raise ValueError("offsets must rise from 0 to the number of token vectors")

    def __len__(self) -> int:
        """Return the number of documents M."""
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Tensor:
        """Return one document's token vectors, (D, H); a view, not a copy."""
        if not 0 <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        return self.vectors[int(self.offsets[index]) : int(self.offsets[index + 1])]

    def __iter__(self) -> Iterator[Tensor]:
        """Yield every document's token vectors in order."""
        return (self[index] for index in range(len(self)))

    @property
    def lengths(self) -> Tensor:
        """Number of token vectors of each document, (M,) int64."""
        return self.offsets.diff()

    @property
    def nbytes(self) -> int:
        """Size of the vectors and offsets in bytes."""
        return self.vectors.nbytes + self.offsets.nbytes

    @property
    def width(self) -> int:
        """Width H of the vectors."""
        return int(self.vectors.shape[1])

    @property
    def dtype(self) -> torch.dtype:
        """Type of the vectors."""
        return self.vectors.dtype

    @property
    def device(self) -> torch.device:
        """The device of the vectors."""
        return self.vectors.device

    def parts(self) -> Iterator[tuple[int, TokenStore]]:
        """Yield the whole store and 0, the number of its first document.

        `engine.retrieval.stored.StoredTokens` yields its documents in several parts.
        """
        yield 0, self

    def load(self) -> TokenStore:
        """Return the store itself, which is in memory."""
        return self

    def to(self, target: torch.dtype | torch.device | str) -> TokenStore:
        """Return the store with its vectors in another type, or on another device."""
        vectors = self.vectors.to(target)
        return TokenStore(vectors, self.offsets.to(vectors.device))

    @classmethod
    def from_padded(cls, vectors: Tensor, mask: Tensor) -> TokenStore:
        """Pack a padded batch (B, T, H), keeping the tokens where `mask` (B, T) is true."""
        if vectors.ndim != 3 or mask.shape != vectors.shape[:2]:
            raise ValueError(f"mask {tuple(mask.shape)} does not fit vectors {tuple(vectors.shape)}")
        keep = mask.bool()
        offsets = torch.zeros(len(keep) + 1, dtype=torch.int64, device=vectors.device)
        torch.cumsum(keep.sum(1), 0, out=offsets[1:])
        return cls(vectors[keep], offsets)

    @classmethod
    def concatenate(cls, stores: Sequence[TokenStore]) -> TokenStore:
        """Join stores into one; their documents keep their order.

        Raises
        ------
        ValueError
            When there is no store, or their widths or types differ.
        """
        if not stores:
            raise ValueError("there is no store to concatenate")
        if len({(store.vectors.shape[1], store.vectors.dtype) for store in stores}) > 1:
            raise ValueError("stores of different widths or types cannot be concatenated")
        offsets = torch.zeros(sum(map(len, stores)) + 1, dtype=torch.int64, device=stores[0].offsets.device)
        torch.cumsum(torch.cat([store.lengths for store in stores]), 0, out=offsets[1:])
        return cls(torch.cat([store.vectors for store in stores]), offsets)

    def select(self, indices: Tensor) -> TokenStore:
        """Return the documents `indices` (K,), in that order."""
        indices = indices.to(self.offsets.device)
        offsets = torch.zeros(len(indices) + 1, dtype=torch.int64, device=self.offsets.device)
        torch.cumsum(self.lengths[indices], 0, out=offsets[1:])
        return TokenStore(self.vectors[token_rows(self.offsets, indices)], offsets)

    def padded(self) -> tuple[Tensor, Tensor]:
        """Return a padded batch: vectors (M, D, H), zero where there is no token, and mask (M, D)."""
        lengths = self.lengths
        width = int(lengths.max()) if len(self) else 0
        mask = torch.arange(width, device=lengths.device) < lengths[:, None]
        vectors = self.vectors.new_zeros(len(self), width, self.vectors.shape[1])
        vectors[mask] = self.vectors
        return vectors, mask


def token_rows(offsets: Tensor, indices: Tensor) -> Tensor:
    """Return the rows of the token vectors of documents `indices`, one document after another, int64."""
    lengths = offsets.diff()[indices]
    shift = torch.repeat_interleave(offsets[indices] - (lengths.cumsum(0) - lengths), lengths)
    return torch.arange(len(shift), device=shift.device) + shift


def runs(bounds: list[int], size: int, most: int) -> Iterator[tuple[int, int]]:
    """Divide texts into runs of at most `size` tokens and `most` texts; a longer text is a run of its own.

    `bounds` are the offsets of the texts. Yields the first text of each run, and the one after its last.
    """
    first = 0
    while first < len(bounds) - 1:
        last = first + 1
        while last < len(bounds) - 1 and last - first < most and bounds[last + 1] - bounds[first] <= size:
            last += 1
        yield first, last
        first = last
