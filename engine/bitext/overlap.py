"""Find sentences that two sets of text share, in the same or in nearly the same spelling.

Two sentences are the same if their letters, marks and digits are the same
(`engine.bitext.split.sentence_text`). They are near duplicates if the Jaccard similarity of their sets of
character n-grams is at least `THRESHOLD`. All near duplicates are found, by prefix filtering (Bayardo et al.
2007, "Scaling up all pairs similarity search"): sort the n-grams of a sentence from rare to frequent; another
sentence with similarity θ or more then has one of the first n - ⌈θn⌉ + 1, where n is the number of n-grams of
the sentence, and so many of them that the remaining ones can make up for the rest. Only such pairs are
compared. N-grams are numbers of 52 bits, so that many sentences are looked up at once with arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from engine.bitext.seen import distinct
from engine.bitext.split import sentence_text
from engine.hashes import hash_of
from engine.languages import known_code, lookup

Match = Literal["exact", "near"]

#: Minimum Jaccard similarity. If a word of six letters in a sentence of fifty changes, the similarity is .65.
#: The most similar English training and evaluation segments of TICO-19 have .58 (both contain "declared
#: COVID-19 a pandemic on March 11").
THRESHOLD = Fraction(3, 5)
#: Characters of an n-gram, and of one in scripts in which a character is a syllable or a word.
_LENGTH, _SHORT_LENGTH = 4, 2
_SHORT_SCRIPTS = ("Hans", "Hant", "Jpan", "Kore")
#: Sentences compared at once; an n-gram's sentence takes the twelve bits that its number leaves.
_BATCH = 1 << 12
_BITS = 52
#: The lowest bits of an n-gram's number, by which most n-grams are recognised as in no sentence of the set.
_LOWEST = (1 << 20) - 1
#: Odd numbers by which n-grams are hashed.
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)

Numbers = npt.NDArray[np.int64]


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

    @property
    def hash(self) -> str:
        """A hash of the sentences and their languages."""
        lines = sorted(f"{code}\t{text}" for code, index in self._indexes.items() for text in index.exact)
        return hash_of("\n".join(lines).encode("utf-8", "surrogatepass"))

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
        owners, grams = _grams_of(texts, length)
        self.grams, numbers, counts = np.unique(grams, return_inverse=True, return_counts=True)
        self.ranks = np.argsort(np.argsort(counts, kind="stable"))
        self.lowest = np.zeros(_LOWEST + 1, dtype=bool)
        self.lowest[self.grams & _LOWEST] = True
        self.sizes = np.bincount(owners, minlength=len(texts))
        self.sets = self._matrix(owners, self.ranks[numbers], len(texts))
        self.having = self.sets.T.tocsr()

    def matches(self, texts: Sequence[str]) -> list[Match | None]:
        found: list[Match | None] = ["exact" if text in self.exact else None for text in texts]
        places = [place for place, match in enumerate(found) if match is None]
        for place in self._near([texts[place] for place in places]).tolist():
            found[places[place]] = "near"
        return found

    def _near(self, texts: Sequence[str]) -> Numbers:
        """Return the places of the texts that are near duplicates of a sentence of the set."""
        count, none = len(texts), np.zeros(0, dtype=np.int64)
        if not count or not len(self.grams):
            return none
        owners, grams = _grams_of(texts, self.length)
        sizes = np.bincount(owners, minlength=count)
        maybe = np.flatnonzero(self.lowest[grams & _LOWEST])
        owners, grams = owners[maybe], grams[maybe]
        places = np.searchsorted(self.grams, grams).clip(max=len(self.grams) - 1)
        known = self.grams[places] == grams
        # by text, from rare to frequent; n-grams that are in no sentence of the set are the rarest
        keys = np.sort(owners[known] * len(self.grams) + self.ranks[places[known]])
        owners, ranks = np.divmod(keys, len(self.grams))
        left = np.bincount(owners, minlength=count)
        order = np.arange(len(owners)) + (sizes - np.cumsum(left))[owners]
        early = order < (sizes - _least(sizes))[owners] + 1
        prefixes = self._matrix(owners[early], ranks[early], count)
        shared = (prefixes @ self.having).tocoo()
        first, second = shared.row, shared.col
        least = _common(sizes[first], self.sizes[second])
        later = left - np.bincount(owners[early], minlength=count)
        likely = (shared.data + later[first] >= least) & (
            np.minimum(sizes[first], self.sizes[second]) >= least
        )
        first, second, least = first[likely], second[likely], least[likely]
        if not len(first):
            return none
        whole = self._matrix(owners, ranks, count)
        common = whole[first].multiply(self.sets[second]).sum(1)
        return np.unique(first[common >= least]).astype(np.int64)

    def _matrix(self, rows: Numbers, columns: Numbers, count: int) -> csr_array:
        """Return `count` sets of n-grams, given by rows in ascending order, as a matrix of ones."""
        bounds = np.searchsorted(rows, np.arange(count + 1))
        ones = np.ones(len(columns), dtype=np.int32)
        return csr_array((ones, columns, bounds), shape=(count, len(self.grams)))


def _least(sizes: Numbers) -> Numbers:
    """Return how many n-grams of a set of `sizes` a near duplicate has at least."""
    return -(-THRESHOLD.numerator * sizes // THRESHOLD.denominator)


def _common(own: Numbers, other: Numbers) -> Numbers:
    """Return how many n-grams two sets of these sizes have in common if they are near duplicates."""
    # common / (own + other - common) >= threshold, in integers
    over, under = THRESHOLD.numerator, THRESHOLD.denominator
    return -(-over * (own + other) // (over + under))


def _grams_of(texts: Sequence[str], length: int) -> tuple[Numbers, Numbers]:
    """Return the distinct n-grams of each text: the text's place, ascending, and the n-gram's number.

    A text that is shorter than an n-gram is its only n-gram.
    """
    owners, grams = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(texts), _BATCH):
        some = [text.ljust(length, "\0") if text else "" for text in texts[start : start + _BATCH]]
        content = "".join(some).encode("utf-32-le", "surrogatepass")
        characters = np.frombuffer(content, np.uint32).astype(np.uint64)
        sizes = np.array([len(text) for text in some])
        windows = np.maximum(sizes - length + 1, 0)
        hashes = np.zeros(max(0, len(characters) - length + 1), dtype=np.uint64)
        for place in range(length):
            hashes = (hashes + characters[place : place + len(hashes)]) * _FIRST
        hashes = ((hashes ^ (hashes >> np.uint64(32))) * _SECOND) >> np.uint64(64 - _BITS)
        skipped = np.cumsum(sizes - windows) - (sizes - windows)  # places at which no n-gram begins
        begins = np.arange(windows.sum()) + np.repeat(skipped, windows)
        own = np.repeat(np.arange(len(some), dtype=np.uint64), windows)
        keys = distinct((own << np.uint64(_BITS)) | hashes[begins])
        owners.append((keys >> np.uint64(_BITS)).astype(np.int64) + start)
        grams.append((keys & np.uint64((1 << _BITS) - 1)).astype(np.int64))
    return np.concatenate(owners), np.concatenate(grams)


def gram_length(code: str) -> int:
    """Return the number of characters of an n-gram in the language."""
    found = lookup(code)
    script = "" if found is None else found.script
    return _SHORT_LENGTH if script in _SHORT_SCRIPTS else _LENGTH
