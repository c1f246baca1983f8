"""Compare two runs by paired tests and intervals over the same queries.

The units are queries: both runs score each query, and the differences are tested. The randomisation test
swaps the scores of a query at random, which changes nothing under the null hypothesis of no difference
(Smucker, Allan and Carterette 2007, "A comparison of statistical significance tests for information retrieval
evaluation"). Its p value is (b + 1) / (n + 1), where b of n resamples are at least as extreme as the observed
difference, so it is never zero. Intervals are percentile bootstrap intervals.

Both describe the variation over queries for these checkpoints. They do not say what other seeds of the same
recipes would give; `engine.evaluation.seed_model` tests that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import InputError
from engine.evaluation.resampling import bootstrap_sums, sign_flip_p

Array = npt.NDArray[np.float64]

RESAMPLES = 9_999


@dataclass(frozen=True)
class Comparison:
    """The differences between the scores of a system and a baseline on the same queries.

    Attributes
    ----------
    delta : float
        Mean difference, system minus baseline.
    low, high : float
        Ends of its 95 % bootstrap interval; both equal `delta` if there is only one query.
    p : float
        Two-sided p value of the paired randomisation test.
    p_holm : float
        The p value after Holm's correction over the comparisons made together; `p` if there is one.
    wins, ties, losses : int
        Numbers of queries on which the system is better, equal and worse.
    queries : int
    """

    delta: float
    low: float
    high: float
    p: float
    p_holm: float
    wins: int
    ties: int
    losses: int
    queries: int


@dataclass(frozen=True)
class LanguageComparison:
    """Comparisons by language and of the mean over languages, corrected over all of them."""

    languages: dict[str, Comparison]
    mean: Comparison


def compare(
    baseline: Mapping[str, float],
    system: Mapping[str, float],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two runs by their scores of the same queries.

    Parameters
    ----------
    baseline, system : mapping of query id to score
    seed : int
        Seed of the resamples.
    resamples : int
        Number of resamples of the test and of the bootstrap.

    Raises
    ------
    InputError
        If the two do not have the same queries, or there is none.
    """
    return compare_languages({"": baseline}, {"": system}, seed=seed, resamples=resamples).languages[""]


def compare_languages(
    baseline: Mapping[str, Mapping[str, float]],
    system: Mapping[str, Mapping[str, float]],
    *,
    clusters: Mapping[str, str] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> LanguageComparison:
    """Compare two runs in each language and by their mean over languages, with Holm's correction over all.

    All languages have the same weight in the mean. Queries whose ids are equal after the first colon are one
    topic: a sentence and its translations. The test and the interval of the mean swap and draw whole topics,
    because the scores of a topic's queries are correlated.

    Parameters
    ----------
    baseline, system : mapping of language to mapping of query id to score
    clusters : mapping of topic to cluster, optional
        Topics that depend on each other; they are swapped and drawn together, in single languages too.
    seed, resamples : int
        As in `compare`.

    Raises
    ------
    InputError
        If the two do not have the same languages and queries, or there is no query.
    """
    _same(baseline, system, "languages")
    generator = np.random.default_rng(seed)
    differences: dict[str, dict[str, float]] = {}
    for language in sorted(baseline):
        _same(baseline[language], system[language], f"queries in {language!r}" if language else "queries")
        differences[language] = {
            query: system[language][query] - baseline[language][query] for query in sorted(baseline[language])
        }
    compared = {
        language: _compare_mean({language: values}, generator, resamples, clusters)
        if clusters
        else _compare(np.array(list(values.values())), generator, resamples)
        for language, values in differences.items()
    }
    mean = _compare_mean(differences, generator, resamples, clusters or {})
    if len(compared) == 1:  # the mean is that of the language, and one test
        return LanguageComparison(compared, next(iter(compared.values())))
    *corrected, of_mean = holm([*(comparison.p for comparison in compared.values()), mean.p])
    return LanguageComparison(
        {
            language: replace(comparison, p_holm=p)
            for (language, comparison), p in zip(compared.items(), corrected, strict=True)
        },
        replace(mean, p_holm=of_mean),
    )


def topic_of(query: str) -> str:
    """Return the topic of a query: its id without the language."""
    return query.partition(":")[2] or query


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for multiple tests (Holm 1979), in the given order."""
    order = np.argsort(p_values, kind="stable")
    count = len(p_values)
    adjusted = np.empty(count)
    scaled = np.asarray(p_values, dtype=np.float64)[order] * (count - np.arange(count))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(p) for p in adjusted]


def mean_interval(values: Array, *, seed: int = 0, resamples: int = 1_999) -> tuple[float, float] | None:
    """Return the ends of the 95 % bootstrap interval of the mean of `values` (n,); None if n < 2."""
    if len(values) < 2:
        return None
    return _interval(values, np.random.default_rng(seed), resamples)


def _compare(differences: Array, generator: np.random.Generator, resamples: int) -> Comparison:
    delta = float(differences.mean())
    low, high = _interval(differences, generator, resamples) if len(differences) > 1 else (delta, delta)
    p = _randomisation(differences, generator, resamples)
    return _with_counts(differences, delta, low, high, p)


def _compare_mean(
    differences: Mapping[str, Mapping[str, float]],
    generator: np.random.Generator,
    resamples: int,
    clusters: Mapping[str, str],
) -> Comparison:
    everything = np.array([value for values in differences.values() for value in values.values()])
    topics: dict[str, int] = {}
    shares = np.zeros(len(everything))
    residuals = np.zeros(len(everything))
    for values in differences.values():
        mean = sum(values.values()) / len(values)
        for query, value in values.items():
            name = topic_of(query)
            topic = topics.setdefault(clusters.get(name, f"topic {name}"), len(topics))
            weight = 1 / (len(values) * len(differences))
            shares[topic] += weight * value
            residuals[topic] += weight * (value - mean)
    delta = float(shares.sum())
    low = high = delta
    if len(topics) > 1:
        # Linearised, so that a draw with few or no queries of a language does not shift the language's mean.
        below, above = _percentiles(bootstrap_sums(residuals[: len(topics)], generator, resamples))
        low, high = delta + below, delta + above
    p = _randomisation(shares, generator, resamples)
    return _with_counts(everything, delta, low, high, p)


def _with_counts(differences: Array, delta: float, low: float, high: float, p: float) -> Comparison:
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    ties = len(differences) - wins - losses
    return Comparison(delta, low, high, p, p, wins, ties, losses, len(differences))


def _randomisation(differences: Array, generator: np.random.Generator, resamples: int) -> float:
    """Return the two-sided p value of a test that flips the signs of `differences` (n,) at random."""
    moving = differences[differences != 0]  # the sign of zero has no effect
    if not len(moving):
        return 1.0

    return sign_flip_p(moving, generator, resamples)


def _interval(values: Array, generator: np.random.Generator, resamples: int) -> tuple[float, float]:
    below, above = _percentiles(bootstrap_sums(values, generator, resamples))
    return below / len(values), above / len(values)


def _percentiles(sums: Array) -> tuple[float, float]:
    low, high = np.percentile(sums, (2.5, 97.5))
    return float(low), float(high)


def _same(baseline: Mapping[str, Any], system: Mapping[str, Any], what: str) -> None:
    """Raise if the keys of two mappings differ, or there are no keys."""
    if not baseline and not system:
        raise InputError(f"there are no {what} to compare")
    for here, there, name in ((baseline, system, "second"), (system, baseline, "first")):
        lacking = sorted(set(here) - set(there))
        if lacking:
            raise InputError(
                f"the two runs cannot be compared: the {name} lacks {len(lacking):,} of the {what}, such as "
                f"{lacking[0]!r}"
            )
