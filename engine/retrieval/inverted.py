"""Approximate search by sentence vectors with FAISS's inverted lists, for pools of millions."""

from __future__ import annotations

import math

import faiss
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.errors import DivergedError
from engine.retrieval.topk import Found, ranks_of, top_k

#: Training vectors of k-means for each list (FAISS warns below 39 and ignores more than 256).
_TRAINED_ON = 64
#: Iterations of k-means for the bytes of product quantisation.
_ITERATIONS = 10
#: Candidates that are re-scored in full precision, for each document that is kept.
_SURPLUS = 2
#: Documents added at once, which bounds the copy in the precision of the lists.
_ADDED = 1 << 16
#: Queries searched at once, which bounds the vectors gathered for re-scoring.
_ASKED = 256


def empty_lists(count: int, width: int, quantizer: int, *, seed: int) -> faiss.IndexIVFScalarQuantizer:
    """Return about ``sqrt(count)`` inverted lists that are not trained, for `count` vectors of `width`."""
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(width), width, max(1, math.isqrt(count)), quantizer, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed = seed
    index.cp.min_points_per_centroid = 1  # no warning about a small pool
    return index


def empty_products(count: int, width: int, share: int, *, seed: int) -> faiss.IndexIVFPQ:
    """Return lists as `empty_lists`, with one byte for each `share` elements (product quantisation)."""
    index = faiss.IndexIVFPQ(
        faiss.IndexFlatIP(width),
        width,
        max(1, math.isqrt(count)),
        width // share,
        8,
        faiss.METRIC_INNER_PRODUCT,
    )
    for training in (index.cp, index.pq.cp):
        training.seed = seed
        training.min_points_per_centroid = 1
    index.pq.cp.niter, index.pq.cp.max_points_per_centroid = _ITERATIONS, _TRAINED_ON
    return index


def training_rows(count: int, lists: int, seed: int) -> npt.NDArray[np.int64]:
    """Return which of `count` vectors the k-means of `lists` lists is trained on."""
    return np.random.default_rng(seed).permutation(count)[: lists * _TRAINED_ON]


class InvertedLists:
    """Documents in lists around the centres of k-means; only the lists nearest to a query are searched.

    There are about as many lists as the square root of M. The lists hold vectors in half precision, and the
    candidates they return are re-scored with the full vectors, so scores are exact and only documents can be
    missing.

    Parameters
    ----------
    documents : Tensor of shape (M, H)
        Kept without a copy where they are float32 on the CPU.
    seed : int
        Seed of k-means.

    Raises
    ------
    DivergedError
        When a vector is not a number.
    """

    def __init__(self, documents: Tensor, *, seed: int = 0) -> None:
        self.documents = documents.float().cpu()
        vectors = self.documents.numpy()
        if not np.isfinite(vectors).all():
            raise DivergedError("some vectors are not numbers; use another encoder")
        count, width = vectors.shape
        self._index = empty_lists(count, width, faiss.ScalarQuantizer.QT_fp16, seed=seed)
        self.lists = int(self._index.nlist)
        if count:
            self._index.train(vectors[training_rows(count, self.lists, seed)])
        for start in range(0, count, _ADDED):
            self._index.add(vectors[start : start + _ADDED])

    def find(self, queries: Tensor, k: int, wanted: Tensor, *, probes: int) -> Found:
        """Return the `k` best documents of the `probes` lists nearest to each query.

        Parameters
        ----------
        queries : Tensor of shape (N, H)
        k : int
            At most M documents are returned.
        wanted : Tensor of shape (N, R), int64
            Documents whose ranks are returned too, -1 for none. A document that is not among the `k` has rank
            0, because its rank is not known.
        probes : int
            Number of lists that are searched; with all lists the search is exact.

        Raises
        ------
        DivergedError
            When a query's vector is not a number.
        """
        asked = queries.float().cpu()
        if not asked.isfinite().all():
            raise DivergedError("some vectors are not numbers; use another encoder")
        k = min(k, len(self.documents))
        if not k or not len(asked):
            nothing = torch.zeros(len(asked), k)
            return Found(nothing, nothing.long(), torch.zeros_like(wanted))
        self._index.nprobe = min(probes, self.lists)
        wanted = wanted.cpu()
        starts = range(0, len(asked), _ASKED)
        return Found.join(self._block(asked[n : n + _ASKED], k, wanted[n : n + _ASKED]) for n in starts)

    def _block(self, asked: Tensor, k: int, wanted: Tensor) -> Found:
        _, labels = self._index.search(asked.numpy(), min(_SURPLUS * k, len(self.documents)))
        candidates = torch.from_numpy(labels).sort(dim=1).values  # so that ties keep the lower document first
        scores = torch.einsum("nh,nch->nc", asked, self.documents[candidates.clamp(min=0)])
        scores[candidates < 0] = -torch.inf  # the lists hold fewer documents
        values, places = top_k(scores, k)
        indices = candidates.gather(1, places).clamp(min=0)
        return Found(values, indices, found_ranks(values, indices, wanted))


def find_in_lists(queries: Tensor, documents: Tensor, k: int, wanted: Tensor, *, probes: int) -> Found:
    """Build `InvertedLists` of `documents` and search them once; see `InvertedLists.find`."""
    return InvertedLists(documents).find(queries, k, wanted, probes=probes)


def found_ranks(values: Tensor, indices: Tensor, wanted: Tensor) -> Tensor:
    """Return the ranks of `wanted` among the found documents, 0 for others."""
    if not indices.shape[1]:
        return torch.zeros_like(wanted)
    there = (indices[:, None] == wanted[:, :, None]) & (values[:, None] > -torch.inf)
    columns = torch.where(there.any(2), there.int().argmax(2), -1)
    return ranks_of(values, columns)
