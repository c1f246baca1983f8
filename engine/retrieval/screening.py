"""MaxSim search that scores all documents in bf16 and re-scores the undecided ones in fp32.

bf16 products take a fraction of the time of fp32 products on processors that support them. Their error is
bounded, so a document whose score differs from the deciding score by more than the bound is not re-scored,
and the result is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import DivergedError
from engine.retrieval.blocks import bounded_blocks, segment_max, token_blocks
from engine.retrieval.stored import Tokens
from engine.retrieval.tokens import TokenStore, runs
from engine.retrieval.topk import Found, find, ranks_of, top_k

_PAYS = 16  # screening saves time with so many documents for each one that is kept
_SHARE = 4  # with more than M / 4 undecided documents, scoring all documents in fp32 is faster
_TOKENS = 2048  # token vectors that are gathered and scored at once, which stay in the processor's cache
#: Largest error of a product that is rounded to bf16, as a share of the rounded one.
_PRODUCT = 1 / 255


def may_pay(k: int, documents: int) -> bool:
    """Return whether screening can be faster: at least the `k` best documents are scored again."""
    return min(k, documents) * _PAYS <= documents


def native_bf16(device: torch.device) -> bool:
    """Return whether the processor multiplies bf16 faster than fp32."""
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


@torch.no_grad()
def screened(
    queries: TokenStore, documents: Tokens, k: int, wanted: Tensor, *, block_bytes: int
) -> Iterator[Found]:
    """Yield the results of `find_maxsim` for consecutive blocks of queries; vectors are fp32 or narrower.

    After a block of which more than half of the queries left too many documents undecided, the other queries
    are scored in fp32 at once.
    """
    device = documents.device
    error = Rounding.of(documents).inner_error(queries).to(device)
    start = 0
    for coarse, lowest in bounded_blocks(queries, documents, block_bytes=block_bytes, precision="bf16"):
        if coarse.isnan().any():
            raise DivergedError(
                "some scores are not numbers: the encoder returned vectors with NaN; use another encoder"
            )
        rows = torch.arange(start, start + len(coarse))
        start += len(coarse)
        # Rounding keeps the order, so the maximum of rounded products is a rounded maximum c, off by at most
        # |c| / 255. The mean of |c| is at most the score and twice how far one of them is below zero.
        own = error[rows.to(device)] + 1.01 * _PRODUCT * 2 * (-lowest)
        found, undecided = settle(
            queries.select(rows), documents, k, wanted[rows].to(device), coarse, own, 1.01 * _PRODUCT
        )
        yield found
        if 2 * undecided > len(coarse) and start < len(queries):
            rest = queries.select(torch.arange(start, len(queries)))
            for block, part in _blocks(rest, documents, wanted[start:], block_bytes):
                yield find(block, k, part.to(device))
            return


def settle(
    queries: TokenStore,
    documents: Tokens,
    k: int,
    wanted: Tensor,
    coarse: Tensor,
    error: Tensor,
    relative: float = 0.0,
) -> tuple[Found, int]:
    """Return the exact result of n queries from scores `coarse` (n, M) with bounded errors.

    The error of a score c is at most `error` (n,) and `relative` times ``|c|``. The second value is the
    number of queries that left too many documents undecided.
    """
    k = min(k, len(documents))
    scores = coarse.new_empty(len(coarse), k)
    indices = torch.empty(len(coarse), k, dtype=torch.int64, device=coarse.device)
    ranks = torch.zeros_like(wanted)
    whole = []
    for row in range(len(coarse)):
        own = coarse[row]
        slack = error[row] + relative * own.abs().masked_fill(own.isinf(), 0.0)
        targets = wanted[row][wanted[row] >= 0]
        exact = exact_scores(queries[row], documents, targets)
        possible = torch.zeros_like(own, dtype=torch.bool)
        if k:
            values, places = own.topk(k)
            possible = own + slack >= values[-1] - slack[places[-1]]
        for score in exact:
            possible |= (own - score).abs() <= slack
        possible[targets] = True
        candidates = possible.nonzero()[:, 0]
        if len(candidates) * _SHARE > len(own):
            whole.append(row)
            continue
        settled = exact_scores(queries[row], documents, candidates)[None]
        best, order = top_k(settled, k)
        scores[row], indices[row] = best[0], candidates[order[0]]
        if len(targets):
            place = torch.searchsorted(candidates, wanted[row].clamp(min=0)).clamp(max=len(candidates) - 1)
            place = torch.where(wanted[row] >= 0, place, -1)
            among = ranks_of(settled, place[None])[0]
            # A document that is no candidate is certainly above or below each target, as coarse scores say.
            limit = settled[0, place]
            above = (own > limit[:, None]).sum(1) - (own[candidates] > limit[:, None]).sum(1)
            ranks[row] = torch.where(among > 0, among + above, 0)
    if whole:
        some = torch.tensor(whole)
        full = Found.join(
            find(block, k, part)
            for block, part in _blocks(queries.select(some), documents, wanted[some.to(wanted.device)])
        )
        some = some.to(coarse.device)
        scores[some], indices[some], ranks[some] = full.scores, full.indices, full.ranks
    return Found(scores, indices, ranks), len(whole)


def _blocks(
    queries: TokenStore, documents: Tokens, wanted: Tensor, block_bytes: int = 1 << 26
) -> Iterator[tuple[Tensor, Tensor]]:
    start = 0
    for block in token_blocks(queries, documents, block_bytes=block_bytes):
        yield block, wanted[start : start + len(block)]
        start += len(block)


def exact_scores(tokens: Tensor, documents: Tokens, indices: Tensor) -> Tensor:
    """Return the fp32 scores (C,) of one query's tokens (Q, H) with the documents `indices` (C,)."""
    tokens = tokens.to(device=documents.device, dtype=torch.float32)
    parts = [tokens.new_empty(0)]
    lengths = documents.lengths[indices.to(documents.lengths.device)]
    offsets = torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).tolist()
    for first, last in runs(offsets, _TOKENS, max(1, len(indices))):
        chosen = documents.select(indices[first:last])
        best = segment_max((tokens @ chosen.vectors.float().T).T, chosen.lengths).mean(1)
        parts.append(best.masked_fill(chosen.lengths == 0, -torch.inf))
    return torch.cat(parts)


@dataclass(frozen=True)
class Rounding:
    """The effect of rounding documents to bf16.

    Parameters
    ----------
    norm : float
        Largest norm of a vector.
    residual : float
        Largest norm of the difference between a vector and its rounded copy.
    """

    norm: float
    residual: float

    @classmethod
    def of(cls, documents: Tokens) -> Rounding:
        """Return the effect on the vectors of documents."""
        norm = residual = 0.0
        for _, part in documents.parts():
            if len(part.vectors):
                norms, residuals, _ = _rounding(part.vectors)
                norm, residual = max(norm, float(norms.max())), max(residual, float(residuals.max()))
        return cls(norm, residual)

    def error(self, queries: TokenStore) -> Tensor:
        """Return a bound, for each query, on the error of its bf16 score with any document, (N,).

        Rounding a product adds at most 1/256 of the exact product of the rounded vectors to `inner_error`.
        Neither max nor mean enlarges an error that holds for every pair.
        """
        return self._mean(queries, 1 / 256)

    def inner_error(self, queries: TokenStore) -> Tensor:
        """Return the part (N,) of the error that comes before products are rounded to bf16.

        By Cauchy and Schwarz ``|<q,d> - <q',d'>| <= |q - q'||d| + |q'||d - d'|`` with q', d' the rounded
        vectors, and sums of H terms lose at most H units in the last place in fp32.
        """
        return self._mean(queries, 0.0)

    def _mean(self, queries: TokenStore, product: float) -> Tensor:
        """Return the mean over each query's tokens, for products that are rounded by a share `product`."""
        _, residuals, rounded = _rounding(queries.vectors)
        lost = product + queries.vectors.shape[1] * 2.0**-22
        slack = self.residual + (self.norm + self.residual) * lost
        token = residuals * self.norm + rounded * slack
        owner = torch.repeat_interleave(torch.arange(len(queries), device=token.device), queries.lengths)
        total = token.new_zeros(len(queries)).index_add_(0, owner, token)
        # 1 % more covers the rounding of this bound itself.
        return 1.01 * total / queries.lengths.clamp(min=1)


def _rounding(vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the norms (N,) of vectors (N, H), of their errors in bf16, and of the rounded vectors."""
    parts = []
    for block in torch.split(vectors, 1 << 14):
        exact, rounded = block.float(), block.bfloat16().float()
        parts.append(torch.stack([exact.norm(dim=1), (exact - rounded).norm(dim=1), rounded.norm(dim=1)]))
    norms, residuals, rounded_norms = torch.cat(parts, 1).cpu()
    return norms, residuals, rounded_norms
