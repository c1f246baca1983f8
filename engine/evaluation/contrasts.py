"""Contrasts between two systems over languages: weighted means of differences, with tests and intervals.

A contrast is a weighted sum of the mean differences of languages. With weights 1/L it is the mean over L
languages. With weights 1/H for H high-resource and -1/L for L low-resource languages it is the change of the
gap between them. The units of tests are topics, each a sentence with its translations (see
`engine.evaluation.significance`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from engine.errors import InputError
from engine.evaluation.significance import RESAMPLES, holm, topic_of

Array = npt.NDArray[np.float64]
Differences = Mapping[str, Mapping[str, float]]
"""A difference of scores by language and query id."""

_TOLERANCE = 1e-12  # sums in another order count as equal
_EXACT = 16  # up to this many languages, all (at most 65,536) sign patterns are tried


@dataclass(frozen=True)
class Contrast:
    """A weighted mean of differences.

    Attributes
    ----------
    delta : float
        The contrast.
    low, high : float
        Ends of its 95 % bootstrap interval over topics.
    p : float
        Two-sided p value of the randomisation test that swaps the systems' scores of a topic.
    p_holm : float
        The p value after Holm's correction over the contrasts made together.
    """

    delta: float
    low: float
    high: float
    p: float
    p_holm: float


def contrasts(
    comparisons: Sequence[tuple[Differences, Mapping[str, float]]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Contrast]:
    """Return the contrast of each comparison, with Holm's correction over all of them.

    Parameters
    ----------
    comparisons : sequence of (differences, weights)
        Weights are by language; a language without a weight is ignored.
    seed : int
        Seed of the resamples, which all comparisons share.
    resamples : int
        Number of resamples of the test and of the bootstrap.

    Raises
    ------
    InputError
        If there is no query, or a language with a weight has none.
    """
    topics: dict[str, int] = {}
    for differences, weights in comparisons:
        for language in weights:
            if not differences.get(language):
                raise InputError(f"there are no queries in {language!r} to compare")
            for query in differences[language]:
                topics.setdefault(topic_of(query), len(topics))
    if not topics:
        raise InputError("there are no queries to compare")
    shares, residuals = np.zeros((2, len(topics), len(comparisons)))
    for place, (differences, weights) in enumerate(comparisons):
        for language, weight in weights.items():
            values = differences[language]
            mean = sum(values.values()) / len(values)
            for query, value in values.items():
                shares[topics[topic_of(query)], place] += weight / len(values) * value
                residuals[topics[topic_of(query)], place] += weight / len(values) * (value - mean)
    deltas = shares.sum(0)
    generator = np.random.default_rng(seed)
    beyond = np.zeros(len(comparisons))
    drawn = []
    for start in range(0, resamples, 1000):
        size = min(1000, resamples - start)
        signs = generator.integers(0, 2, (size, len(topics)), dtype=np.int8) * 2.0 - 1.0
        beyond += (np.abs(signs @ shares) >= np.abs(deltas) - _TOLERANCE).sum(0)
        counts = generator.multinomial(len(topics), np.full(len(topics), 1 / len(topics)), size)
        # Linearised, so that a draw with few or no queries of a language does not shift the language's mean.
        drawn.append(counts @ residuals)
    low, high = deltas + np.percentile(np.concatenate(drawn), (2.5, 97.5), axis=0)
    p_values = ((beyond + 1) / (resamples + 1)).tolist()
    return [
        Contrast(float(deltas[place]), float(low[place]), float(high[place]), p_values[place], corrected)
        for place, corrected in enumerate(holm(p_values))
    ]


def sign_flip(values: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES) -> float:
    """Return the two-sided p value of the mean of `values` (n,) in a sign-flip test.

    Under the null hypothesis, both signs of each value are equally likely. For up to 16 values all sign
    patterns are tried, so that p is exact. For more values, `resamples` patterns are drawn.
    """
    given = np.asarray(values, dtype=np.float64)
    if len(given) <= _EXACT:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(given))))
        return float(np.mean(np.abs(signs @ given) >= abs(given.sum()) - _TOLERANCE))
    drawn = np.random.default_rng(seed).integers(0, 2, (resamples, len(given))) * 2.0 - 1.0
    beyond = int((np.abs(drawn @ given) >= abs(given.sum()) - _TOLERANCE).sum())
    return (beyond + 1) / (resamples + 1)
