"""Find sentences that two sets of text share, in the same or in nearly the same spelling.

Two sentences are the same if their letters, marks and digits are the same
(`engine.bitext.split.sentence_text`). They are near duplicates if the Jaccard similarity of their sets of
character n-grams is at least `THRESHOLD`. All near duplicates are found, by prefix filtering (Bayardo et al.
2007, "Scaling up all pairs similarity search"): sort the n-grams of each sentence from rare to frequent; two
sentences with similarity θ or more then share an n-gram among their first n - ⌈θn⌉ + 1, where n is the
number of n-grams of the sentence. Only pairs that share one of these are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from engine.bitext.split import sentence_text
from engine.languages import known_code, lookup

Match = Literal["exact", "near"]

#: Minimum Jaccard similarity. If a word of six letters in a sentence of fifty changes, the similarity is .65.
#: The most similar English training and evaluation segments of TICO-19 have .58 (both contain "declared
#: COVID-19 a pandemic on March 11").
THRESHOLD = Fraction(3, 5)
#: Characters of an n-gram, and of one in scripts in which a character is a syllable or a word.
_LENGTH, _SHORT_LENGTH = 4, 2
_SHORT_SCRIPTS = ("Hans", "Hant", "Jpan", "Kore")
#: Sentences compared at once.
_BATCH = 512


class Sentences:
    """A set of sentences in any languages, which tells whether other sentences are in it.

    Parameters
    ----------
    sentences : iterable of (str, str)
        Language code and text.
    """

    def __init__(self, sentences: Iterable[tuple[str, str]]) -> None:
        texts: dict[str, dict[str, None]] = {}
        for code, text in sentences:
            texts.setdefault(known_code(code), {})[sentence_text(text)] = None
        self._indexes = {code: _Index(list(found), gram_length(code)) for code, found in texts.items()}

    def __len__(self) -> int:
        """Return the number of sentences, without those that differ only in spelling."""
        return sum(len(index.exact) for index in self._indexes.values())

    def matches(self, code: str, texts: Iterable[str]) -> Iterator[Match | None]:
        """Yield for each of `texts`, in language `code`, how it is in the set, or None if it is not."""
        index = self._indexes.get(known_code(code))
        batch: list[str] = []
        for text in texts:
            if index is None:
                yield None
                continue
            batch.append(sentence_text(text))
            if len(batch) == _BATCH:
                yield from index.matches(batch)
                batch = []
        if index is not None and batch:
            yield from index.matches(batch)


class _Index:
    """The sentences of one language, as sets of n-grams numbered from rare to frequent."""

    def __init__(self, texts: list[str], length: int) -> None:
        self.exact, self.length = frozenset(texts), length
        counts = Counter(gram for text in texts for gram in grams_of(text, length))
        ranked = sorted(counts, key=lambda gram: (counts[gram], gram))
        self.numbers = {gram: number for number, gram in enumerate(ranked)}
        rows = [sorted(self.numbers[gram] for gram in grams_of(text, length)) for text in texts]
        self.sizes = np.array([len(row) for row in rows], dtype=np.int64)
        self.sets = self._matrix(rows)
        self.prefixes = self._matrix([row[: _prefix(len(row))] for row in rows]).T.tocsr()

    def matches(self, texts: Sequence[str]) -> list[Match | None]:
        found: list[Match | None] = ["exact" if text in self.exact else None for text in texts]
        places, rows, sizes, prefixes = [], [], [], []
        for place, text in enumerate(texts):
            grams = grams_of(text, self.length)
            row = sorted(self.numbers[gram] for gram in grams if gram in self.numbers)
            unknown = len(grams) - len(row)  # n-grams that are in no sentence of the set are the rarest
            prefix = row[: max(0, _prefix(len(grams)) - unknown)]
            if found[place] is None and prefix:
                places.append(place)
                rows.append(row)
                sizes.append(len(grams))
                prefixes.append(prefix)
        if not places:
            return found
        first, second = (self._matrix(prefixes) @ self.prefixes).nonzero()
        own, other = np.array(sizes, dtype=np.int64)[first], self.sizes[second]
        plausible = np.minimum(own, other) >= float(THRESHOLD) * np.maximum(own, other) - 1
        first, second, own, other = first[plausible], second[plausible], own[plausible], other[plausible]
        common = self._matrix(rows)[first].multiply(self.sets[second]).sum(1)
        # common / (own + other - common) >= threshold, in integers
        over, under = THRESHOLD.numerator, THRESHOLD.denominator
        near = common.astype(np.int64) * (over + under) >= over * (own + other)
        for index in set(first[near].tolist()):
            found[places[index]] = "near"
        return found

    def _matrix(self, rows: Sequence[Sequence[int]]) -> csr_array:
        """Return sets of numbers as a matrix (sets, n-grams) of ones."""
        bounds = np.cumsum([0, *map(len, rows)])
        columns = np.fromiter((number for row in rows for number in row), np.int32, bounds[-1])
        ones = np.ones(len(columns), dtype=np.int32)
        return csr_array((ones, columns, bounds), shape=(len(rows), len(self.numbers)))


def _prefix(size: int) -> int:
    """Return the number of a set's rarest n-grams of which every near duplicate has one among its own."""
    return size - -(-THRESHOLD.numerator * size // THRESHOLD.denominator) + 1 if size else 0


def grams_of(text: str, length: int) -> set[str]:
    """Return the n-grams of a text; a text shorter than an n-gram is its only n-gram."""
    if not text:
        return set()
    return {text[place : place + length] for place in range(max(1, len(text) - length + 1))}


def gram_length(code: str) -> int:
    """Return the number of characters of an n-gram in the language."""
    found = lookup(code)
    script = "" if found is None else found.script
    return _SHORT_LENGTH if script in _SHORT_SCRIPTS else _LENGTH
