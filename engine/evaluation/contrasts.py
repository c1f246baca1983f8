"""Contrasts between two systems over languages: weighted means of differences, with tests and intervals.

A contrast weighs each language's mean difference: 1/L each is the mean over languages, 1/H for high- and -1/L
for low-resource languages is the change of the gap between them. Units are topics, a sentence together with
its translations, which are swapped and drawn as wholes (see `engine.evaluation.significance`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from engine.errors import InputError
from engine.evaluation.significance import RESAMPLES, holm

Array = npt.NDArray[np.float64]
Differences = Mapping[str, Mapping[str, float]]
"""A difference of scores by language and query id."""

_TOLERANCE = 1e-12  # sums in another order are the same sum
_EXACT = 16  # so many languages have 65,536 sign patterns, which are all looked at


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
        The same after Holm's correction over the contrasts made together.
    """

    delta: float
    low: float
    high: float
    p: float
    p_holm: float


def contrasts(
    questions: Sequence[tuple[Differences, Mapping[str, float]]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Contrast]:
    """Return the contrast of each question, Holm-corrected over all of them.

    Parameters
    ----------
    questions : sequence of (differences, weights)
        Weights are by language; a language without one counts for nothing.
    seed : int
        Draws the resamples, which all questions share.
    resamples : int
        Of the test and of the bootstrap, each.

    Raises
    ------
    InputError
        When there is no query, or a weighted language has none.
    """
    topics: dict[str, int] = {}
    for differences, weights in questions:
        for language in weights:
            if not differences.get(language):
                raise InputError(f"there are no queries in {language!r} to compare")
            for query in differences[language]:
                topics.setdefault(_topic(query), len(topics))
    if not topics:
        raise InputError("there are no queries to compare")
    shares, residuals = np.zeros((2, len(topics), len(questions)))
    for place, (differences, weights) in enumerate(questions):
        for language, weight in weights.items():
            values = differences[language]
            mean = sum(values.values()) / len(values)
            for query, value in values.items():
                shares[topics[_topic(query)], place] += weight / len(values) * value
                residuals[topics[_topic(query)], place] += weight / len(values) * (value - mean)
    deltas = shares.sum(0)
    generator = np.random.default_rng(seed)
    beyond = np.zeros(len(questions))
    drawn = []
    for start in range(0, resamples, 1000):
        size = min(1000, resamples - start)
        signs = generator.integers(0, 2, (size, len(topics)), dtype=np.int8) * 2.0 - 1.0
        beyond += (np.abs(signs @ shares) >= np.abs(deltas) - _TOLERANCE).sum(0)
        counts = generator.multinomial(len(topics), np.full(len(topics), 1 / len(topics)), size)
        # Linearised: a draw may have few queries of one language, or none, without that moving its mean.
        drawn.append(counts @ residuals)
    low, high = deltas + np.percentile(np.concatenate(drawn), (2.5, 97.5), axis=0)
    p_values = ((beyond + 1) / (resamples + 1)).tolist()
    return [
        Contrast(float(deltas[place]), float(low[place]), float(high[place]), p_values[place], corrected)
        for place, corrected in enumerate(holm(p_values))
    ]


def corrected(found: Sequence[Contrast]) -> list[Contrast]:
    """Return `found` with Holm's correction over just these."""
    return [
        replace(contrast, p_holm=p)
        for contrast, p in zip(found, holm([contrast.p for contrast in found]), strict=True)
    ]


def sign_flip(values: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES) -> float:
    """Return the two-sided p value of the mean of `values` (n,) when each may as well have the other sign.

    All sign patterns are looked at up to 16 values, so that p is exact; beyond, `resamples` are drawn.
    """
    given = np.asarray(values, dtype=np.float64)
    if len(given) <= _EXACT:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(given))))
        return float(np.mean(np.abs(signs @ given) >= abs(given.sum()) - _TOLERANCE))
    drawn = np.random.default_rng(seed).integers(0, 2, (resamples, len(given))) * 2.0 - 1.0
    beyond = int((np.abs(drawn @ given) >= abs(given.sum()) - _TOLERANCE).sum())
    return (beyond + 1) / (resamples + 1)


def _topic(query: str) -> str:
    return query.partition(":")[2] or query
