"""Exact search by the inner product of sentence vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.encoders.encoder import Encoded
from engine.retrieval.blocks import dense_blocks
from engine.retrieval.topk import Found, find


def search_dense(
    queries: Tensor, documents: Tensor, k: int, *, block_bytes: int = 1 << 26
) -> tuple[Tensor, Tensor]:
    """Return the `k` documents of highest inner product with each query.

    Exact. Memory beyond the arguments stays near `block_bytes`. Equal scores keep the lower document first.

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
        When the widths differ, or `k` is below 1.
    DivergedError
        When a score is not a number.
    """
    nothing = torch.empty(len(queries), 0, dtype=torch.int64)
    found = find_dense(queries, documents, k, nothing, block_bytes=block_bytes)
    return found.scores, found.indices


def encoded_products(queries: Encoded, documents: Encoded) -> Tensor:
    """Return the inner products (N, M) of the sentence vectors of encoded texts, differentiable in both."""
    return queries.sentences @ documents.sentences.T


def find_dense(
    queries: Tensor, documents: Tensor, k: int, wanted: Tensor, *, block_bytes: int = 1 << 26
) -> Found:
    """Search as `search_dense` does and rank the documents `wanted` (N, R), -1 for none, among all M."""
    parts, start = [], 0
    for scores in dense_blocks(queries, documents, block_bytes=block_bytes):
        parts.append(find(scores, k, wanted[start : start + len(scores)].to(scores.device)))
        start += len(scores)
    return Found.join(parts)
