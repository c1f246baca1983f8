"""Resampled sums against enumeration and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from engine.evaluation.resampling import bootstrap_sums, sign_flip_p, sign_flip_sums


@pytest.mark.parametrize("count", [1, 7, 8, 9, 17])
def test_flipped_sums_are_those_of_all_signs(count):
    values = np.random.default_rng(1).normal(size=count)
    sums = sign_flip_sums(values, np.random.default_rng(0), 40_000)
    if count < 10:
        signs = np.array(list(itertools.product((-1, 1), repeat=count)))
        found, often = np.unique(np.round(sums, 9), return_counts=True)
        assert np.allclose(found, np.unique(np.round(signs @ values, 9)))
        assert stats.chisquare(often).pvalue > 0.001
    assert abs(sums.mean()) < 5 * np.sqrt((values**2).sum() / 40_000)
    assert sums.var() == pytest.approx((values**2).sum(), rel=0.05)


@pytest.mark.parametrize("distinct", [3, 5_000])
def test_bootstrap_sums_have_the_distribution_of_scipys(distinct):
    draw = np.random.default_rng(2)
    values = draw.integers(0, distinct, 900) / distinct
    ours = bootstrap_sums(values, np.random.default_rng(0), 4_000) / 900
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4_000, rng=draw, method="percentile")
    assert stats.ks_2samp(ours, theirs.bootstrap_distribution).pvalue > 0.001


def test_p_equals_scipys_for_the_same_signs_and_counts_ties():
    values = np.array([0.1, 0.1, 0.1, -0.1, 0.3, 0.1])
    signs = np.array(list(itertools.product((-1, 1), repeat=6)))
    sums = signs @ values
    tail = (sums >= values.sum() - 1e-9).mean()
    assert sign_flip_p(values, np.random.default_rng(0), 99_999) == pytest.approx(2 * tail, rel=0.05)


def test_more_values_than_a_block_holds():
    values = np.random.default_rng(3).normal(size=70_000)
    sums = bootstrap_sums(values, np.random.default_rng(0), 300)
    assert sums.std() == pytest.approx(values.std() * np.sqrt(70_000), rel=0.15)
    assert sign_flip_sums(values, np.random.default_rng(0), 300).std() == pytest.approx(sums.std(), rel=0.2)
