"""Sentences that two sets of text share, in the same spelling or nearly.

Two sentences are the same if their letters, marks and digits are (`engine.bitext.split.sentence_text`), and
near duplicates if of the character n-grams that either has at least `THRESHOLD` are common to both (Jaccard
similarity). Near duplicates are found all and without guessing, by prefix filtering (Bayardo et al. 2007,
"Scaling up all pairs similarity search"): of a sentence with n n-grams, ordered from rare to frequent, one of
the first n - ⌈θn⌉ + 1 is among as many of the first of every near duplicate. Only pairs that share one of
these are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from engine.bitext.split import sentence_text
from engine.errors import InputError
from engine.languages import language

Match = Literal["exact", "near"]

#: Least share of common n-grams. Changing a word of six letters in fifty leaves .65. The nearest of TICO-19's
#: English training and evaluation segments have .58 ("declared COVID-19 a pandemic on March 11" in both).
THRESHOLD = Fraction(3, 5)
#: Characters of an n-gram; where one character is a syllable or a word, two.
_LENGTH, _SHORT_LENGTH = 4, 2
_SHORT_SCRIPTS = ("Hans", "Hant", "Jpan", "Kore")
#: Sentences compared at once.
_BATCH = 512


class Sentences:
    """Sentences of any languages, to be asked whether others are among them; each language has its own.

    Parameters
    ----------
    sentences : iterable of (str, str)
        Language code and text.
    """

    def __init__(self, sentences: Iterable[tuple[str, str]]) -> None:
        texts: dict[str, dict[str, None]] = {}
        for code, text in sentences:
            texts.setdefault(_code(code), {})[sentence_text(text)] = None
        self._indexes = {code: _Index(list(found), gram_length(code)) for code, found in texts.items()}

    def __len__(self) -> int:
        """Return the number of sentences that differ in more than spelling."""
        return sum(len(index.exact) for index in self._indexes.values())

    def matches(self, code: str, texts: Iterable[str]) -> Iterator[Match | None]:
        """Yield how each of `texts`, in language `code`, is among the sentences, None where it is not."""
        index = self._indexes.get(_code(code))
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
            unknown = len(grams) - len(row)  # they are the rarest of all
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
        # common / (own + other - common) >= threshold, in whole numbers
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
    """Return how many of a set's rarest n-grams hold one that every near duplicate has among its own."""
    return size - -(-THRESHOLD.numerator * size // THRESHOLD.denominator) + 1 if size else 0


def grams_of(text: str, length: int) -> set[str]:
    """Return the n-grams of a text; one that is shorter is an n-gram of its own."""
    if not text:
        return set()
    return {text[place : place + length] for place in range(max(1, len(text) - length + 1))}


def gram_length(code: str) -> int:
    """Return the number of characters of an n-gram in the language."""
    try:
        script = language(code).script
    except InputError:
        return _LENGTH
    return _SHORT_LENGTH if script in _SHORT_SCRIPTS else _LENGTH


def _code(code: str) -> str:
    """Return the language's code however it is spelled; collections know languages that the table lacks."""
    try:
        return language(code).code
    except InputError:
        return code
