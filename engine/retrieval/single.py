"""Exact MaxSim search for one query at a time, over documents that are prepared once."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from engine.errors import DivergedError
from engine.retrieval.blocks import token_blocks
from engine.retrieval.screening import Rounding, native_bf16, settle
from engine.retrieval.stored import StoredTokens, Tokens
from engine.retrieval.tokens import TokenStore
from engine.retrieval.topk import top_k

_CHUNK = 1 << 16  # token vectors of one block of products, which stays in the processor's cache


class SingleSearch:
    """Documents that are prepared for the search by single queries; the results are those of `find_maxsim`.

    Where the processor multiplies bf16 natively, all documents are scored with a rounded copy first, and the
    few that remain with the vectors themselves; elsewhere the vectors are kept in fp32. In both cases a token
    vector takes 4 H bytes. Vectors on disk stay there: each query reads all of them and scores them in fp32.

    Parameters
    ----------
    documents : TokenStore or StoredTokens
        M documents of width H, fp32 or narrower.
    screen : bool, optional
        Whether documents are scored in bf16 first; none does so where the processor multiplies bf16 natively.
    """

    def __init__(self, documents: Tokens, *, screen: bool | None = None) -> None:
        self.documents: Tokens
        self._rounding: Rounding | None = None
        if isinstance(documents, StoredTokens):
            self.documents = documents
            return
        if screen is None:
            screen = native_bf16(documents.vectors.device)
        screen = screen and len(documents) > 0
        self.documents = documents if screen else documents.to(torch.float32)
        self._rounded = documents.vectors.bfloat16() if screen else self.documents.vectors
        self._rounding = Rounding.of(documents) if screen else None
        offsets = documents.offsets.numpy()
        self._filled = documents.lengths > 0
        starts = offsets[:-1][self._filled.numpy()]
        # Chunks end between documents, so that each is reduced to the maxima of its documents at once.
        cuts = np.unique(np.searchsorted(starts, np.arange(0, offsets[-1] + _CHUNK, _CHUNK)))
        ends = np.append(starts, offsets[-1])
        self._chunks = [
            (int(ends[low]), int(ends[high]), starts[low:high] - ends[low])
            for low, high in itertools.pairwise(cuts.tolist())
        ]

    @torch.no_grad()
    def search(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return the scores (k,) and indices (k,) of the best documents for `query` (Q, H), best first.

        `k` is cut to M when larger; equal scores keep the lower document first, and a document without
        tokens scores -inf.

        Raises
        ------
        ValueError
            When the query has no token, the widths differ, or `k` is below 1.
        DivergedError
            When a score is not a number.
        """
        width = self.documents.width
        if query.ndim != 2 or not len(query) or query.shape[1] != width:
            raise ValueError(f"a query has at least one vector of width {width}, not {tuple(query.shape)}")
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        query = query.float()
        asked = TokenStore(query, torch.tensor([0, len(query)]))
        if isinstance(self.documents, StoredTokens):
            scores = next(token_blocks(asked, self.documents))[0]
        else:
            scores = self._scores(query)
        if self._rounding is None:
            values, indices = top_k(scores[None], k)
            return values[0], indices[0]
        if scores.isnan().any():
            raise DivergedError(
                "some scores are not numbers: the encoder returned vectors with NaN; use another encoder"
            )
        nothing = torch.empty(1, 0, dtype=torch.int64)
        error = self._rounding.error(asked)
        found, _ = settle(asked, self.documents, k, nothing, scores[None], error)
        return found.scores[0], found.indices[0]

    def _scores(self, query: Tensor) -> Tensor:
        """Return the scores (M,) of all documents, in the precision of the vectors that are searched."""
        tokens = query.to(self._rounded.dtype)
        parts = []
        for start, stop, starts in self._chunks:
            products = (tokens @ self._rounded[start:stop].T).float().numpy()
            parts.append(np.maximum.reduceat(products, starts, axis=1).mean(0))
        scores = torch.full((len(self.documents),), -torch.inf)
        if parts:
            scores[self._filled] = torch.from_numpy(np.concatenate(parts))
        return scores
