"""Exact search by the inner product of sentence vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.retrieval.topk import top_k


def search_dense(
    queries: Tensor, documents: Tensor, k: int, *, block_bytes: int = 1 << 27
) -> tuple[Tensor, Tensor]:
    """Return the `k` documents of highest inner product with each query.

    Exact. Memory beyond the arguments stays near `block_bytes`: queries are taken in blocks whose scores
    against all documents fit in it. Equal scores keep the lower document first.

    Parameters
    ----------
    queries : Tensor of shape (N, H)
    documents : Tensor of shape (M, H)
    k : int
        Documents kept for each query; cut to M when larger.
    block_bytes : int
        Budget for one block of scores, in bytes.

    Returns
    -------
    scores : Tensor of shape (N, k), float32 (float64 for float64 vectors)
    indices : Tensor of shape (N, k), int64

    Raises
    ------
    ValueError
        When the widths differ.
    DivergedError
        When a score is not a number.
    """
    if queries.ndim != 2 or documents.ndim != 2 or queries.shape[1] != documents.shape[1]:
        raise ValueError(
            f"queries {tuple(queries.shape)} and documents {tuple(documents.shape)} do not fit together"
        )
    dtype = torch.promote_types(torch.promote_types(queries.dtype, documents.dtype), torch.float32)
    table = documents.to(dtype)
    rows = max(1, block_bytes // (max(1, len(documents)) * dtype.itemsize))
    found = (
        [top_k(block.to(dtype) @ table.T, k) for block in torch.split(queries, rows)] if len(queries) else []
    )
    if not found:
        empty = torch.zeros(0, min(k, len(documents)), dtype=dtype, device=queries.device)
        return empty, empty.long()
    return torch.cat([scores for scores, _ in found]), torch.cat([indices for _, indices in found])
