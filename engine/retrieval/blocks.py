"""Scores of all queries with all documents, one block of queries at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from engine.retrieval.stored import StoredTokens, Tokens
from engine.retrieval.tokens import TokenStore, runs

Precision = Literal["fp32", "bf16"]

_PRODUCTS = 1 << 24  # bytes of one block of products, which stays in the last-level cache
_QUERIES = 64  # most queries of a block, which bounds the matrix that averages over query tokens
_TOKENS = 2048  # most query tokens of a block, unless one query has more
_SCORES = 1 << 29  # bytes of the scores of one pass over documents on disk


@torch.no_grad()
def dense_blocks(queries: Tensor, documents: Tensor, *, block_bytes: int = 1 << 26) -> Iterator[Tensor]:
    """Yield inner products (n, M) of consecutive blocks of `queries` (N, H) with all `documents` (M, H).

    In fp32, or fp64 for fp64 vectors, on the documents' device. A block takes about `block_bytes`.
    """
    if queries.ndim != 2 or documents.ndim != 2 or queries.shape[1] != documents.shape[1]:
        raise ValueError(
            f"queries {tuple(queries.shape)} and documents {tuple(documents.shape)} do not fit together"
        )
    dtype = precise(queries.dtype, documents.dtype)
    table = documents.to(dtype).T
    rows = max(1, block_bytes // (max(1, len(documents)) * dtype.itemsize))
    for start in range(0, max(1, len(queries)), rows):
        yield queries[start : start + rows].to(device=table.device, dtype=dtype) @ table


@torch.no_grad()
def token_blocks(
    queries: TokenStore,
    documents: Tokens,
    *,
    block_bytes: int = 1 << 26,
    precision: Precision = "fp32",
) -> Iterator[Tensor]:
    """Yield MaxSim scores (n, M) of consecutive blocks of queries with all documents.

    Documents on disk are read once for each block, so their blocks have more queries.

    Parameters
    ----------
    queries : TokenStore
        N texts of width H. A text without tokens scores -inf with every other.
    documents : TokenStore or StoredTokens
        M texts of width H.
    block_bytes : int
        Budget in bytes for a block of scores; the products of query and document tokens take no more.
        Scores with documents on disk take 512 MiB if that is more.
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
    for scores, _ in bounded_blocks(queries, documents, block_bytes=block_bytes, precision=precision):
        yield scores


@torch.no_grad()
def bounded_blocks(
    queries: TokenStore, documents: Tokens, *, block_bytes: int = 1 << 26, precision: Precision = "fp32"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield what `token_blocks` does, each block with the lowest maximum (0-d) of one of its query tokens."""
    if queries.width != documents.width:
        raise ValueError(
            f"queries of width {queries.width} cannot be compared with documents of width {documents.width}"
        )
    total = precise(queries.dtype, documents.dtype)
    dtype = torch.bfloat16 if precision == "bf16" else total
    if isinstance(documents, StoredTokens):
        yield from _stored_blocks(queries, documents, total, dtype, block_bytes, precision)
        return
    device = documents.vectors.device
    empty = documents.lengths == 0
    bounds = documents.offsets.tolist()
    budget = max(1, block_bytes // (total.itemsize * max(1, len(documents))))
    if not len(queries):
        yield torch.empty(0, len(documents), dtype=total, device=device), torch.zeros((), device=device)
    for first, last in runs(queries.offsets.tolist(), _TOKENS, min(_QUERIES, budget)):
        start, stop = int(queries.offsets[first]), int(queries.offsets[last])
        tokens = queries.vectors[start:stop].to(device=device, dtype=dtype)
        lengths = queries.lengths[first:last].to(device)
        average = averaging(lengths, total)
        scores = torch.empty(last - first, len(documents), dtype=total, device=device)
        lowest = torch.zeros((), dtype=total, device=device)
        size = min(block_bytes, _PRODUCTS) // (dtype.itemsize * max(1, len(tokens)))
        for low, high in runs(bounds, size, len(documents)):
            vectors = documents.vectors[bounds[low] : bounds[high]].to(dtype)
            best = segment_max(vectors @ tokens.T, documents.lengths[low:high]).to(total)
            scores[:, low:high] = (best @ average).T
            if best.numel():
                lowest = torch.minimum(lowest, best.amin())
        scores[:, empty] = -torch.inf
        scores[lengths == 0] = -torch.inf
        yield scores, lowest


def _stored_blocks(
    queries: TokenStore,
    documents: StoredTokens,
    total: torch.dtype,
    dtype: torch.dtype,
    block_bytes: int,
    precision: Precision,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield what `bounded_blocks` does, and read every document once for each block."""
    rows = max(1, max(_SCORES, block_bytes) // (total.itemsize * max(1, len(documents))))
    for first in range(0, max(1, len(queries)), rows):
        asked = queries.select(torch.arange(first, min(first + rows, len(queries))))
        scores = torch.empty(len(asked), len(documents), dtype=total)
        lowest = torch.zeros((), dtype=total)
        for start, part in documents.parts():
            # converted once for all queries of the block
            part, row = part.to(dtype), 0
            for block, low in bounded_blocks(asked, part, block_bytes=block_bytes, precision=precision):
                scores[row : row + len(block), start : start + len(part)] = block
                lowest = torch.minimum(lowest, low)
                row += len(block)
        yield scores, lowest


def segment_max(products: Tensor, lengths: Tensor) -> Tensor:
    """Return the maxima (M, T) of each column over M runs of rows of `products` (N, T); 0 for empty runs."""
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    best = products.new_zeros(len(lengths), products.shape[1])
    return best.scatter_reduce(0, owner[:, None].expand_as(products), products, "amax", include_self=False)


def precise(queries: torch.dtype, documents: torch.dtype) -> torch.dtype:
    """Return the type of exact scores: fp32, or fp64 where a side is fp64."""
    return torch.promote_types(torch.promote_types(queries, documents), torch.float32)


def averaging(lengths: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the matrix (tokens, n) whose columns average the tokens of each query."""
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    weights = torch.zeros(len(owner), len(lengths), dtype=dtype, device=lengths.device)
    weights.scatter_(1, owner[:, None], 1.0 / lengths[owner, None].to(dtype))
    return weights
