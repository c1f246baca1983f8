"""Exact late interaction (MaxSim): each query token is matched with the most similar document token.

The score of a document d for a query q is ``1/|q| sum_i max_j <q_i, d_j>`` over the counted tokens of both
(Khattab and Zaharia 2020, equation 3, divided by the number of query tokens so that queries of different
lengths share a scale). Vectors are expected to have unit length, so that the products are cosines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from engine.encoders.encoder import Encoded
from engine.retrieval.blocks import Precision, averaging, precise, token_blocks
from engine.retrieval.screening import may_pay, native_bf16, screened
from engine.retrieval.stored import Tokens
from engine.retrieval.tokens import TokenStore
from engine.retrieval.topk import Found, find


def find_maxsim(
    queries: TokenStore,
    documents: Tokens,
    k: int,
    wanted: Tensor,
    *,
    block_bytes: int = 1 << 26,
    screen: bool | None = None,
) -> Found:
    """Return the `k` documents with the highest MaxSim scores for each query, and the ranks of some others.

    The search is exact. Equal scores keep the lower document first; a query or a document without counted
    tokens scores -inf. Scores are computed in fp32 whatever type the stores have (fp64 for fp64 vectors).

    Parameters
    ----------
    queries : TokenStore
        N texts of width H.
    documents : TokenStore or StoredTokens
        M texts of width H, in memory or on disk.
    k : int
        Number of documents kept for each query; at most M.
    wanted : Tensor of shape (N, R), int64
        Documents whose ranks among all M are returned too, -1 for none.
    block_bytes : int
        Budget in bytes for the scores of one block of queries with all documents; the products of query and
        document tokens take no more.
    screen : bool, optional
        Whether all documents are first scored in bf16, and only those that its rounding cannot rule out in
        fp32; the result is the same. None screens where the processor multiplies bf16 natively, and there are
        so many documents that it can save time.

    Raises
    ------
    ValueError
        When the widths differ, or `k` is below 1.
    DivergedError
        When a score is not a number.
    """
    if screen is None:
        exact = precise(queries.dtype, documents.dtype)
        native = native_bf16(documents.device)
        screen = exact == torch.float32 and native and may_pay(k, len(documents))
    if screen:
        return Found.join(screened(queries, documents, k, wanted, block_bytes=block_bytes))
    parts, start = [], 0
    for scores in token_blocks(queries, documents, block_bytes=block_bytes):
        parts.append(find(scores, k, wanted[start : start + len(scores)].to(scores.device)))
        start += len(scores)
    return Found.join(parts)


def maxsim_blocks(
    queries: Tensor,
    query_mask: Tensor,
    documents: TokenStore,
    *,
    block_bytes: int = 1 << 26,
    precision: Precision = "fp32",
) -> Iterator[Tensor]:
    """Yield the scores (n, M) of consecutive blocks of padded queries (N, Q, H) with all documents.

    The other parameters are those of `token_blocks`, which takes packed queries.
    """
    store = TokenStore.from_padded(queries, query_mask)
    return token_blocks(store, documents, block_bytes=block_bytes, precision=precision)


def maxsim_explain(query: Tensor, document: Tensor) -> tuple[Tensor, Tensor]:
    """Return the document token that each query token is matched with, and their product.

    Parameters
    ----------
    query : Tensor of shape (Q, H)
    document : Tensor of shape (D, H)

    Returns
    -------
    indices : Tensor of shape (Q,), int64
        The first document token with the highest product.
    products : Tensor of shape (Q,), float32 or float64
        Their mean is the document's MaxSim score.

    Raises
    ------
    ValueError
        When one side has no token.
    """
    if len(query) == 0 or len(document) == 0:
        raise ValueError("a query or a document without tokens has no match to explain")
    dtype = torch.promote_types(torch.promote_types(query.dtype, document.dtype), torch.float32)
    products = query.to(dtype) @ document.to(dtype).T
    best = products.amax(1)
    # argmax does not specify which of several maxima it returns; this takes the first.
    return (products == best[:, None]).to(torch.uint8).argmax(1), best


def maxsim_scores(queries: Tensor, query_mask: Tensor, documents: Tensor, document_mask: Tensor) -> Tensor:
    """Return MaxSim scores of all pairs in a batch, differentiable in both sides.

    Only the index of each winning token is kept for the backward pass (N·M·Q integers), never the
    products (N·M·Q·D). Computed in the vectors' own type with autocast off.

    Parameters
    ----------
    queries : Tensor of shape (N, Q, H)
    query_mask : Tensor of shape (N, Q)
    documents : Tensor of shape (M, D, H)
    document_mask : Tensor of shape (M, D)
        Each document has at least one counted token.

    Returns
    -------
    Tensor of shape (N, M)
        Mean over a query's counted tokens of the largest product with a counted document token. The
        gradient goes only to the winning pairs, as for `max`.

    Raises
    ------
    ValueError
        When a query or a document has no counted token.
    """
    query_mask, document_mask = query_mask.bool(), document_mask.bool()
    if not query_mask.any(1).all() or not document_mask.any(1).all():
        raise ValueError("every query and every document needs at least one counted token")
    device = queries.device.type
    with torch.autocast(device, enabled=False):
        result: Tensor = _MaxSim.apply(  # type: ignore[no-untyped-call]
            queries, query_mask, documents.to(queries.dtype), document_mask
        )
    return result


def encoded_maxsim(queries: Encoded, documents: Encoded) -> Tensor:
    """Return `maxsim_scores` (N, M) of encoded texts, differentiable in both."""
    return maxsim_scores(queries.tokens, queries.mask, documents.tokens, documents.mask)


_DOCUMENT_TOKENS = 4096  # document tokens of one block of the differentiable score, which bounds its memory


class _MaxSim(torch.autograd.Function):
    """MaxSim of all pairs; the backward pass scatters the gradient to the winning tokens."""

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        query_mask: Tensor,
        documents: Tensor,
        document_mask: Tensor,
    ) -> Tensor:
        tokens = queries[query_mask]
        weights = averaging(query_mask.sum(1), queries.dtype)
        step = max(1, _DOCUMENT_TOKENS // documents.shape[1])
        best, winners = [], []
        for block, kept in zip(torch.split(documents, step), torch.split(document_mask, step), strict=True):
            products = tokens @ block.flatten(0, 1).T
            products.masked_fill_(~kept.flatten(), -torch.inf)
            value, index = products.view(len(tokens), len(block), -1).max(2)
            best.append(value)
            winners.append(index)
        ctx.save_for_backward(queries, query_mask, documents, weights, torch.cat(winners, 1))
        return weights.T @ torch.cat(best, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        queries, query_mask, documents, weights, winners = ctx.saved_tensors
        need_queries, _, need_documents, _ = ctx.needs_input_grad
        tokens = queries[query_mask]
        share = weights @ grad.to(weights.dtype)
        flat = documents.flatten(0, 1)
        rows = winners + torch.arange(len(documents), device=winners.device) * documents.shape[1]
        grad_queries = grad_documents = None
        if need_queries:
            grad_queries = torch.zeros_like(queries)
            grad_queries[query_mask] = torch.nn.functional.embedding_bag(
                rows, flat, per_sample_weights=share, mode="sum"
            )
        if need_documents:
            grad_documents = torch.zeros_like(flat)
            for document in range(len(documents)):
                grad_documents.index_add_(0, rows[:, document], share[:, document, None] * tokens)
            grad_documents = grad_documents.view_as(documents)
        return grad_queries, None, grad_documents, None
