"""MaxSim search of candidates that MUVERA's fixed-dimensional encodings find (Dhulipala et al. 2024).

The encoding of a text is one vector, whatever its length, and the inner product of the encodings of a query
and a document approximates their MaxSim score (arXiv 2405.19504, section 2). So the first stage is a search
for vectors, which FAISS does; the documents that it finds are scored by MaxSim itself.
"""

from __future__ import annotations

import math
from typing import Any

import faiss
import numpy as np
import torch
from torch import Tensor

from engine.errors import DivergedError
from engine.retrieval.candidates import best_among
from engine.retrieval.entries import claimed, load_cached, save_cached
from engine.retrieval.inverted import empty_lists, empty_products, training_rows
from engine.retrieval.single import CandidateSearch
from engine.retrieval.stored import StoredTokens, Tokens
from engine.retrieval.tokens import TokenStore
from engine.retrieval.topk import Found

#: Random partitions that are concatenated, bits of each, and width of each projected vector: 5,120 numbers.
_REPETITIONS, _BITS, _PROJECTED = 20, 4, 16
#: Texts that are encoded at once.
_TEXTS = 1024
#: Documents from which a byte holds so many numbers of an encoding instead of one.
_MANY, _SHARE = 20_000, 8


class FixedEncodings:
    """The fixed-dimensional encodings of texts.

    For each repetition, the signs of the products with `bits` random vectors put every token vector into one
    of ``2 ** bits`` cells (SimHash), and another random matrix of signs projects it. A query's encoding has
    the sum of the projected vectors of each cell, a document's their mean. A document's empty cell has the
    projected vector of the document's token whose signs differ least from those of the cell.

    Parameters
    ----------
    width : int
        Width H of the token vectors.
    repetitions : int
        Number of partitions R.
    bits : int
        Number of random vectors that make a partition; at least 1.
    projected : int, optional
        Width P of projected vectors; None projects nothing, so that P = H.
    seed : int
        Seed of the random vectors.
    """

    def __init__(
        self,
        width: int,
        *,
        repetitions: int = _REPETITIONS,
        bits: int = _BITS,
        projected: int | None = _PROJECTED,
        seed: int = 0,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.repetitions, self.bits, self.cells = repetitions, bits, 2**bits
        self.planes = torch.randn(repetitions, bits, width, generator=generator)
        self.projections: Tensor | None = None
        if projected is not None:
            signs = torch.randint(0, 2, (repetitions, projected, width), generator=generator)
            self.projections = (2.0 * signs - 1) / math.sqrt(projected)
        self.width = repetitions * self.cells * (projected or width)
        """Width of an encoding."""
        numbers = torch.arange(self.cells)
        differing = numbers[:, None] ^ numbers
        self._distances = torch.stack([(differing >> bit) & 1 for bit in range(bits)]).sum(0)

    def queries(self, store: TokenStore) -> Tensor:
        """Return the encodings (N, W) of queries; a product with a document's approximates the MaxSim score.

        They are divided by the numbers of tokens and repetitions.
        """
        return self._encode(store, queries=True)

    def documents(self, store: TokenStore) -> Tensor:
        """Return the encodings (M, W) of documents; zero for a document without tokens."""
        return self._encode(store, queries=False)

    @torch.no_grad()
    def _encode(self, store: TokenStore, *, queries: bool) -> Tensor:
        vectors = store.vectors.float().cpu()
        lengths = store.lengths.cpu()
        count, cells = len(store), self.cells
        owner = torch.repeat_interleave(torch.arange(count), lengths)
        encodings = torch.zeros(count, self.repetitions, cells, self.width // (self.repetitions * cells))
        powers = 2 ** torch.arange(self.bits)
        for number in range(self.repetitions):
            signs = (vectors @ self.planes[number].T > 0).long()
            place = owner * cells + (signs * powers).sum(1)
            own = vectors if self.projections is None else vectors @ self.projections[number].T
            total = torch.zeros(count * cells, own.shape[1]).index_add_(0, place, own)
            if not queries:
                sizes = torch.bincount(place, minlength=count * cells)
                total /= sizes.clamp(min=1)[:, None]
                self._fill(total, own, place, sizes.view(count, cells), lengths)
            encodings[:, number] = total.view(count, cells, -1)
        if queries:
            encodings /= (self.repetitions * lengths.clamp(min=1))[:, None, None, None]
        return encodings.flatten(1)

    def _fill(self, total: Tensor, own: Tensor, place: Tensor, sizes: Tensor, lengths: Tensor) -> None:
        """Fill the empty cells (`sizes` is (M, cells)) in `total` with the nearest tokens of `own`."""
        first = torch.full((sizes.numel(),), len(place)).scatter_reduce_(
            0, place, torch.arange(len(place)), "amin"
        )
        far = self.bits + 1
        distances = self._distances + far * (sizes == 0)[:, None]  # (M, cells, cells)
        nearest = distances.argmin(2)
        empty = ((sizes == 0) & (lengths > 0)[:, None]).flatten().nonzero()[:, 0]
        documents = empty // self.cells
        token = first[documents * self.cells + nearest.flatten()[empty]]
        total[empty] = own[token]


class MuveraIndex:
    """The encodings of documents in FAISS's inverted lists, and the documents.

    The lists hold one byte for each number of an encoding, or in large pools one byte for each eight numbers
    (product quantisation, as in section 3 of the paper).

    The lists of documents on disk are kept beside them and mapped into memory by the next process. They are
    found by a hash of the vectors, and compared with their checksum.

    Parameters
    ----------
    documents : TokenStore or StoredTokens
        M documents, whose token vectors are read once if the lists are not kept.
    seed : int
        Seed of the encodings and of k-means.

    Raises
    ------
    DivergedError
        When a vector is not a number.
    """

    def __init__(self, documents: Tokens, *, seed: int = 0) -> None:
        self.documents = documents
        self.encodings = FixedEncodings(documents.width, seed=seed)
        self._seed = seed
        self._index = self._kept(documents) if isinstance(documents, StoredTokens) else self._made()

    @property
    def lists(self) -> int:
        """Number of lists."""
        return int(self._index.nlist)

    @property
    def bytes(self) -> int:
        """Size of a document's encoding in the lists."""
        return int(self._index.code_size)

    def _kept(self, documents: StoredTokens) -> faiss.IndexIVF:
        """Return the lists from the file beside the vectors, which is written if there is none."""
        path = documents.beside(f"muvera-{faiss.__version__}-{self._seed}")
        with claimed(path, wait=True):  # another process may be making them
            if (known := load_cached(path)) is None:
                made = self._made()
                save_cached({"lists": torch.from_numpy(faiss.serialize_index(made))}, path)
                return made
        content = known["lists"].numpy()
        self._content = content  # FAISS reads it in place
        reader: Any = faiss
        index: faiss.IndexIVF = reader.read_index(
            reader.ZeroCopyIOReader(faiss.swig_ptr(content), len(content))
        )
        return index

    def _made(self) -> faiss.IndexIVF:
        """Return the lists, made of all documents."""
        documents, count, width = self.documents, len(self.documents), self.encodings.width
        index: Any
        if count < _MANY:
            index = empty_lists(count, width, faiss.ScalarQuantizer.QT_8bit, seed=self._seed)
        else:
            index = empty_products(count, width, _SHARE, seed=self._seed)
        if count:
            rows = torch.from_numpy(np.sort(training_rows(count, index.nlist, self._seed)))
            parts = [rows[start : start + _TEXTS] for start in range(0, len(rows), _TEXTS)]
            index.train(np.concatenate([self._encoded(documents.select(some)) for some in parts]))
        for _, part in documents.parts():
            for start in range(0, len(part), _TEXTS):
                some = torch.arange(start, min(start + _TEXTS, len(part)))
                index.add(self._encoded(part.select(some)))
        made: faiss.IndexIVF = index
        return made

    def _encoded(self, documents: TokenStore) -> np.ndarray:
        found = self.encodings.documents(documents)
        if not found.isfinite().all():
            raise DivergedError("some vectors are not numbers; use another encoder")
        encoded: np.ndarray = found.numpy()
        return encoded

    def candidates(self, queries: TokenStore, count: int, *, probes: int) -> Tensor:
        """Return the documents (N, C) whose encodings have the highest products with each query's.

        Parameters
        ----------
        queries : TokenStore
            N queries.
        count : int
            C; at most M documents are returned. Missing ones are -1.
        probes : int
            Number of lists that are searched.

        Raises
        ------
        DivergedError
            When a query's vector is not a number.
        """
        if not queries.vectors.isfinite().all():
            raise DivergedError("some vectors are not numbers; use another encoder")
        count = min(count, len(self.documents))
        found = torch.full((len(queries), count), -1)
        if count:
            self._index.nprobe = min(probes, self.lists)
            for start in range(0, len(queries), _TEXTS):
                rows = torch.arange(start, min(start + _TEXTS, len(queries)))
                encoded = self.encodings.queries(queries.select(rows)).numpy()
                found[rows] = torch.from_numpy(self._index.search(encoded, count)[1])
        return found


def find_muvera(
    queries: TokenStore, documents: Tokens, k: int, wanted: Tensor, *, probes: int, candidates: int
) -> Found:
    """Return what MaxSim finds among the candidates of a `MuveraIndex`; see `engine.retrieval.candidates`.

    Parameters
    ----------
    queries, documents, k, wanted
        As in `engine.retrieval.candidates.best_among`.
    probes : int
        Number of lists that are searched for candidates.
    candidates : int
        Number of documents of each query that are scored; at least `k` are. With all lists and documents the
        search is exact.

    Raises
    ------
    DivergedError
        When a vector is not a number.
    """
    among = MuveraIndex(documents).candidates(queries, max(candidates, k), probes=probes)
    return best_among(queries, documents, among, k, wanted)


def muvera_search(documents: Tokens, *, probes: int, candidates: int) -> CandidateSearch:
    """Return the search by single queries that finds what `find_muvera` finds, with a `MuveraIndex`."""
    index = MuveraIndex(documents)

    def find(query: TokenStore, first: Tensor | None, count: int) -> Tensor:
        return index.candidates(query, count, probes=probes)[0]

    return CandidateSearch(documents, find, candidates)
