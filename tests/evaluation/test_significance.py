"""Paired tests and intervals against enumeration, scipy's own tests, statsmodels and closed forms."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from engine.errors import InputError
from engine.evaluation.significance import compare, compare_languages, holm, mean_interval


def runs(differences: np.ndarray, prefix: str = "q") -> tuple[dict[str, float], dict[str, float]]:
    baseline = {f"{prefix}{index}": 0.5 for index in range(len(differences))}
    return baseline, {f"{prefix}{index}": 0.5 + float(value) for index, value in enumerate(differences)}


def test_p_is_the_share_of_sign_flips_at_least_as_far_out() -> None:
    differences = np.array([0.4, 0.3, -0.1, 0.25, 0.2, -0.05, 0.35, 0.15])
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((-1, 1), repeat=8)]
    exact = np.mean([value >= abs(differences.sum()) - 1e-12 for value in sums])
    p = compare(*runs(differences)).p
    assert p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 9_999) + 2e-4)


@pytest.mark.parametrize("shift", [0.0, 0.008, 0.02])
def test_p_agrees_with_scipys_permutation_test(shift: float) -> None:
    differences = np.random.default_rng(3).normal(shift, 0.1, 200)
    theirs = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=4_999, vectorized=True, rng=0
    ).pvalue
    assert compare(*runs(differences)).p == pytest.approx(theirs, abs=5 * math.sqrt(theirs / 4_999) + 1e-3)


def test_p_is_never_zero_and_counts_its_resamples() -> None:
    assert compare(*runs(np.full(200, 0.3)), resamples=999).p == pytest.approx(2 / 1000)


def test_p_is_uniform_where_nothing_differs() -> None:
    generator = np.random.default_rng(0)
    p_values = [
        compare(*runs(generator.standard_t(3, 40)), seed=trial, resamples=499).p for trial in range(200)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.09


def test_the_interval_is_that_of_normal_theory_for_many_queries() -> None:
    differences = np.random.default_rng(1).normal(0.02, 0.1, 900)
    comparison = compare(*runs(differences))
    half = 1.96 * differences.std(ddof=1) / math.sqrt(900)
    assert comparison.delta == pytest.approx(differences.mean())
    assert comparison.low == pytest.approx(comparison.delta - half, abs=0.06 * half)
    assert comparison.high == pytest.approx(comparison.delta + half, abs=0.06 * half)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    held = 0
    for trial in range(150):
        comparison = compare(*runs(generator.normal(0.1, 1.0, 60)), seed=trial, resamples=499)
        held += comparison.low <= 0.1 <= comparison.high
    assert 0.88 <= held / 150 <= 0.99


def test_wins_ties_and_losses_are_counted() -> None:
    comparison = compare({"a": 0.1, "b": 0.5, "c": 0.5, "d": 1.0}, {"a": 0.2, "b": 0.5, "c": 0.5, "d": 0.9})
    assert (comparison.wins, comparison.ties, comparison.losses, comparison.queries) == (1, 2, 1, 4)
    assert comparison.delta == pytest.approx(0.0)


@pytest.mark.parametrize("count", [1, 2, 50])
def test_equal_runs_differ_by_nothing(count: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        comparison = compare(*runs(np.zeros(count)))
    assert (comparison.delta, comparison.low, comparison.high, comparison.p) == (0.0, 0.0, 0.0, 1.0)


def test_one_query_says_nothing() -> None:
    comparison = compare({"a": 0.1}, {"a": 0.4})
    assert comparison.p == 1.0 and comparison.low == comparison.high == pytest.approx(0.3)
    assert mean_interval(np.array([0.4])) is None


def test_the_same_seed_gives_the_same_figures_whatever_the_order_of_the_queries() -> None:
    baseline, system = runs(np.random.default_rng(5).normal(0, 1, 30))
    backwards = dict(reversed(list(system.items())))
    assert compare(baseline, system, seed=4) == compare(baseline, backwards, seed=4)
    assert compare(baseline, system, seed=4) != compare(baseline, system, seed=5)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)  # statsmodels collects garbage at every call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1], atol=1e-12)


def test_languages_are_corrected_together() -> None:
    generator = np.random.default_rng(8)
    pairs = {code: runs(generator.normal(0.03, 0.1, 80), f"{code}:") for code in ("mr", "so", "sw")}
    compared = compare_languages({c: b for c, (b, _) in pairs.items()}, {c: s for c, (_, s) in pairs.items()})
    p_values = [compared.languages[code].p for code in sorted(pairs)]
    corrected = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose([compared.languages[code].p_holm for code in sorted(pairs)], corrected)


def test_the_mean_weighs_languages_alike_however_many_queries_they_have() -> None:
    small, large = runs(np.array([0.3, 0.5]), "so:a"), runs(np.linspace(-0.1, 0.1, 50) + 0.02, "sw:b")
    compared = compare_languages({"so": small[0], "sw": large[0]}, {"so": small[1], "sw": large[1]})
    assert compared.mean.delta == pytest.approx((0.4 + 0.02) / 2)
    assert compared.mean.queries == 52
    # the standard error of (mean of so + mean of sw) / 2, which two queries alone decide
    error = math.sqrt(np.var([0.3, 0.5]) / 2 + np.var(np.linspace(-0.1, 0.1, 50)) / 50) / 2
    assert compared.mean.high - compared.mean.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert compared.mean.low <= compared.mean.delta <= compared.mean.high


def test_translations_of_one_query_are_not_independent_evidence() -> None:
    """Four copies of one language tell no more than one; four languages of other sentences do."""
    differences = np.random.default_rng(6).normal(0.012, 0.1, 150)
    alone = compare(*runs(differences, "so:"))
    codes = ("mr", "so", "sw", "tl")
    copies = {code: runs(differences, f"{code}:") for code in codes}
    others = {code: runs(differences, f"{code}:{code}-") for code in codes}
    mean, independent = (
        compare_languages({c: b for c, (b, _) in x.items()}, {c: s for c, (_, s) in x.items()}).mean
        for x in (copies, others)
    )
    assert mean.delta == pytest.approx(alone.delta)
    assert mean.p == pytest.approx(alone.p, abs=0.03)
    assert mean.high - mean.low == pytest.approx(alone.high - alone.low, rel=0.08)
    assert independent.p < alone.p / 2
    assert independent.high - independent.low == pytest.approx((alone.high - alone.low) / 2, rel=0.08)


def test_the_interval_of_a_single_mean_covers_it() -> None:
    values = np.random.default_rng(9).beta(0.5, 0.5, 400)
    low, high = mean_interval(values) or (0.0, 0.0)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.12 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.12 * half)


def test_runs_over_other_queries_are_refused() -> None:
    with pytest.raises(InputError, match=r"the second lacks 1 of the queries, such as 'b'"):
        compare({"a": 0.1, "b": 0.2}, {"a": 0.1})
    with pytest.raises(InputError, match=r"the first lacks 1 of the queries in 'so', such as 'c'"):
        compare_languages({"so": {"a": 0.1}}, {"so": {"a": 0.1, "c": 0.3}})
    with pytest.raises(InputError, match=r"the first lacks 1 of the languages, such as 'sw'"):
        compare_languages({"so": {"a": 0.1}}, {"so": {"a": 0.1}, "sw": {"a": 0.1}})
    with pytest.raises(InputError, match="no queries to compare"):
        compare({}, {})
