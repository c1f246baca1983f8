"""Draw batches: language sampling, English anchors, batches of similar length, negatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.bitext.split import sample

#: Number of batches that are drawn together, sorted by length and cut.
WINDOW = 16


@dataclass(frozen=True)
class Example:
    """A query of the student, and the row of its English sentence in the teacher's vectors."""

    text: str
    language: str
    target: int
    length: int


def draw_batches(
    examples: Mapping[str, Sequence[Example]],
    *,
    batch_size: int,
    alpha: float,
    anchor: float,
    seed: int,
) -> Iterator[list[Example]]:
    """Yield batches without end.

    Languages are drawn with p ∝ n^alpha; if `anchor` is above 0, ``en`` is drawn with that probability.
    Within a language, examples come in shuffled order, and each is used once before any is used again.
    `WINDOW` batches are drawn together, sorted by length, cut, and shuffled.
    """
    generator = np.random.default_rng(seed)
    languages = [language for language in examples if language != "en" or not anchor]
    shares = sample({language: len(examples[language]) for language in languages}, alpha)
    weights = {language: shares[language] * (1 - anchor) for language in languages}
    if anchor > 0:
        weights["en"] = anchor
    names = list(weights)
    probabilities = np.array([weights[name] for name in names])
    orders = {name: endless(len(examples[name]), generator) for name in names}
    while True:
        drawn = generator.choice(len(names), size=WINDOW * batch_size, p=probabilities / probabilities.sum())
        window = [examples[names[i]][next(orders[names[i]])] for i in drawn]
        window.sort(key=lambda example: example.length)
        starts = np.arange(0, len(window), batch_size)
        generator.shuffle(starts)
        for start in starts:
            yield window[start : start + batch_size]


def endless(size: int, generator: np.random.Generator) -> Iterator[int]:
    """Yield the numbers below `size` in shuffled order, in a new order every time."""
    while True:
        yield from generator.permutation(size).tolist()


#: Number of neighbours of a sentence that hard negatives are drawn from.
NEIGHBOURS = 50


def nearest_neighbours(sentences: Tensor) -> npt.NDArray[np.int64]:
    """Return the rows (M, n) of the `NEIGHBOURS` nearest sentences of each of the unit vectors (M, H')."""
    found = []
    for start in range(0, len(sentences), 1024):  # all similarities at once would take 4 M² bytes
        similarity = sentences[start : start + 1024] @ sentences.T
        similarity.diagonal(start).fill_(-2.0)
        found.append(similarity.topk(min(NEIGHBOURS, len(sentences) - 1)).indices)
    neighbours: npt.NDArray[np.int64] = torch.cat(found).numpy()
    return neighbours


def with_negatives(
    batch: Sequence[Example],
    pool: npt.NDArray[np.int64],
    sentence: Tensor,
    negatives: int,
    generator: np.random.Generator,
    neighbours: npt.NDArray[np.int64] | None = None,
) -> tuple[list[int], Tensor]:
    """Return the rows of a batch's targets and of `negatives` further sentences, and which are no negatives.

    The further ones are drawn from `pool`, the rows that may be negatives, or from those `neighbours` (M, n)
    of the batch's targets that are in the pool. Rows with the same number in `sentence` (M,) spell the same
    sentence.

    Returns
    -------
    rows : list of int, N
        The batch's own targets in order, then sentences of the pool.
    excluded : Tensor (B, N), bool
        True if the sentence is the query's own translation in another row: one English sentence, perhaps in
        several spellings, may be paired with several languages, and must not be a negative of its own.
    """
    rows = [example.target for example in batch]
    if negatives:
        own = set(rows)
        if neighbours is None:
            drawn = generator.choice(pool, size=min(len(pool), negatives + len(own)), replace=False)
        else:
            drawn = generator.permutation(np.intersect1d(neighbours[list(own)], pool))
        rows += [row for row in drawn.tolist() if row not in own][:negatives]
    spelled = sentence[rows]
    excluded = spelled[None, :] == spelled[: len(batch), None]
    excluded[torch.arange(len(batch)), torch.arange(len(batch))] = False
    return rows, excluded
