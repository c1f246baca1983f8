"""Scores of all queries with all documents, one block of queries at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from engine.retrieval.tokens import TokenStore

Precision = Literal["fp32", "bf16"]

_PRODUCTS = 1 << 24  # bytes of one block of products, which stays in the last-level cache
_QUERIES = 64  # most queries of a block, which bounds the matrix that averages over query tokens
_TOKENS = 2048  # most query tokens of a block, unless one query has more


@torch.no_grad()
def dense_blocks(queries: Tensor, documents: Tensor, *, block_bytes: int = 1 << 26) -> Iterator[Tensor]:
    """Yield inner products (n, M) of consecutive blocks of `queries` (N, H) with all `documents` (M, H).

    In fp32, or fp64 for fp64 vectors, on the documents' device. A block takes about `block_bytes`.
    """
    if queries.ndim != 2 or documents.ndim != 2 or queries.shape[1] != documents.shape[1]:
        raise ValueError(
            f"queries {tuple(queries.shape)} and documents {tuple(documents.shape)} do not fit together"
        )
    dtype = precise(queries, documents)
    table = documents.to(dtype).T
    rows = max(1, block_bytes // (max(1, len(documents)) * dtype.itemsize))
    for start in range(0, max(1, len(queries)), rows):
        yield queries[start : start + rows].to(device=table.device, dtype=dtype) @ table


@torch.no_grad()
def token_blocks(
    queries: TokenStore,
    documents: TokenStore,
    *,
    block_bytes: int = 1 << 26,
    precision: Precision = "fp32",
) -> Iterator[Tensor]:
    """Yield MaxSim scores (n, M) of consecutive blocks of queries with all documents.

    Parameters
    ----------
    queries, documents : TokenStore
        N and M texts of width H. A text without tokens scores -inf with every other.
    block_bytes : int
        Budget in bytes for a block of scores; the products of query and document tokens take no more.
    precision : {"fp32", "bf16"}
        With "bf16" the elements of the vectors and the products are rounded to bf16, each by at most 1/256
        of its size; means are still computed in fp32.

    Yields
    ------
    Tensor of shape (n, M), float32 (float64 for float64 vectors), on the documents' device

    Raises
    ------
    ValueError
        When the widths differ.
    """
    if queries.vectors.shape[1] != documents.vectors.shape[1]:
        raise ValueError(
            f"queries of width {queries.vectors.shape[1]} cannot be compared with documents of width "
            f"{documents.vectors.shape[1]}"
        )
    total = precise(queries.vectors, documents.vectors)
    dtype = torch.bfloat16 if precision == "bf16" else total
    device = documents.vectors.device
    empty = documents.lengths == 0
    bounds = documents.offsets.tolist()
    budget = max(1, block_bytes // (total.itemsize * max(1, len(documents))))
    if not len(queries):
        yield torch.empty(0, len(documents), dtype=total, device=device)
    for first, last in _runs(queries.offsets.tolist(), _TOKENS, min(_QUERIES, budget)):
        start, stop = int(queries.offsets[first]), int(queries.offsets[last])
        tokens = queries.vectors[start:stop].to(device=device, dtype=dtype)
        lengths = queries.lengths[first:last].to(device)
        average = averaging(lengths, total)
        scores = torch.empty(last - first, len(documents), dtype=total, device=device)
        size = min(block_bytes, _PRODUCTS) // (dtype.itemsize * max(1, len(tokens)))
        for low, high in _runs(bounds, size, len(documents)):
            vectors = documents.vectors[bounds[low] : bounds[high]].to(dtype)
            best = segment_max(vectors @ tokens.T, documents.lengths[low:high])
            scores[:, low:high] = (best.to(total) @ average).T
        scores[:, empty] = -torch.inf
        scores[lengths == 0] = -torch.inf
        yield scores


def segment_max(products: Tensor, lengths: Tensor) -> Tensor:
    """Return the maxima (M, T) of each column over M runs of rows of `products` (N, T); 0 for empty runs."""
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    best = products.new_zeros(len(lengths), products.shape[1])
    return best.scatter_reduce(0, owner[:, None].expand_as(products), products, "amax", include_self=False)


def precise(queries: Tensor, documents: Tensor) -> torch.dtype:
    """Return the type of exact scores: fp32, or fp64 where a side is fp64."""
    return torch.promote_types(torch.promote_types(queries.dtype, documents.dtype), torch.float32)


def _runs(bounds: list[int], size: int, most: int) -> Iterator[tuple[int, int]]:
    """Divide texts into runs of at most `size` tokens and `most` texts; a longer text is a run of its own."""
    first = 0
    while first < len(bounds) - 1:
        last = first + 1
        while last < len(bounds) - 1 and last - first < most and bounds[last + 1] - bounds[first] <= size:
            last += 1
        yield first, last
        first = last


def averaging(lengths: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the matrix (tokens, n) whose columns average the tokens of each query."""
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    weights = torch.zeros(len(owner), len(lengths), dtype=dtype, device=lengths.device)
    weights.scatter_(1, owner[:, None], 1.0 / lengths[owner, None].to(dtype))
    return weights
