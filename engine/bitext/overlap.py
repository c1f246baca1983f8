"""Sentences that two sets of text share, in the same spelling or nearly.

Two sentences are the same if their letters, marks and digits are (`engine.bitext.split.sentence_text`), and
near duplicates if of the character n-grams that either has at least `THRESHOLD` are common to both (Jaccard
similarity). Near duplicates are found all and without guessing, by prefix filtering (Bayardo et al. 2007,
"Scaling up all pairs similarity search"; Xiao et al. 2008, "Efficient similarity joins for near duplicate
detection"): of a sentence with n n-grams, ordered from rare to frequent, the first n - ⌈θn⌉ + 1 must hold one
that is among the first of every near duplicate.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

from engine.bitext.split import sentence_text
from engine.errors import InputError
from engine.languages import language

Match = Literal["exact", "near"]

#: Least share of common n-grams. Changing a word of six letters in fifty leaves .65. The nearest of TICO-19's
#: training and evaluation segments have .58 ("declared COVID-19 a pandemic on March 11" in both).
THRESHOLD = Fraction(3, 5)
#: Characters of an n-gram; where one character is a syllable or a word, two.
_LENGTH, _SHORT_LENGTH = 4, 2
_SHORT_SCRIPTS = ("Hans", "Hant", "Jpan", "Kore")


class Sentences:
    """Sentences of any languages, to be asked whether one is among them; each language has its own.

    Parameters
    ----------
    sentences : iterable of (str, str)
        Language code and text.
    """

    def __init__(self, sentences: Iterable[tuple[str, str]]) -> None:
        texts: dict[str, dict[str, None]] = {}
        for code, text in sentences:
            texts.setdefault(_code(code), {})[sentence_text(text)] = None
        self._indexes = {code: _Index(list(found), _length(code)) for code, found in texts.items()}

    def __len__(self) -> int:
        """Return the number of sentences that differ in spelling."""
        return sum(len(index.texts) for index in self._indexes.values())

    def match(self, code: str, text: str) -> Match | None:
        """Return how `text` in language `code` is among the sentences, None if it is not."""
        index = self._indexes.get(_code(code))
        return None if index is None else index.match(sentence_text(text))


class _Index:
    """The sentences of one language."""

    def __init__(self, texts: list[str], length: int) -> None:
        self.texts, self.length = texts, length
        self.exact = frozenset(texts)
        self.counts = Counter(gram for text in texts for gram in _grams(text, length))
        self.by_gram: dict[str, list[int]] = {}
        for number, text in enumerate(texts):
            for gram in self._rarest(_grams(text, length)):
                self.by_gram.setdefault(gram, []).append(number)

    def match(self, text: str) -> Match | None:
        if text in self.exact:
            return "exact"
        grams = _grams(text, self.length)
        known = [gram for gram in grams if gram in self.counts]
        # no sentence has more in common with this one than all of them together
        if len(known) < THRESHOLD * len(grams):
            return None
        tried: set[int] = set()
        for gram in self._rarest(grams):
            for number in self.by_gram.get(gram, ()):
                if number not in tried:
                    tried.add(number)
                    if similar(grams, _grams(self.texts[number], self.length)):
                        return "near"
        return None

    def _rarest(self, grams: set[str]) -> list[str]:
        """Return so many of the rarest n-grams that a near duplicate has one of them among its own."""
        count = len(grams) - math.ceil(THRESHOLD * len(grams)) + 1
        return sorted(grams, key=lambda gram: (self.counts[gram], gram))[:count]


def similar(first: set[str], second: set[str]) -> bool:
    """Tell whether the Jaccard similarity of two sets of n-grams is at least `THRESHOLD`."""
    short, long = sorted((len(first), len(second)))
    if not short or short < THRESHOLD * long:
        return False
    common = len(first & second)
    return common >= THRESHOLD * (short + long - common)


def _grams(text: str, length: int) -> set[str]:
    """Return the n-grams of a text; one that is shorter is an n-gram of its own."""
    if not text:
        return set()
    return {text[place : place + length] for place in range(max(1, len(text) - length + 1))}


def _length(code: str) -> int:
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
