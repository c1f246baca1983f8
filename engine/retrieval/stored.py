"""Token vectors that stay on disk and are read when they are searched, for pools larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import InputError
from engine.hashes import Hashes, hash_of, stamp_of
from engine.retrieval.entries import checksum_of, mapped, remove
from engine.retrieval.residual import ResidualCodec
from engine.retrieval.tokens import TokenStore, runs, token_rows

_PART = 1 << 22  # bytes of the vectors that are read at once; small, so that memory is reused


@dataclass(frozen=True, eq=False)
class Shard:
    """The token vectors of consecutive documents, in one file.

    Attributes
    ----------
    path : path
        A file of `engine.retrieval.entries` with the tensors ``offsets`` (m + 1,) and ``vectors`` (N, H), or
        what `codec` encoded of them: ``codes`` (N,) and ``residuals`` (N, B).
    lengths : Tensor of shape (m,), int64
        Number of token vectors of each document.
    width : int
        Width H of the vectors.
    dtype : torch.dtype
        Type of the vectors.
    checksum : str
        The checksum of the tensors that the file has recorded.
    codec : ResidualCodec, optional
        Decodes the vectors.
    """

    path: Path
    lengths: Tensor
    width: int
    dtype: torch.dtype
    checksum: str
    codec: ResidualCodec | None = None

    @classmethod
    def open(cls, path: Path | None, codec: ResidualCodec | None = None) -> Shard | None:
        """Return the shard in the file `path`, None if there is none; its vectors are not read."""
        found = mapped(path)
        if path is None or found is None:
            return None
        tensors, recorded = found
        lengths = tensors["offsets"].diff()
        if codec is not None:
            return cls(path, lengths, codec.width, torch.float32, recorded, codec)
        vectors = tensors["vectors"]
        return cls(path, lengths, int(vectors.shape[1]), vectors.dtype, recorded)

    def rows(self, tensors: dict[str, Tensor], rows: slice | Tensor) -> Tensor:
        """Return token vectors from the tensors of the file."""
        if self.codec is None:
            return tensors["vectors"][rows]
        return self.codec.decode(tensors["codes"][rows], tensors["residuals"][rows])


class StoredTokens:
    """The counted token vectors of M texts in files, without padding; what is searched is read in parts.

    It has the attributes and methods of `TokenStore` that a search needs. Besides one part (4 MiB) and the
    lengths of the documents nothing is held in memory; what was read remains in the system's file cache as
    long as there is room. Each file is compared with its checksum when it is read for the first time.

    Parameters
    ----------
    shards : sequence of Shard
        At least one; their documents follow one another. All have one width and type.
    """

    device = torch.device("cpu")

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = list(shards)
        self._checked: list[bool] = []
        self.width, self.dtype = shards[0].width, shards[0].dtype
        self.lengths = torch.cat([shard.lengths for shard in shards])
        counts = torch.tensor([0, *(len(shard.lengths) for shard in shards)])
        self._starts = counts.cumsum(0)

    @property
    def codec(self) -> ResidualCodec | None:
        """What decodes the vectors, if they are quantised."""
        return self._shards[0].codec

    @cached_property
    def name(self) -> str:
        """A hash of the vectors, computed from the checksums that the files have recorded."""
        parts = [shard.checksum for shard in self._shards]
        return hash_of("\n".join([*parts, "" if self.codec is None else self.codec.name]).encode())

    def beside(self, kind: str) -> Path:
        """Return the file for what was computed of these vectors, in the folder of their first file."""
        return self._shards[0].path.with_name(f"{kind}-{self.name}.safetensors")

    def __len__(self) -> int:
        """Return the number of documents M."""
        return len(self.lengths)

    def __getitem__(self, index: int) -> Tensor:
        """Return one document's token vectors, (D, H)."""
        if not 0 <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        return self.select(torch.tensor([index])).vectors

    def __iter__(self) -> Iterator[Tensor]:
        """Yield every document's token vectors in order."""
        for _, part in self.parts():
            yield from part

    @property
    def nbytes(self) -> int:
        """Size of the vectors and offsets in bytes, if they were in memory."""
        return int(self.lengths.sum()) * self.width * self.dtype.itemsize + 8 * (len(self) + 1)

    def parts(self) -> Iterator[tuple[int, TokenStore]]:
        """Yield consecutive documents as stores of about 4 MiB, each with the number of its first document.

        Raises
        ------
        InputError
            If a file is missing or damaged.
        """
        size = max(1, _PART // (self.width * self.dtype.itemsize))
        for number, first in enumerate(self._starts[:-1].tolist()):
            shard, tensors = self._shards[number], self._read(number)
            offsets = tensors["offsets"]
            bounds = offsets.tolist()
            for low, high in runs(bounds, size, len(bounds)):
                part = shard.rows(tensors, slice(bounds[low], bounds[high]))
                yield first + low, TokenStore(part, offsets[low : high + 1] - bounds[low])
        self._hashes.save()

    def select(self, indices: Tensor) -> TokenStore:
        """Return the documents `indices` (K,), in that order, in memory.

        Raises
        ------
        InputError
            If a file is missing or damaged.
        """
        indices = indices.cpu()
        offsets = torch.zeros(len(indices) + 1, dtype=torch.int64)
        torch.cumsum(self.lengths[indices], 0, out=offsets[1:])
        found = torch.empty(int(offsets[-1]), self.width, dtype=self.dtype)
        owner = torch.bucketize(indices, self._starts[1:], right=True)
        for number in sorted(set(owner.tolist())):
            places = (owner == number).nonzero()[:, 0]
            tensors = self._read(number)
            rows = token_rows(tensors["offsets"], indices[places] - self._starts[number])
            found[token_rows(offsets, places)] = self._shards[number].rows(tensors, rows)
        self._hashes.save()
        return TokenStore(found, offsets)

    def load(self) -> TokenStore:
        """Return all documents in memory.

        Raises
        ------
        InputError
            If a file is missing or damaged.
        """
        return self.select(torch.arange(len(self)))

    @cached_property
    def _hashes(self) -> Hashes:
        """The checksums with which files were compared, also by earlier processes."""
        hashes = Hashes(self._shards[0].path.parent / self.name)
        self._checked = [
            hashes.recall(shard.path, stamp_of(shard.path) or "") == shard.checksum for shard in self._shards
        ]
        return hashes

    def _read(self, number: int) -> dict[str, Tensor]:
        """Return the tensors of a shard, mapped into memory."""
        shard, hashes = self._shards[number], self._hashes
        stamp = "" if self._checked[number] else stamp_of(shard.path)
        found = mapped(shard.path)
        if found is None:
            raise InputError(
                "the stored vectors of these passages are no longer there or were cut short; run the command "
                "again, which encodes them again",
                path=shard.path,
            )
        tensors, recorded = found
        if not self._checked[number]:
            same = torch.equal(tensors["offsets"].diff(), shard.lengths)
            if not same or checksum_of(tensors) != recorded:
                remove(shard.path)
                raise InputError(
                    "the stored vectors of these passages are damaged, and the file was removed; run the "
                    "command again, which encodes them again",
                    path=shard.path,
                )
            self._checked[number] = True
            hashes.remember(shard.path, stamp or "", recorded)
        return tensors


Tokens = TokenStore | StoredTokens
"""Token vectors of texts, in memory or on disk."""
