"""Language sampling compared with its formulas and the published algorithm of UniMax."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from engine.bitext.sampling import over_all, part_at, phases, unimax
from engine.config.pretraining import SamplingConfig
from engine.errors import InputError

COUNTS = {"en": 64_000, "sw": 8_000, "so": 1_000}


def test_alpha_gives_the_ratios_of_the_formula() -> None:
    # n grows by a factor of 8 from language to language, so n^(1/3) grows by a factor of 2
    (shares,) = phases(SamplingConfig(alpha=1 / 3), COUNTS, 1000)
    assert shares["en"] / shares["sw"] == pytest.approx(2) and shares["sw"] / shares["so"] == pytest.approx(2)
    (even,) = phases(SamplingConfig(alpha=0), COUNTS, 1000)
    assert list(even.values()) == pytest.approx([1 / 3] * 3)
    (data,) = phases(SamplingConfig(alpha=1), COUNTS, 1000)
    assert data == pytest.approx({"en": 64 / 73, "sw": 8 / 73, "so": 1 / 73})


def test_annealing_uses_its_values_in_equal_parts() -> None:
    parts = phases(SamplingConfig(strategy="annealed", schedule=[1.0, 0.5, 0.0]), COUNTS, 1000)
    assert parts[0]["en"] == pytest.approx(64 / 73)
    assert parts[1]["en"] / parts[1]["so"] == pytest.approx(8)
    assert parts[2]["en"] == pytest.approx(1 / 3)
    places = [part_at(step, 300, 3) for step in range(300)]
    assert places == [0] * 100 + [1] * 100 + [2] * 100
    assert [part_at(step, 7, 3) for step in range(7)] == sorted(part_at(step, 7, 3) for step in range(7))
    assert over_all(parts)["sw"] == pytest.approx(np.mean([part["sw"] for part in parts]))


def published(counts: list[int], budget: float, epochs: float) -> list[float]:
    """Algorithm 1 of the UniMax paper as printed, for counts in ascending order."""
    remaining = budget
    allocated = []
    for i, count in enumerate(counts):
        per_language = remaining / (len(counts) - i)
        if per_language > count * epochs:
            allocated.append(count * epochs)
        else:
            allocated.append(per_language)
        remaining -= allocated[-1]
    return [amount / sum(allocated) for amount in allocated]


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=12), st.floats(0.5, 20), st.floats(0.001, 0.999))
def test_unimax_is_the_published_algorithm(counts: list[int], epochs: float, share: float) -> None:
    budget = max(1, int(epochs * sum(counts) * share))
    if budget > epochs * sum(counts):
        return
    found = unimax({f"l{i:02}": count for i, count in enumerate(counts)}, budget, epochs)
    expected = published(sorted(counts), budget, epochs)
    assert sorted(found.values()) == pytest.approx(sorted(expected))
    assert math.isclose(sum(found.values()), 1, rel_tol=1e-9)
    for i, count in enumerate(counts):
        assert found[f"l{i:02}"] * budget <= epochs * count * (1 + 1e-9)


def test_unimax_with_known_results() -> None:
    # no language reaches the cap: uniform
    assert unimax({"a": 100, "b": 200, "c": 900}, 90, 1) == pytest.approx(
        {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
    )
    # a is capped at 2 x 10; the other two share the remaining 180 equally
    assert unimax({"c": 900, "a": 10, "b": 200}, 200, 2) == pytest.approx({"a": 0.1, "b": 0.45, "c": 0.45})
    # all languages reach the cap: equal numbers of epochs
    assert unimax({"a": 10, "b": 30}, 160, 4) == pytest.approx({"a": 0.25, "b": 0.75})


def test_an_impossible_cap_is_refused_with_the_smallest_possible_one() -> None:
    with pytest.raises(InputError, match=r"raise sampling\.max_epochs to 5 or more"):
        unimax({"a": 100, "b": 100}, 1000, 4)


def test_a_language_without_text_is_refused_for_any_alpha() -> None:
    for alpha in (0.0, 0.3, 1.0):
        with pytest.raises(InputError, match="no text in so to draw"):
            phases(SamplingConfig(alpha=alpha), {"en": 10, "so": 0}, 100)


@pytest.mark.parametrize("alpha", [1.0, 0.7, 0.3, 0.0])
def test_drawn_languages_follow_the_formula(alpha: float) -> None:
    from engine.training.pretraining.corpus import Corpus, draw_blocks

    counts = {"en": 4000, "sw": 500, "so": 60}
    corpora = {
        name: Corpus(np.full(count, i + 10, np.int32), np.array([0, count]), 1, 0)
        for i, (name, count) in enumerate(counts.items())
    }
    parts = phases(SamplingConfig(alpha=alpha), counts, 10**6)
    drawn = dict.fromkeys(counts, 0)
    batches = draw_blocks(corpora, parts, first=0, batch_size=50, length=8, steps=100, seed=1)
    for languages, ids in batches:
        for row, language in enumerate(languages):
            drawn[language] += 1
            assert set(ids[row, 1:]) == {
                list(counts).index(language) + 10
            }  # a block contains only its language
    weights = np.array([count**alpha for count in counts.values()])
    assert chisquare(list(drawn.values()), weights / weights.sum() * 5000).pvalue > 0.01
