"""MaxSim search for one query at a time, over documents that are prepared once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.errors import DivergedError
from engine.retrieval.candidates import best_among
from engine.retrieval.screening import Rounding, native_bf16, settle
from engine.retrieval.stored import StoredTokens, Tokens
from engine.retrieval.tokens import TokenStore
from engine.retrieval.topk import top_k

_CHUNK = 1 << 16  # token vectors of one block of products, which stays in the processor's cache
_CONVERTED = 1 << 12  # as many that are converted to fp32 first


class PreparedSearch(Protocol):
    """Documents that are prepared for the search by single queries."""

    documents: Tokens

    def search(self, query: Tensor, k: int, *, first: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the scores and indices of the best documents for a query; see `SingleSearch.search`."""


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
        self._filled = documents.lengths > 0
        self._chunks = list(_chunks(documents, _CHUNK))

    @torch.no_grad()
    def search(self, query: Tensor, k: int, *, first: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the scores (k,) and indices (k,) of the best documents for `query` (Q, H), best first.

        `k` is cut to M when larger; equal scores keep the lower document first, and a document without
        tokens scores -inf. The sentence vector `first` is not used.

        Raises
        ------
        ValueError
            When the query has no token, the widths differ, or `k` is below 1.
        DivergedError
            When a score is not a number.
        """
        asked = _asked(query, self.documents, k)
        scores = self._scores(asked.vectors)
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
        scores = torch.full((len(self.documents),), -torch.inf)
        if not isinstance(self.documents, StoredTokens):
            tokens = query.to(self._rounded.dtype)
            _write_scores(scores, self._filled, tokens, self._rounded, self._chunks)
            return scores
        for start, part in self.documents.parts():
            own = scores[start : start + len(part)]
            _write_scores(own, part.lengths > 0, query, part.vectors, _chunks(part, _CONVERTED))
        return scores


class CandidateSearch:
    """Documents that are prepared for the search by single queries in two stages.

    Parameters
    ----------
    documents : TokenStore or StoredTokens
        M documents of width H.
    find : callable
        The first stage. It is called with a store of the query's token vectors, the query's sentence vector
        (H',) or None, and a number C, and returns the numbers of documents (C,), -1 for none.
    candidates : int
        Number of documents that are scored by MaxSim; at least as many as are asked for are.
    """

    def __init__(
        self, documents: Tokens, find: Callable[[TokenStore, Tensor | None, int], Tensor], candidates: int
    ) -> None:
        self.documents, self._find, self._candidates = documents, find, candidates

    @torch.no_grad()
    def search(self, query: Tensor, k: int, *, first: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what `SingleSearch.search` returns, for the documents that the first stage finds.

        Parameters
        ----------
        query : Tensor of shape (Q, H)
        k : int
        first : Tensor of shape (H',), optional
            The query's sentence vector, where the first stage compares those.

        Raises
        ------
        ValueError
            As `SingleSearch.search`.
        DivergedError
            When a vector or a score is not a number.
        """
        asked = _asked(query, self.documents, k)
        among = self._find(asked, first, max(self._candidates, k))
        found = best_among(asked, self.documents, among[None], k, torch.empty(1, 0, dtype=torch.int64))
        return found.scores[0], found.indices[0]


def sentence_search(documents: Tokens, *, first: Tensor, probes: int, candidates: int) -> CandidateSearch:
    """Return the search by single queries for the candidates of sentence vectors `first` (M, H').

    All sentence vectors are compared, which takes a single query less time than lists take to be made. So it
    finds what `engine.retrieval.candidates.find_after_lists` finds with all lists, whatever `probes` is.

    Raises
    ------
    DivergedError
        When a vector is not a number.
    """
    if not first.isfinite().all():
        raise DivergedError("some vectors are not numbers; use another encoder")

    def find(query: TokenStore, asked: Tensor | None, count: int) -> Tensor:
        assert asked is not None
        return (first @ asked.float()).topk(min(count, len(first))).indices

    return CandidateSearch(documents, find, candidates)


def _asked(query: Tensor, documents: Tokens, k: int) -> TokenStore:
    """Return a store with the query in fp32."""
    if query.ndim != 2 or not len(query) or query.shape[1] != documents.width:
        raise ValueError(
            f"a query has at least one vector of width {documents.width}, not {tuple(query.shape)}"
        )
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    return TokenStore(query.float(), torch.tensor([0, len(query)]))


#: The first token vector of some documents, the one after their last, and the first of each among them.
_Chunk = tuple[int, int, npt.NDArray[np.int64]]


def _chunks(documents: TokenStore, size: int) -> Iterator[_Chunk]:
    """Yield documents with tokens in chunks, which end between documents, so that each has all its maxima."""
    offsets = documents.offsets.numpy()
    starts = offsets[:-1][documents.lengths.numpy() > 0]
    cuts = np.unique(np.searchsorted(starts, np.arange(0, offsets[-1] + size, size)))
    ends = np.append(starts, offsets[-1])
    for low, high in itertools.pairwise(cuts.tolist()):
        yield int(ends[low]), int(ends[high]), starts[low:high] - ends[low]


def _write_scores(
    scores: Tensor, filled: Tensor, query: Tensor, vectors: Tensor, chunks: Iterable[_Chunk]
) -> None:
    """Write the scores of a query (Q, H) with the documents that have tokens (`filled`) into `scores`."""
    parts = []
    for start, stop, starts in chunks:
        products = (query @ vectors[start:stop].to(query.dtype).T).float().numpy()
        parts.append(np.maximum.reduceat(products, starts, axis=1).mean(0))
    if parts:
        scores[filled] = torch.from_numpy(np.concatenate(parts))
