"""Token vectors in 2 or 4 bits for each element: a centroid and a quantised residual (ColBERTv2).

A vector is stored as the number of its nearest centroid, and the difference from it with a few bits for each
element (Santhanam et al. 2022, arXiv 2112.01488, section 3.3). Centroids and the values that the bits stand
for are learnt from a sample.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import faiss
import torch
from torch import Tensor

from engine.errors import DivergedError
from engine.retrieval.entries import checksum_of

#: Vectors that are encoded at once, and that are decoded at once, which stay in the processor's cache.
_ROWS, _DECODED = 1 << 16, 1 << 13
#: Vectors of the sample for each centroid, at least.
_TRAINED_ON = 64
_ITERATIONS = 10


@dataclass(frozen=True, eq=False)
class ResidualCodec:
    """Centroids and the values of residuals.

    Attributes
    ----------
    centroids : Tensor of shape (C, H), float32
        At most 65,536.
    cutoffs : Tensor of shape (2 ** bits - 1,), float32
        Limits between the values.
    values : Tensor of shape (2 ** bits,), float32
        The residuals that the bits stand for.
    cosine : float
        Mean cosine of vectors that the codec was not learnt from with their decoded ones.
    """

    centroids: Tensor
    cutoffs: Tensor
    values: Tensor
    cosine: float

    @property
    def bits(self) -> int:
        """Bits for each element: 2 or 4."""
        return len(self.values).bit_length() - 1

    @property
    def width(self) -> int:
        """Width H of the vectors."""
        return int(self.centroids.shape[1])

    @property
    def name(self) -> str:
        """A hash of the codec."""
        return checksum_of(self.tensors())

    @classmethod
    def learn(cls, sample: Tensor, bits: int, *, vectors: int, seed: int = 0) -> ResidualCodec:
        """Return the codec of unit vectors like those of `sample` (N, H).

        There are about ``4 sqrt(vectors)`` centroids, a power of two, but at least 64 vectors of the sample
        for each. The values are the means of the residuals between quantiles.

        Parameters
        ----------
        sample : Tensor of shape (N, H)
        bits : {2, 4}
        vectors : int
            Number of vectors that will be stored.
        seed : int
            Seed of k-means and of the division of the sample.

        Raises
        ------
        DivergedError
            When a vector is not a number.
        """
        rows = sample.float()
        if not rows.isfinite().all():
            raise DivergedError("some vectors are not numbers; use another encoder")
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        held, learnt = rows[order[: len(rows) // 10]], rows[order[len(rows) // 10 :]]
        most = max(1, min(4 * math.isqrt(vectors), len(learnt) // _TRAINED_ON, 1 << 16))
        count = 1 << (most.bit_length() - 1)
        means = faiss.Kmeans(
            rows.shape[1], count, niter=_ITERATIONS, seed=seed, spherical=True, min_points_per_centroid=1
        )
        if len(learnt):
            means.train(learnt.numpy())
            assert means.centroids is not None
            centroids = torch.from_numpy(means.centroids.copy())
        else:
            centroids = torch.zeros(1, rows.shape[1])
        residuals = (learnt - centroids[_nearest(learnt, centroids)]).flatten()
        levels = 2**bits
        ordered = residuals.sort().values if len(residuals) else torch.zeros(levels)
        places = [len(ordered) * number // levels for number in range(levels + 1)]
        cutoffs = ordered[places[1:-1]]
        values = torch.stack(
            [ordered[low : max(high, low + 1)].mean() for low, high in itertools.pairwise(places)]
        )
        plain = cls(centroids, cutoffs, values, 1.0)
        cosine = 1.0
        if len(held):
            cosine = float(torch.cosine_similarity(plain.decode(*plain.encode(held)), held).mean())
        return cls(centroids, cutoffs, values, cosine)

    def encode(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the centroids of vectors (N, H), (N,) int16, and their packed residuals, (N, B) uint8."""
        share = 8 // self.bits
        width = -(-self.width // share)
        codes = torch.empty(len(vectors), dtype=torch.int16)  # modulo 65,536
        packed = torch.empty(len(vectors), width, dtype=torch.uint8)
        shifts = torch.arange(0, 8, self.bits)
        for start in range(0, len(vectors), _ROWS):
            rows = vectors[start : start + _ROWS].float()
            nearest = _nearest(rows, self.centroids)
            levels = torch.bucketize(rows - self.centroids[nearest], self.cutoffs)
            levels = torch.nn.functional.pad(levels, (0, width * share - self.width))
            codes[start : start + len(rows)] = nearest.to(torch.int16)
            packed[start : start + len(rows)] = (
                (levels.view(len(rows), width, share) << shifts).sum(2).to(torch.uint8)
            )
        return codes, packed

    def decode(self, codes: Tensor, packed: Tensor) -> Tensor:
        """Return unit vectors (N, H), float32, from what `encode` returned."""
        table = self._table
        if packed.shape[1] % 2:
            packed = torch.nn.functional.pad(packed, (0, 1))
        pairs = packed.contiguous().view(torch.uint16)
        found = torch.empty(len(codes), self.width)
        for start in range(0, len(codes), _DECODED):
            some = slice(start, start + _DECODED)
            rows = torch.nn.functional.embedding(pairs[some].int(), table)
            rows = rows.view(-1, pairs.shape[1] * table.shape[1])[:, : self.width]
            rows += torch.nn.functional.embedding(codes[some].int() & 0xFFFF, self.centroids)
            found[some] = torch.nn.functional.normalize(rows, dim=1)
        return found

    @cached_property
    def _table(self) -> Tensor:
        """What each pair of bytes stands for, (65,536, 16 / bits)."""
        numbers = torch.arange(1 << 16)[:, None] >> torch.arange(0, 16, self.bits)
        return self.values[numbers & (2**self.bits - 1)]

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of a file, from which `from_tensors` makes the codec again."""
        return {
            "centroids": self.centroids,
            "cutoffs": self.cutoffs,
            "values": self.values,
            "cosine": torch.tensor(self.cosine),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> ResidualCodec:
        """Return the codec in the tensors of a file."""
        return cls(tensors["centroids"], tensors["cutoffs"], tensors["values"], float(tensors["cosine"]))


def _nearest(vectors: Tensor, centroids: Tensor) -> Tensor:
    """Return the centroid of each vector (N, H) with the highest product, (N,) int64."""
    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(centroids.numpy())
    _, found = index.search(vectors.numpy(), 1)
    return torch.from_numpy(found[:, 0])
