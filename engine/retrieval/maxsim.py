"""Exact late interaction: every query token meets the document token most like it (MaxSim).

The score of a document d for a query q is ``1/|q| sum_i max_j <q_i, d_j>`` over the counted tokens of both
(Khattab and Zaharia 2020, equation 3, divided by the number of query tokens so that queries of different
lengths share a scale). Vectors are expected to have unit length, so that the products are cosines.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from engine.retrieval.tokens import TokenStore
from engine.retrieval.topk import top_k


def search_maxsim(
    queries: Tensor,
    query_mask: Tensor,
    documents: TokenStore,
    k: int,
    *,
    block_bytes: int = 1 << 26,
) -> tuple[Tensor, Tensor]:
    """Return the `k` documents with the highest MaxSim score for each query.

    Exact: every query token meets every document token, in fp32 whatever type the store has (fp64 for
    fp64 vectors). Equal scores keep the lower document first; a document without tokens scores -inf.

    Parameters
    ----------
    queries : Tensor of shape (N, Q, H)
    query_mask : Tensor of shape (N, Q)
        True where a query token counts.
    documents : TokenStore
        M documents of width H.
    k : int
        Documents kept for each query; cut to M when larger.
    block_bytes : int
        Budget in bytes for each of the two large intermediates: the products of one block, and the
        scores of one block of queries against all documents.

    Returns
    -------
    scores : Tensor of shape (N, k), float32 (float64 for float64 vectors)
    indices : Tensor of shape (N, k), int64

    Raises
    ------
    ValueError
        When shapes do not fit together or a query has no counted token.
    DivergedError
        When a score is not a number.
    """
    found = [
        top_k(scores, k) for scores in maxsim_blocks(queries, query_mask, documents, block_bytes=block_bytes)
    ]
    if not found:
        empty = torch.zeros(0, min(k, len(documents)), device=documents.vectors.device)
        return empty, empty.long()
    return torch.cat([scores for scores, _ in found]), torch.cat([indices for _, indices in found])


@torch.no_grad()
def maxsim_blocks(
    queries: Tensor, query_mask: Tensor, documents: TokenStore, *, block_bytes: int = 1 << 26
) -> Iterator[Tensor]:
    """Yield scores (n, M) of consecutive blocks of queries against all documents, as `search_maxsim` has it."""
    mask = query_mask.bool()
    if queries.ndim != 3 or mask.shape != queries.shape[:2]:
        raise ValueError(f"mask {tuple(mask.shape)} does not fit queries {tuple(queries.shape)}")
    if queries.shape[2] != documents.vectors.shape[1]:
        raise ValueError(
            f"queries of width {queries.shape[2]} cannot meet documents of width {documents.vectors.shape[1]}"
        )
    if not mask.any(1).all():
        raise ValueError(f"query {int(mask.any(1).logical_not().nonzero()[0])} has no counted token")
    device = documents.vectors.device
    dtype = torch.promote_types(torch.promote_types(queries.dtype, documents.vectors.dtype), torch.float32)
    groups = _equal_lengths(documents)
    tallest = max((length for length, _ in groups), default=1)
    # A block of queries must fit twice: its scores against all documents, and its products with at least
    # a handful of the longest documents.
    rows = max(1, block_bytes // (dtype.itemsize * max(1, len(documents), 8 * tallest * queries.shape[1])))
    rows = min(rows, max(1, 2048 // queries.shape[1]))
    for start in range(0, len(queries), rows):
        part, kept = queries[start : start + rows], mask[start : start + rows]
        tokens = part[kept].to(device=device, dtype=dtype)
        weights = _averaging(kept.to(device), dtype)
        scores = torch.full((len(part), len(documents)), -torch.inf, dtype=dtype, device=device)
        for length, members in groups:
            step = max(1, block_bytes // (dtype.itemsize * length * len(tokens)))
            for block in members.split(step):
                first = documents.offsets[block]
                rows_of = (first[:, None] + torch.arange(length, device=device)).flatten()
                vectors = documents.vectors[rows_of].to(dtype)
                products = (vectors @ tokens.T).view(len(block), length, len(tokens))
                scores[:, block] = (products.amax(1) @ weights).T
        yield scores


def _equal_lengths(documents: TokenStore) -> list[tuple[int, Tensor]]:
    """Group the documents that have tokens by their number of tokens, so that no block needs padding."""
    lengths = documents.lengths
    order = lengths.argsort(stable=True)
    values, counts = lengths[order].unique_consecutive(return_counts=True)
    parts = order.split(counts.tolist())
    return [(length, part) for length, part in zip(values.tolist(), parts, strict=True) if length > 0]


def _averaging(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the matrix (counted tokens, n) whose columns average the tokens of each query."""
    owner = mask.nonzero()[:, 0]
    counts = mask.sum(1)
    weights = torch.zeros(len(owner), len(mask), dtype=dtype, device=mask.device)
    weights[torch.arange(len(owner), device=mask.device), owner] = 1.0 / counts[owner].to(dtype)
    return weights


def maxsim_explain(query: Tensor, document: Tensor) -> tuple[Tensor, Tensor]:
    """Return which document token each query token met, and their product.

    Parameters
    ----------
    query : Tensor of shape (Q, H)
    document : Tensor of shape (D, H)

    Returns
    -------
    indices : Tensor of shape (Q,), int64
        The first document token of the highest product.
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
    # argmax promises no order among equals; the first column that reaches the maximum does.
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
        Each document counts at least one token.

    Returns
    -------
    Tensor of shape (N, M)
        Mean over a query's counted tokens of the largest product with a counted document token. The
        gradient goes to the winning pairs alone, as that of `max` does.

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
        result: Tensor = _MaxSim.apply(queries, query_mask, documents.to(queries.dtype), document_mask)
    return result


_DOCUMENT_TOKENS = 4096  # document tokens met at once in the differentiable score: bounds its memory


class _MaxSim(torch.autograd.Function):
    """MaxSim of all pairs with a backward pass that scatters to the winning tokens."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx,
        queries: Tensor,
        query_mask: Tensor,
        documents: Tensor,
        document_mask: Tensor,
    ) -> Tensor:
        tokens = queries[query_mask]
        weights = _averaging(query_mask, queries.dtype)
        step = max(1, _DOCUMENT_TOKENS // documents.shape[1])
        best, winners = [], []
        for block, kept in zip(documents.split(step), document_mask.split(step), strict=True):
            products = tokens @ block.flatten(0, 1).T
            products.masked_fill_(~kept.flatten(), -torch.inf)
            value, index = products.view(len(tokens), len(block), -1).max(2)
            best.append(value)
            winners.append(index)
        ctx.save_for_backward(queries, query_mask, documents, weights, torch.cat(winners, 1))
        return weights.T @ torch.cat(best, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[misc]
    def backward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx, grad: Tensor
    ) -> tuple[Tensor | None, None, Tensor | None, None]:
        queries, query_mask, documents, weights, winners = ctx.saved_tensors  # type: ignore[attr-defined]
        need_queries, _, need_documents, _ = ctx.needs_input_grad  # type: ignore[attr-defined]
        tokens = queries[query_mask]
        share = weights @ grad.to(weights.dtype)
        grad_tokens = torch.zeros_like(tokens)
        grad_documents = torch.zeros_like(documents) if need_documents else None
        step = max(1, _DOCUMENT_TOKENS // documents.shape[1])
        for start in range(0, len(documents), step):
            block = documents[start : start + step]
            # The sparse matrix of winning pairs, (query tokens, documents, document tokens).
            pairs = tokens.new_zeros(len(tokens), len(block), documents.shape[1])
            pairs.scatter_(2, winners[:, start : start + step, None], share[:, start : start + step, None])
            flat = pairs.flatten(1)
            if need_queries:
                grad_tokens.addmm_(flat, block.flatten(0, 1))
            if grad_documents is not None:
                grad_documents[start : start + step] = (flat.T @ tokens).view_as(block)
        grad_queries = None
        if need_queries:
            grad_queries = torch.zeros_like(queries)
            grad_queries[query_mask] = grad_tokens
        return grad_queries, None, grad_documents, None
