"""Exact search by the inner product of sentence vectors."""

from __future__ import annotations

from torch import Tensor

from engine.encoders.encoder import Encoded
from engine.retrieval.blocks import dense_blocks
from engine.retrieval.topk import Found, find


def encoded_products(queries: Encoded, documents: Encoded) -> Tensor:
    """Return the inner products (N, M) of the sentence vectors of encoded texts, differentiable in both."""
    return queries.sentences @ documents.sentences.T


def find_dense(
    queries: Tensor, documents: Tensor, k: int, wanted: Tensor, *, block_bytes: int = 1 << 26
) -> Found:
    """Return the `k` documents with the highest inner products for each query, and the ranks of some others.

    The search is exact. Equal scores keep the lower document first. Memory beyond the arguments stays near
    `block_bytes`.

    Parameters
    ----------
    queries : Tensor of shape (N, H)
    documents : Tensor of shape (M, H)
    k : int
        Number of documents kept for each query; at most M.
    wanted : Tensor of shape (N, R), int64
        Documents whose ranks among all M are returned too, -1 for none.
    block_bytes : int
        Budget for one block of scores, in bytes.

    Raises
    ------
    ValueError
        When the widths differ, or `k` is below 1.
    DivergedError
        When a score is not a number.
    """
    parts, start = [], 0
    for scores in dense_blocks(queries, documents, block_bytes=block_bytes):
        parts.append(find(scores, k, wanted[start : start + len(scores)].to(scores.device)))
        start += len(scores)
    return Found.join(parts)
