"""Lexical search across languages: BM25 with expected counts of the translations of a word.

Probabilistic structured queries (Darwish and Oard 2003): a query word w occurs in a document as often as its
translations can be expected to, ``tf = sum p(e | w) tf(e)``, and in ``df = sum p(e | w) df(e)`` documents.
BM25 takes these in place of counts. Words are those of `engine.lexicon.words` without diacritics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from engine.lexicon.translations import WordTranslations
from engine.lexicon.words import plain_words
from engine.retrieval.lexical import SparseTexts, find_lexical
from engine.retrieval.topk import Found

#: Bytes of the expected counts of the words of the queries that are searched at once.
_BLOCK_BYTES = 1 << 26
#: Translations of a query word that an explanation names.
_SHOWN = 5


@dataclass(frozen=True)
class TranslatedIndex:
    """Documents that are prepared for queries in one language.

    Attributes
    ----------
    counts : CSR matrix (M, V)
        How often each of V words occurs in each document.
    frequencies : array (V,)
        The number of documents that each word occurs in.
    vocabulary : mapping of str to int
        The number of each word of the documents.
    saturation : array (M,)
        ``k1 (1 - b + b |d| / mean |d|)``.
    same_word : float
        Probability that a query word that occurs in the documents stands for itself.
    translations : WordTranslations or None
        Translations of query words; None for queries in the language of the documents.
    """

    counts: Any
    frequencies: NDArray[np.float64]
    vocabulary: dict[str, int]
    saturation: NDArray[np.float64]
    same_word: float
    translations: WordTranslations | None

    def meanings(self, word: str) -> list[tuple[str, float]]:
        """Return the words of the documents that `word` may stand for, with their probabilities.

        Translations that no document contains are left out.
        """
        known = self.translations.of(word) if self.translations is not None else []
        itself = word in self.vocabulary
        if not known:
            return [(word, 1.0)] if itself else []
        share = self.same_word if itself else 0.0
        found = {other: (1 - share) * p for other, p in known if other in self.vocabulary}
        if share:
            found[word] = found.get(word, 0.0) + share
        return sorted(((other, p) for other, p in found.items() if p > 0), key=lambda item: -item[1])

    def of(self, queries: Sequence[str]) -> SparseTexts:
        """Return queries and documents over the distinct words of the queries."""
        terms: dict[str, int] = {}
        rows, columns = [], []
        for row, text in enumerate(queries):
            for word in plain_words(text):
                rows.append(row)
                columns.append(terms.setdefault(word, len(terms)))
        shape = len(queries), max(1, len(terms))
        asked = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
        return SparseTexts(asked, self._weights(list(terms), shape[1]))

    def explain(self, query: str, document: int) -> list[tuple[str, str, float]]:
        """Return the query words that add to a document's score.

        Each comes with the words of the document that it most likely stands for, with their probabilities,
        and with its part of the score.
        """
        own = self.counts[[document]]
        present = dict(zip(own.indices.tolist(), own.data.tolist(), strict=True))
        repeated = Counter(plain_words(query))
        words = list(repeated)
        weights = self._weights(words, max(1, len(words)), only=document).toarray()[0]
        found = []
        for word, weight in zip(words, weights.tolist(), strict=False):
            if weight > 0:
                meant = [
                    (p * present[self.vocabulary[other]], f"{other} {p:.2f}")
                    for other, p in self.meanings(word)
                    if self.vocabulary[other] in present
                ]
                shown = ", ".join(text for _, text in sorted(meant, reverse=True)[:_SHOWN])
                found.append((word, shown, repeated[word] * weight))
        return sorted(found, key=lambda item: -item[2])

    def blocks(self, queries: Sequence[str]) -> Iterator[Sequence[str]]:
        """Yield consecutive queries whose expected counts take about `_BLOCK_BYTES` together."""
        start, size, seen = 0, 0.0, set[str]()
        for place, text in enumerate(queries):
            for word in plain_words(text):
                if word not in seen:
                    seen.add(word)
                    size += 12 * sum(
                        self.frequencies[self.vocabulary[other]] for other, _ in self.meanings(word)
                    )
            if size > _BLOCK_BYTES:
                yield queries[start : place + 1]
                start, size, seen = place + 1, 0.0, set()
        if start < len(queries):
            yield queries[start:]

    def _weights(self, words: Sequence[str], width: int, only: int | None = None) -> Any:
        """Return the weights (M, width) of `words` in the documents, or (1, width) in one of them."""
        meant = [self.meanings(word) for word in words]
        places = [self.vocabulary[other] for one in meant for other, _ in one]
        values = [p for one in meant for _, p in one]
        columns = np.repeat(np.arange(len(words)), [len(one) for one in meant])
        table = sparse.csr_matrix((values, (places, columns)), shape=(len(self.frequencies), width))
        expected = ((self.counts if only is None else self.counts[[only]]) @ table).tocsr()
        frequency = self.frequencies @ table
        count = len(self.saturation)
        rarity = np.log1p((count - frequency + 0.5) / (frequency + 0.5))
        saturation = self.saturation if only is None else self.saturation[[only]]
        rows = np.repeat(np.arange(expected.shape[0]), np.diff(expected.indptr))
        weights = rarity[expected.indices] * expected.data / (expected.data + saturation[rows])
        return sparse.csr_matrix(
            (weights.astype(np.float32), expected.indices, expected.indptr), shape=expected.shape
        )


def psq_index(
    documents: Sequence[str],
    *,
    translations: WordTranslations | None,
    k1: float,
    b: float,
    same_word: float,
) -> TranslatedIndex:
    """Prepare documents for queries in the language that `translations` are from.

    The parameters are the attributes of `TranslatedIndex` and those of `engine.retrieval.lexical.bm25`.
    """
    vocabulary: dict[str, int] = {}
    rows = [
        [vocabulary.setdefault(word, len(vocabulary)) for word in plain_words(text)] for text in documents
    ]
    lengths = np.array([len(row) for row in rows], dtype=np.float64)
    columns = np.fromiter((place for row in rows for place in row), np.int64, int(lengths.sum()))
    places = np.repeat(np.arange(len(rows)), lengths.astype(np.int64))
    counts = sparse.csr_matrix(
        (np.ones(len(columns)), (places, columns)), shape=(len(rows), max(1, len(vocabulary)))
    )
    mean = lengths.mean() if lengths.any() else 1.0
    return TranslatedIndex(
        counts,
        np.bincount(counts.indices, minlength=counts.shape[1]).astype(np.float64),
        vocabulary,
        k1 * (1 - b + b * lengths / mean),
        same_word,
        translations,
    )


def find_psq(
    queries: Sequence[str],
    documents: Sequence[str],
    k: int,
    wanted: Tensor,
    *,
    translations: Sequence[WordTranslations | None],
    k1: float,
    b: float,
    same_word: float,
) -> Found:
    """Search `documents` with the translations of query words; see `engine.retrieval.lexical.find_lexical`.

    Parameters
    ----------
    queries, documents : sequence of str
    k : int
    wanted : Tensor (N, R)
    translations : sequence of WordTranslations or None
        For each query, the translations of the words of its language.
    k1, b, same_word : float
        As `psq_index`.
    """
    index = psq_index(documents, translations=None, k1=k1, b=b, same_word=same_word)
    parts, start = [], 0
    for _, group in groupby(zip(queries, translations, strict=True), key=lambda item: id(item[1])):
        texts, tables = zip(*group, strict=True)
        own = replace(index, translations=tables[0])
        for block in own.blocks(texts):
            parts.append(find_lexical(own.of(block), k, wanted[start : start + len(block)]))
            start += len(block)
    return Found.join(parts)
