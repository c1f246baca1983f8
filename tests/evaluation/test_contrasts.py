"""Contrasts against closed forms and against scipy's own tests on made-up numbers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from engine.errors import InputError
from engine.evaluation.contrasts import contrasts, sign_flip
from engine.evaluation.significance import compare_languages

GENERATOR = np.random.default_rng(3)


def made_up(mean: float, languages: str, queries: int, scale: float = 0.2) -> dict[str, dict[str, float]]:
    """Return differences by language and query; the same sentence has the same topic in all languages."""
    topics = GENERATOR.normal(0, scale, queries)
    return {
        code: {
            f"{code}:{place}": float(mean + topics[place] + GENERATOR.normal(0, scale))
            for place in range(queries)
        }
        for code in languages.split()
    }


def test_a_gap_is_the_difference_of_the_groups_means() -> None:
    differences = {"de": {"de:1": 0.5, "de:2": 0.1}, "so": {"so:1": -0.2}, "sw": {"sw:1": 0.4, "sw:3": 0.0}}
    (found,) = contrasts([(differences, {"de": 1.0, "so": -0.5, "sw": -0.5})])
    assert found.delta == pytest.approx(0.3 - (-0.2 + 0.2) / 2)


def test_the_p_value_is_that_of_all_swaps_of_topics() -> None:
    differences = made_up(0.05, "so sw mr", 9)
    weights = {"so": 1.0, "sw": -0.5, "mr": -0.5}
    (found,) = contrasts([(differences, weights)])
    shares = [
        sum(weight / 9 * differences[code][f"{code}:{topic}"] for code, weight in weights.items())
        for topic in range(9)
    ]
    sums = np.array([np.dot(signs, shares) for signs in product((-1, 1), repeat=9)])
    exact = np.mean(np.abs(sums) >= abs(sum(shares)) - 1e-12)
    assert found.p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 9999))


def test_the_mean_over_languages_agrees_with_the_comparison_of_runs() -> None:
    differences = made_up(0.03, "so sw", 200)
    zero = {code: dict.fromkeys(values, 0.0) for code, values in differences.items()}
    expected = compare_languages(zero, differences).mean
    (found,) = contrasts([(differences, {"so": 0.5, "sw": 0.5})])
    assert found.delta == pytest.approx(expected.delta)
    assert found.low == pytest.approx(expected.low, abs=0.004)
    assert found.high == pytest.approx(expected.high, abs=0.004)
    assert found.p == pytest.approx(expected.p, abs=0.02)


def test_one_language_has_scipys_bootstrap_interval() -> None:
    differences = made_up(0.1, "tl", 120)
    values = np.array(list(differences["tl"].values()))
    expected = stats.bootstrap((values,), np.mean, method="percentile", random_state=1).confidence_interval
    (found,) = contrasts([(differences, {"tl": 1.0})])
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.005)


def test_holm_corrects_over_what_is_asked_together() -> None:
    clear, unclear = made_up(0.3, "so", 100), made_up(0.0, "so", 100)
    first, second = contrasts([(clear, {"so": 1.0}), (unclear, {"so": 1.0})])
    assert first.p == pytest.approx(1 / 10_000) and first.p_holm == pytest.approx(2 / 10_000)
    assert second.p_holm == second.p  # the larger of two is not raised
    (alone,) = contrasts([(clear, {"so": 1.0})])
    assert alone.p_holm == first.p


def test_languages_as_units_are_scipys_paired_permutation() -> None:
    values = [0.02, 0.05, -0.01, 0.04, 0.03, 0.06, -0.02]
    expected = stats.permutation_test((values, np.zeros(7)), lambda x, y, axis: np.mean(x - y, axis=axis),
                                      permutation_type="samples", vectorized=True)  # fmt: skip
    assert sign_flip(values) == pytest.approx(expected.pvalue)
    assert sign_flip([0.0, 0.0]) == 1.0
    many = np.random.default_rng(0).normal(0.05, 0.1, 24)
    assert sign_flip(many) == pytest.approx(stats.ttest_1samp(many, 0).pvalue, abs=0.02)


def test_a_language_without_queries_is_refused() -> None:
    with pytest.raises(InputError, match="no queries in 'sw'"):
        contrasts([({"so": {"so:1": 1.0}}, {"so": 0.5, "sw": 0.5})])
