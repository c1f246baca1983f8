"""Training examples of a cross-encoder: sentence pairs, and hard negatives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.bitext.pairs import DistinctTexts, Pairs, Rows
from engine.bitext.seen import text_number
from engine.errors import InputError
from engine.extensions.bitext import SentencePair
from engine.training.distillation.neighbours import EXACT, NEIGHBOURS

#: Number of sentences that a held-out query ranks: its translation and the nearest others.
HELD_OUT_CANDIDATES = 20


class HeldOutQuery(NamedTuple):
    """A query and the rows of the English sentences that it ranks, the right one first."""

    text: str
    language: str
    candidates: list[int]


@dataclass(frozen=True)
class Candidates:
    """The English sentences that may be negatives of a query or may be ranked by a held-out one.

    Attributes
    ----------
    rows : array of int (C,)
        Their rows among all sentences, ascending.
    vectors : Tensor (C, H)
        Their unit sentence vectors.
    encode : callable
        Returns the unit sentence vectors (n, H) of other sentences.
    """

    rows: Rows
    vectors: Tensor
    encode: Callable[[Sequence[str]], Tensor]

    @staticmethod
    def chosen(in_training: int, count: int, seed: int) -> Rows:
        """Return the rows of at most `EXACT` sentences of training pairs, and all of held-out ones.

        Parameters
        ----------
        in_training, count : int
            Number of sentences of training pairs, which come first, and of all.
        seed : int
            Seed of the draw.
        """
        rows = np.arange(in_training)
        if in_training > EXACT:
            rows = np.sort(np.random.default_rng(seed).choice(in_training, EXACT, replace=False))
        return np.concatenate([rows, np.arange(in_training, count)])


class Sentences:
    """The English sentences of a run's pairs, and which of them may be negatives of a query.

    Parameters
    ----------
    pairs : Pairs (N)
        All pairs, held out or not: every translation of a query in them is right.
    texts : DistinctTexts
        Their English sentences, those of training pairs first.
    in_training : int
        Number of sentences of training pairs.
    candidates : Candidates
        The sentences that may be negatives.

    Raises
    ------
    InputError
        If there are not two different sentences.
    """

    def __init__(self, pairs: Pairs, texts: DistinctTexts, in_training: int, candidates: Candidates) -> None:
        self.texts, self._pairs, self._candidates = texts, pairs, candidates
        self._number = np.unique(texts.pairs.numbers("key"), return_inverse=True)[1].reshape(-1)
        if (self._number[:in_training] == self._number[:1]).all():
            raise InputError(
                "the bitext has one English sentence to train on, so there are no negatives; add pairs"
            )
        self._in_training = int(np.searchsorted(candidates.rows, in_training))
        queries = zip(pairs.texts("source_language"), pairs.texts("source"), strict=True)
        hashes = (text_number(f"{code}\t{text}") for code, text in queries)
        self._by_query = _Groups(np.fromiter(hashes, np.uint64, len(pairs)))
        self._by_number = _Groups(self._number[texts.rows])

    @property
    def negatives_from(self) -> Sequence[str]:
        """The sentences of which negatives are drawn."""
        return [self.texts[row] for row in self._candidates.rows[: self._in_training].tolist()]

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
            size = min(self._in_training, 4 * count + 8)
            rows = self._candidates.rows[generator.choice(self._in_training, size=size, replace=False)]
        found: list[int] = []
        seen = self._right(language, text)
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
        """Return the candidates of training pairs that are nearest to the row `target`."""
        own = self._candidates.rows[: self._in_training]
        similarity = self._candidates.vectors[: self._in_training] @ self._vector(target)
        itself = own == target
        similarity[torch.from_numpy(itself)] = -2.0
        nearest = similarity.topk(min(NEIGHBOURS, len(own) - int(itself.sum()))).indices
        found: Rows = own[nearest.numpy()]
        return found

    def _vector(self, row: int) -> Tensor:
        place = int(np.searchsorted(self._candidates.rows, row))
        if place < len(self._candidates.rows) and self._candidates.rows[place] == row:
            return self._candidates.vectors[place]
        return self._candidates.encode([self.texts[row]])[0]

    def _right(self, language: str, text: str) -> set[int]:
        """Return the numbers of the translations of a query."""
        pairs = self._by_query.of(text_number(f"{language}\t{text}"))
        return set(self._number[self.texts.rows[pairs]].tolist())

    def _holds(self, language: str, number: int, query: str) -> bool:
        """Return whether a sentence's translation in a language has the words of `query`."""
        pairs = self._pairs.select(self._by_number.of(number))
        return any(f" {query} " in f" {pair.source} " for pair in pairs if pair.source_language == language)

    def held_out_query(self, pair: SentencePair, target: int) -> HeldOutQuery:
        """Return the query of a held-out pair with its translation, row `target`, and the nearest others."""
        order = (self._candidates.vectors @ self._vector(target)).argsort(descending=True)
        others: list[int] = []
        seen = self._right(pair.source_language, pair.source)
        for row in self._candidates.rows[order.numpy()].tolist():
            if len(others) == HELD_OUT_CANDIDATES - 1:
                break
            if int(self._number[row]) not in seen:
                seen.add(int(self._number[row]))
                others.append(row)
        return HeldOutQuery(pair.source, pair.source_language, [target, *others])


class _Groups:
    """The places at which each value of an array (N,) stands."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self._order = np.argsort(values, kind="stable")
        self._values = values[self._order]

    def of(self, value: int) -> Rows:
        """Return the places of a value, ascending."""
        first, last = (
            int(np.searchsorted(self._values, self._values.dtype.type(value), side))
            for side in ("left", "right")
        )
        return self._order[first:last]


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
