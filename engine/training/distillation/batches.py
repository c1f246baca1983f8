"""Draw batches: language sampling, English anchors, batches of similar length, negatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.bitext.split import sample
from engine.errors import InputError

#: Number of batches that are drawn together, sorted by length and cut.
WINDOW = 16


@dataclass(frozen=True)
class Example:
    """A query of the student, and the row of its English sentence in the teacher's vectors."""

    text: str
    language: str
    target: int
    length: int


#: The language of an example, and its place among those of its language.
Place = tuple[str, int]


def draw_windows(
    sizes: Mapping[str, int],
    examples: Callable[[Sequence[Place]], Sequence[Example | None]],
    *,
    batch_size: int,
    alpha: float,
    anchor: float,
    seed: int,
) -> Iterator[list[list[Example]]]:
    """Yield windows of `WINDOW` batches without end.

    Languages are drawn with p ∝ n^alpha; if `anchor` is above 0, ``en`` is drawn with that probability.
    Within a language, examples come in shuffled order, and each is used once before any is used again. A
    window is sorted by length, cut into batches, and these are shuffled.

    Parameters
    ----------
    sizes : mapping
        Number of examples n of each language.
    examples : callable
        Returns the examples at the given places; None stands for one that cannot be used, instead of which
        another one of its language is drawn.
    batch_size : int
        Examples of a batch.
    alpha, anchor : float
        As above.
    seed : int
        Seed of the draws.

    Raises
    ------
    InputError
        If no example can be used.
    """
    generator = np.random.default_rng(seed)
    languages = [language for language in sizes if language != "en" or not anchor]
    shares = sample({language: sizes[language] for language in languages}, alpha)
    weights = {language: shares[language] * (1 - anchor) for language in languages}
    if anchor > 0:
        weights["en"] = anchor
    names = list(weights)
    probabilities = np.array([weights[name] for name in names])
    orders = {name: endless(sizes[name], generator) for name in names}
    useless = 0
    while True:
        drawn = generator.choice(len(names), size=WINDOW * batch_size, p=probabilities / probabilities.sum())
        wanted = [names[i] for i in drawn]
        window: list[Example] = []
        while wanted:
            found = examples([(name, next(orders[name])) for name in wanted])
            window += [example for example in found if example is not None]
            wanted = [name for name, example in zip(wanted, found, strict=True) if example is None]
            useless = useless + len(wanted) if len(wanted) == len(found) else 0
            if useless > sum(sizes.values()):
                raise InputError(
                    "no pair has countable tokens on both sides; see punctuation and special_tokens"
                )
        window.sort(key=lambda example: example.length)
        starts = np.arange(0, len(window), batch_size)
        generator.shuffle(starts)
        yield [window[start : start + batch_size] for start in starts]


def draw_batches(
    examples: Mapping[str, Sequence[Example]],
    *,
    batch_size: int,
    alpha: float,
    anchor: float,
    seed: int,
) -> Iterator[list[Example]]:
    """Yield the batches of `draw_windows`, of examples in memory, without end."""
    windows = draw_windows(
        {language: len(found) for language, found in examples.items()},
        lambda places: [examples[language][place] for language, place in places],
        batch_size=batch_size,
        alpha=alpha,
        anchor=anchor,
        seed=seed,
    )
    for window in windows:
        yield from window


def endless(size: int, generator: np.random.Generator) -> Iterator[int]:
    """Yield the numbers below `size` in shuffled order, in a new order every time."""
    while True:
        for number in generator.permutation(size):
            yield int(number)


def with_negatives(
    batch: Sequence[Example],
    pool: int,
    negatives: int,
    generator: np.random.Generator,
    nearest: Callable[[Sequence[int]], npt.NDArray[np.int64]] | None = None,
) -> list[int]:
    """Return the rows of a batch's targets and of at most `negatives` further sentences.

    Parameters
    ----------
    batch : sequence of Example
        B examples.
    pool : int
        Number of rows, from 0 on, that further sentences are drawn from.
    negatives : int
        Number of further sentences.
    generator : numpy.random.Generator
        Draws them.
    nearest : callable, optional
        Returns the rows (R, n) nearest to each of R rows, -1 for none; further sentences are drawn from those
        nearest to the batch's targets.

    Returns
    -------
    list of int, N
        The batch's own targets in order, then sentences of the pool.
    """
    rows = [example.target for example in batch]
    if negatives:
        own = set(rows)
        if nearest is None:
            drawn = generator.choice(pool, size=min(pool, negatives + len(own)), replace=False)
        else:
            near = np.unique(nearest(list(own)))
            drawn = generator.permutation(near[near >= 0])
        rows += [row for row in drawn.tolist() if row not in own][:negatives]
    return rows


def excluded(sentences: Sequence[bytes], batch: int) -> Tensor:
    """Return which of N sentences are no negatives of the first B, by what identifies each sentence.

    One English sentence, perhaps in several spellings, may be paired with several languages, and must not be
    a negative of its own.

    Returns
    -------
    Tensor (B, N), bool
        True if a sentence is the query's own translation in another row.
    """
    numbers: dict[bytes, int] = {}
    spelled = torch.tensor([numbers.setdefault(sentence, len(numbers)) for sentence in sentences])
    same = spelled[None, :] == spelled[:batch, None]
    same[torch.arange(batch), torch.arange(batch)] = False
    return same
