"""Training examples of a cross-encoder: sentence pairs, and hard negatives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from engine.bitext.split import sentence_key
from engine.errors import InputError
from engine.extensions.bitext import SentencePair
from engine.training.distillation.neighbours import NEIGHBOURS

#: Number of sentences that a held-out query ranks: its translation and the nearest others.
HELD_OUT_CANDIDATES = 20


class HeldOutQuery(NamedTuple):
    """A query and the rows of the English sentences that it ranks, the right one first."""

    text: str
    language: str
    candidates: list[int]


class Sentences:
    """The English sentences of a run's pairs, and which of them may be negatives of a query.

    Parameters
    ----------
    texts : sequence of str
        Distinct English sentences, those of training pairs first.
    in_training : int
        Number of sentences of training pairs.
    pairs : sequence of SentencePair
        All pairs, held out or not: every translation of a query in them is right.
    vectors : Tensor (M, H)
        Unit sentence vectors of `texts`.

    Raises
    ------
    InputError
        If there are not two different sentences.
    """

    def __init__(
        self, texts: Sequence[str], in_training: int, pairs: Sequence[SentencePair], vectors: Tensor
    ) -> None:
        numbers: dict[bytes, int] = {}
        self.texts, self.in_training, self._vectors = texts, in_training, vectors
        self.rows = {text: row for row, text in enumerate(texts)}
        self._number = np.array([numbers.setdefault(sentence_key(text), len(numbers)) for text in texts])
        if len(set(self._number[:in_training].tolist())) < 2:
            raise InputError(
                "the bitext has one English sentence to train on, so there are no negatives; add pairs"
            )
        self._right: dict[tuple[str, str], set[int]] = {}
        self._translations: dict[tuple[str, int], list[str]] = {}
        for pair in pairs:
            number = int(self._number[self.rows[pair.target]])
            self._right.setdefault((pair.source_language, pair.source), set()).add(number)
            self._translations.setdefault((pair.source_language, number), []).append(pair.source)

    def negatives(
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
        """Draw at most `count` training sentences that do not translate `query`, which is a part of `text`.

        They are drawn from the nearest neighbours of the row `target`, or from all. Sentences whose
        translation in the query's language contains the query's words are left out.
        """
        if nearest:
            rows = generator.permutation(self._nearest(target))
        else:
            # a few more, because some are left out
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

    def _nearest(self, target: int) -> npt.NDArray[np.int64]:
        """Return the training sentences that are nearest to the row `target`."""
        similarity = self._vectors[: self.in_training] @ self._vectors[target]
        similarity[target] = -2.0
        nearest = similarity.topk(min(NEIGHBOURS, self.in_training - 1)).indices
        found: npt.NDArray[np.int64] = nearest.numpy()
        return found

    def _holds(self, language: str, number: int, query: str) -> bool:
        return any(f" {query} " in f" {text} " for text in self._translations.get((language, number), ()))

    def held_out_query(self, pair: SentencePair) -> HeldOutQuery:
        """Return the query of a held-out pair with its translation and the nearest other sentences."""
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
        return HeldOutQuery(pair.source, pair.source_language, [target, *others])


def words_of(text: str, most: int, generator: np.random.Generator) -> str:
    """Return 1 to `most` consecutive words of `text`, drawn at random; text without spaces is one word."""
    words = text.split()
    count = int(generator.integers(1, min(most, len(words)) + 1))
    start = int(generator.integers(len(words) - count + 1))
    return " ".join(words[start : start + count])


def reciprocal_ranks(
    scores: npt.NDArray[np.float64], queries: Sequence[HeldOutQuery]
) -> Mapping[str, Collection[float]]:
    """Return 1 / rank of the right sentence for each query, by language.

    `scores` (n,) are those of all candidates, query by query. Sentences with the same score as the right one
    count as ranked above it.
    """
    found: dict[str, list[float]] = {}
    start = 0
    for query in queries:
        own, *others = scores[start : start + len(query.candidates)].tolist()
        found.setdefault(query.language, []).append(1.0 / (1 + sum(other >= own for other in others)))
        start += len(query.candidates)
    return found
