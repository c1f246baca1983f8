"""What a cross-encoder learns from: pairs of sentences that say the same, and others that nearly do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from engine.bitext.split import sentence_key
from engine.errors import InputError
from engine.extensions.bitext import SentencePair
from engine.training.distillation.batches import nearest_neighbours

#: Sentences that a held-out query ranks: its translation and what lies nearest to it.
HELD_OUT_CANDIDATES = 20


class Asked(NamedTuple):
    """A query and the English sentences it is to be scored with, the right one first."""

    text: str
    language: str
    candidates: list[int]


class Sentences:
    """The English sentences of a run's pairs, and which of them may stand against a query's translation.

    Parameters
    ----------
    texts : sequence of str
        Distinct English sentences, those of training pairs first.
    in_training : int
        How many are of training pairs.
    pairs : sequence of SentencePair
        All pairs, held out or not: every translation that they give for a query is right.
    vectors : Tensor (M, H)
        Unit sentence vectors of `texts`.

    Raises
    ------
    InputError
        If there are not two sentences to tell apart.
    """

    def __init__(
        self, texts: Sequence[str], in_training: int, pairs: Sequence[SentencePair], vectors: Tensor
    ) -> None:
        numbers: dict[bytes, int] = {}
        self.texts, self.in_training, self._vectors = texts, in_training, vectors
        self.rows = {text: row for row, text in enumerate(texts)}
        self._number = np.array([numbers.setdefault(sentence_key(text), len(numbers)) for text in texts])
        if len(set(self._number[:in_training].tolist())) < 2:
            raise InputError("the bitext has one English sentence to train on, so nothing stands against it")
        self._neighbours = nearest_neighbours(vectors[:in_training])
        self._right: dict[tuple[str, str], set[int]] = {}
        self._said: dict[tuple[str, int], list[str]] = {}
        for pair in pairs:
            number = int(self._number[self.rows[pair.target]])
            self._right.setdefault((pair.source_language, pair.source), set()).add(number)
            self._said.setdefault((pair.source_language, number), []).append(pair.source)

    def against(
        self,
        text: str,
        query: str,
        language: str,
        target: int,
        count: int,
        generator: np.random.Generator,
        *,
        nearest: bool,
    ) -> list[int]:
        """Draw at most `count` training sentences that are no translation of `query`, a part of `text`.

        They come from the nearest neighbours of the row `target` or from all; sentences whose translation in
        the query's language holds the query's words are left out.
        """
        if nearest:
            rows = generator.permutation(self._neighbours[target])
        else:
            # enough for what is left out, which is few
            rows = generator.choice(
                self.in_training, size=min(self.in_training, 4 * count + 8), replace=False
            )
        found: list[int] = []
        seen = set(self._right[language, text])
        part = query != text
        for row in rows.tolist():
            number = int(self._number[row])
            if number in seen or (part and self._holds(language, number, query)):
                continue
            seen.add(number)
            found.append(row)
            if len(found) == count:
                break
        return found

    def _holds(self, language: str, number: int, query: str) -> bool:
        return any(f" {query} " in f" {said} " for said in self._said.get((language, number), ()))

    def asked(self, pair: SentencePair) -> Asked:
        """Return a held-out pair's query with its translation and the nearest other sentences."""
        target = self.rows[pair.target]
        right = self._right[pair.source_language, pair.source]
        order = (self._vectors @ self._vectors[target]).argsort(descending=True).tolist()
        others: list[int] = []
        seen = set(right)
        for row in order:
            if len(others) == HELD_OUT_CANDIDATES - 1:
                break
            if int(self._number[row]) not in seen:
                seen.add(int(self._number[row]))
                others.append(row)
        return Asked(pair.source, pair.source_language, [target, *others])


def words_of(text: str, most: int, generator: np.random.Generator) -> str:
    """Return 1 to `most` words in a row of `text`, any as likely; a text without spaces is one word."""
    words = text.split()
    count = int(generator.integers(1, min(most, len(words)) + 1))
    start = int(generator.integers(len(words) - count + 1))
    return " ".join(words[start : start + count])


def reciprocal_ranks(
    scores: npt.NDArray[np.float64], asked: Sequence[Asked]
) -> Mapping[str, Collection[float]]:
    """Return 1 / rank of the right sentence for each query, by language.

    `scores` (n,) are those of all candidates, query by query; sentences that score the same as the right one
    count as above it.
    """
    found: dict[str, list[float]] = {}
    start = 0
    for query in asked:
        own, *others = scores[start : start + len(query.candidates)].tolist()
        found.setdefault(query.language, []).append(1.0 / (1 + sum(other >= own for other in others)))
        start += len(query.candidates)
    return found
