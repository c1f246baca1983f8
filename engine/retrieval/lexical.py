"""Lexical search: texts as sparse vectors whose inner product is BM25 or the cosine of TF-IDF.

Lexical search knows no meanings. Across languages it finds only words of the same spelling: names, numbers,
loanwords. It is the baseline that an encoder has to exceed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from engine.lexicon.words import words
from engine.retrieval.topk import Found, find


class SparseTexts(NamedTuple):
    """Queries (N, V) and documents (M, V) as rows of float32 CSR matrices over one vocabulary of V terms.

    The score of a document for a query is the inner product of their rows.
    """

    queries: Any
    documents: Any


class SearchIndex(Protocol):
    """Documents that are prepared for searches."""

    def of(self, queries: Sequence[str]) -> SparseTexts:
        """Return queries and documents over one vocabulary."""

    def explain(self, query: str, document: int) -> list[tuple[str, str, float]]:
        """Return what of a query matches what of document number `document`, and its part of the score."""


@dataclass(frozen=True)
class Index:
    """Documents that are prepared for searches.

    Attributes
    ----------
    documents : CSR matrix (M, V)
        The weights of the V terms in the documents.
    terms : sequence of str
        The terms.
    encode : callable
        Takes texts and returns the weights (N, V) of the terms in these queries.
    """

    documents: Any
    terms: Sequence[str]
    encode: Callable[[Sequence[str]], Any]

    def of(self, queries: Sequence[str]) -> SparseTexts:
        """Return queries and documents over one vocabulary."""
        return SparseTexts(self.encode(queries), self.documents)

    def explain(self, query: str, document: int) -> list[tuple[str, str, float]]:
        """Return the terms that a query and a document share, each twice and with its part of the score."""
        shared = self.encode([query]).multiply(self.documents[document]).tocoo()
        parts = sorted(zip(shared.data.tolist(), shared.col.tolist(), strict=True), reverse=True)
        return [(self.terms[place], self.terms[place], part) for part, place in parts]


def bm25(queries: Sequence[str], documents: Sequence[str], *, k1: float, b: float) -> SparseTexts:
    """Return texts whose inner product is BM25 (Robertson et al. 1994) in the form of Lucene.

    ``sum ln(1 + (M - df + 0.5) / (df + 0.5)) tf / (tf + k1 (1 - b + b |d| / mean |d|))`` over the words
    of the query; a word that occurs twice counts twice. Words are those of `engine.lexicon.words`, without
    stop words and stemming, because neither is available in the same quality for all languages.
    """
    return bm25_index(documents, k1=k1, b=b).of(queries)


def bm25_index(documents: Sequence[str], *, k1: float, b: float) -> Index:
    """Prepare documents for BM25; see `bm25`."""
    import bm25s

    vocabulary: dict[str, int] = {}
    rows = [[vocabulary.setdefault(word, len(vocabulary)) for word in words(text)] for text in documents]
    if not vocabulary:
        return _nothing(documents)
    parts = bm25s.BM25(k1=k1, b=b, method="lucene").build_index_from_ids(
        list(range(len(vocabulary))), rows, show_progress=False
    )
    table = sparse.csc_matrix(
        (parts["data"], parts["indices"], parts["indptr"]), shape=(len(documents), len(vocabulary))
    )

    def counts(queries: Sequence[str]) -> Any:
        asked = [[vocabulary[word] for word in words(text) if word in vocabulary] for text in queries]
        places = np.repeat(np.arange(len(queries)), [len(row) for row in asked])
        terms = np.fromiter((term for row in asked for term in row), np.int64, len(places))
        return sparse.csr_matrix(
            (np.ones(len(places), np.float32), (places, terms)), shape=(len(queries), len(vocabulary))
        )

    return Index(table.tocsr(), list(vocabulary), counts)


def _nothing(documents: Sequence[str]) -> Index:
    """Return an index of documents without a term."""

    def none(texts: Sequence[str]) -> Any:
        return sparse.csr_matrix((len(texts), 1), dtype=np.float32)

    return Index(none(documents), [""], none)


def tfidf(
    queries: Sequence[str],
    documents: Sequence[str],
    *,
    shortest: int,
    longest: int,
    sublinear: bool,
    background: Sequence[str] | None = None,
) -> SparseTexts:
    """Return texts whose inner product is the cosine of TF-IDF over character n-grams, by scikit-learn.

    N-grams are lower-cased and taken inside words, with a space at either end (``char_wb``).

    Parameters
    ----------
    queries, documents : sequence of str
    shortest, longest : int
        Least and greatest number of characters of an n-gram.
    sublinear : bool
        Whether a count is replaced by ``1 + ln(count)``.
    background : sequence of str, optional
        Texts from which the vocabulary and document frequencies are computed; none takes `documents`.
    """
    index = tfidf_index(
        documents, shortest=shortest, longest=longest, sublinear=sublinear, background=background
    )
    return index.of(queries)


def tfidf_index(
    documents: Sequence[str],
    *,
    shortest: int,
    longest: int,
    sublinear: bool,
    background: Sequence[str] | None = None,
) -> Index:
    """Prepare documents for the cosine of TF-IDF vectors; see `tfidf`."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(shortest, longest), sublinear_tf=sublinear, dtype=np.float32
    )
    try:
        vectorizer.fit(documents if background is None else background)
    except ValueError:  # raised by scikit-learn when no text contains an n-gram
        return _nothing(documents)
    terms = vectorizer.get_feature_names_out().tolist()
    return Index(vectorizer.transform(documents), terms, vectorizer.transform)


def find_bm25(
    queries: Sequence[str], documents: Sequence[str], k: int, wanted: Tensor, *, k1: float, b: float
) -> Found:
    """Search `documents` with BM25; see `bm25` and `find_lexical`."""
    return find_lexical(bm25(queries, documents, k1=k1, b=b), k, wanted)


def find_tfidf(
    queries: Sequence[str],
    documents: Sequence[str],
    k: int,
    wanted: Tensor,
    *,
    shortest: int,
    longest: int,
    sublinear: bool,
) -> Found:
    """Search `documents` with the cosine of TF-IDF vectors; see `tfidf` and `find_lexical`."""
    texts = tfidf(queries, documents, shortest=shortest, longest=longest, sublinear=sublinear)
    return find_lexical(texts, k, wanted)


def sparse_blocks(texts: SparseTexts, *, block_bytes: int = 1 << 26) -> Iterator[Tensor]:
    """Yield scores (n, M), float32, of consecutive blocks of queries with all documents.

    A block and its sparse product take about `block_bytes` together, whatever the number of documents.
    """
    table = texts.documents.T.tocsr()
    # 4 bytes for each score, and 8 in the sparse product if all documents share a term with the query
    rows = max(1, block_bytes // (12 * max(1, table.shape[1])))
    for start in range(0, max(1, texts.queries.shape[0]), rows):
        yield torch.from_numpy((texts.queries[start : start + rows] @ table).toarray())


def find_lexical(texts: SparseTexts, k: int, wanted: Tensor, *, block_bytes: int = 1 << 26) -> Found:
    """Return the `k` best documents of each query, and the ranks of `wanted` (N, R), -1 for none.

    A document that shares no term with the query scores -inf, so it is not found. The other parameters are
    those of `sparse_blocks`.

    Raises
    ------
    ValueError
        When `k` is below 1.
    """
    parts, start = [], 0
    for scores in sparse_blocks(texts, block_bytes=block_bytes):
        scores[scores <= 0] = -torch.inf
        parts.append(find(scores, k, wanted[start : start + len(scores)]))
        start += len(scores)
    return Found.join(parts)
