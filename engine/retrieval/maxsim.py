"""Exact late interaction: every query token meets the document token most like it (MaxSim).

The score of a document d for a query q is ``1/|q| sum_i max_j <q_i, d_j>`` over the counted tokens of both
(Khattab and Zaharia 2020, equation 3, divided by the number of query tokens so that queries of different
lengths share a scale). Vectors are expected to have unit length, so that the products are cosines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from engine.retrieval.tokens import TokenStore
from engine.retrieval.topk import top_k

Precision = Literal["fp32", "bf16"]

_PRODUCTS = 1 << 24  # bytes of one block of products: small enough to stay in the last cache
_QUERIES = 256  # most queries of a block, which bounds the averaging matrix


def search_maxsim(
    queries: Tensor,
    query_mask: Tensor,
    documents: TokenStore,
    k: int,
    *,
    block_bytes: int = 1 << 26,
    screen: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the `k` documents with the highest MaxSim score for each query.

    Exact: scores are computed in fp32 whatever type the store has (fp64 for fp64 vectors). Where the
    processor multiplies bf16 natively, all documents are first screened in bf16; those that its rounding
    error cannot rule out are scored again in fp32, so the result is the same. Equal scores keep the lower
    document first; a document without tokens scores -inf.

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
        Budget in bytes for the scores of one block of queries against all documents; the products of a
        block take no more.
    screen : bool, optional
        Whether to screen in bf16; none does where that is faster.

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
    dtype = _precise(queries, documents)
    if screen is None:
        screen = dtype == torch.float32 and len(documents) > 4 * k and _native_bf16(documents.vectors.device)
    blocks = maxsim_blocks(
        queries, query_mask, documents, block_bytes=block_bytes, precision="bf16" if screen else "fp32"
    )
    found, start = [], 0
    error = _screening_error(queries, query_mask, documents) if screen else None
    for scores in blocks:
        rows = slice(start, start + len(scores))
        start = rows.stop
        if error is None:
            found.append(top_k(scores, k))
        else:
            found.append(_rescore(queries[rows], query_mask[rows], documents, k, scores, error[rows]))
    if not found:
        empty = torch.zeros(0, min(k, len(documents)), dtype=dtype, device=documents.vectors.device)
        return empty, empty.long()
    return torch.cat([scores for scores, _ in found]), torch.cat([indices for _, indices in found])


@torch.no_grad()
def maxsim_blocks(
    queries: Tensor,
    query_mask: Tensor,
    documents: TokenStore,
    *,
    block_bytes: int = 1 << 26,
    precision: Precision = "fp32",
) -> Iterator[Tensor]:
    """Yield the scores (n, M) of consecutive blocks of queries against all documents, in order.

    With `precision` "bf16" the vectors and every product are rounded to bf16 (a relative error of at most
    1/512 each; means are still taken in fp32). Other parameters and errors as in `search_maxsim`.
    """
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
    total = _precise(queries, documents)
    dtype = torch.bfloat16 if precision == "bf16" else total
    groups = _equal_lengths(documents)
    rows = min(_QUERIES, max(1, block_bytes // (total.itemsize * max(1, len(documents)))))
    for start in range(0, len(queries), rows):
        part, kept = queries[start : start + rows].to(device), mask[start : start + rows].to(device)
        tokens = part[kept].to(dtype)
        weights = _averaging(kept, total)
        scores = torch.full((len(part), len(documents)), -torch.inf, dtype=total, device=device)
        for length, members in groups:
            step = max(1, min(block_bytes, _PRODUCTS) // (dtype.itemsize * length * len(tokens)))
            for block in torch.split(members, step):
                place = documents.offsets[block][:, None] + torch.arange(length, device=device)
                vectors = documents.vectors[place.flatten()].to(dtype)
                products = (vectors @ tokens.T).view(len(block), length, len(tokens))
                scores[:, block] = (products.amax(1).to(total) @ weights).T
        yield scores


def _precise(queries: Tensor, documents: TokenStore) -> torch.dtype:
    return torch.promote_types(torch.promote_types(queries.dtype, documents.vectors.dtype), torch.float32)


def _native_bf16(device: torch.device) -> bool:
    """Tell whether the processor multiplies bf16 faster than fp32."""
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def _screening_error(queries: Tensor, query_mask: Tensor, documents: TokenStore) -> Tensor:
    """Bound, for each query, how far a bf16 score can lie from the exact one, (N,).

    By Cauchy and Schwarz ``|<q,d> - <q',d'>| <= |q-q'||d| + |q'||d-d'|`` with q', d' the rounded vectors;
    rounding the product adds 1/512 of it. Neither max nor mean enlarges an error that holds for all pairs.
    """
    norm = residual = torch.zeros((), device=documents.vectors.device)
    for block in torch.split(documents.vectors, 1 << 16):
        exact = block.float()
        norm = torch.maximum(norm, exact.norm(dim=1).max())
        residual = torch.maximum(residual, (exact - block.bfloat16().float()).norm(dim=1).max())
    norm, residual = norm.to(queries.device), residual.to(queries.device)
    exact = queries.float()
    rounded = queries.bfloat16().float()
    # Sums in fp32 of H terms each lose at most H units in the last place; 1 % covers products of bounds.
    accumulation = 2 * queries.shape[2] * 2.0**-23
    token = (exact - rounded).norm(dim=2) * norm + rounded.norm(dim=2) * (
        residual + norm * (1 / 512 + accumulation)
    )
    mask = query_mask.bool().to(queries.device)
    bound: Tensor = 1.01 * (token * mask).sum(1) / mask.sum(1)
    return bound


def _rescore(
    queries: Tensor, query_mask: Tensor, documents: TokenStore, k: int, coarse: Tensor, error: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the exact `k` best, given scores `coarse` (n, M) off by at most `error` (n,)."""
    best, _ = top_k(coarse, k)
    possible = coarse >= (best[:, -1] - 2 * error.to(best.device))[:, None]
    found = []
    for row, keep in enumerate(possible):
        candidates = keep.nonzero()[:, 0]
        one = next(
            maxsim_blocks(queries[row : row + 1], query_mask[row : row + 1], documents.select(candidates))
        )
        scores, indices = top_k(one, k)
        found.append((scores, candidates[indices]))
    return torch.cat([scores for scores, _ in found]), torch.cat([indices for _, indices in found])


def _equal_lengths(documents: TokenStore) -> list[tuple[int, Tensor]]:
    """Group the documents that have tokens by their number of tokens, so that no block needs padding."""
    lengths = documents.lengths
    order = lengths.argsort(stable=True)
    values, counts = torch.unique_consecutive(lengths[order], return_counts=True)
    parts = torch.split(order, counts.tolist())
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
        result: Tensor = _MaxSim.apply(  # type: ignore[no-untyped-call]
            queries, query_mask, documents.to(queries.dtype), document_mask
        )
    return result


_DOCUMENT_TOKENS = 4096  # document tokens met at once in the differentiable score: bounds its memory


class _MaxSim(torch.autograd.Function):
    """MaxSim of all pairs with a backward pass that scatters to the winning tokens."""

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        query_mask: Tensor,
        documents: Tensor,
        document_mask: Tensor,
    ) -> Tensor:
        tokens = queries[query_mask]
        weights = _averaging(query_mask, queries.dtype)
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
