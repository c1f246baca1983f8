"""Which pairs make a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from engine.errors import InputError
from engine.training.distillation.batches import (
    WINDOW,
    Example,
    draw_batches,
    draw_windows,
    excluded,
    with_negatives,
)


def make(sizes: dict[str, int]) -> dict[str, list[Example]]:
    generator = np.random.default_rng(1)
    return {
        language: [
            Example(f"{language}{i}", language, i, int(generator.integers(4, 60))) for i in range(count)
        ]
        for language, count in sizes.items()
    }


def drawn(sizes: dict[str, int], batches: int, **settings: float) -> list[list[Example]]:
    settings = {"batch_size": 10, "alpha": 1.0, "anchor": 0.0, "seed": 3, **settings}
    return list(islice(draw_batches(make(sizes), **settings), batches))  # type: ignore[arg-type]


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_languages_come_in_proportion_to_a_power_of_their_size(alpha: float) -> None:
    sizes = {"sw": 50, "mr": 200, "so": 800}
    counts = Counter(e.language for batch in drawn(sizes, 40 * WINDOW, alpha=alpha) for e in batch)
    weights = np.array([size**alpha for size in sizes.values()])
    expected = weights / weights.sum() * counts.total()
    assert stats.chisquare([counts[language] for language in sizes], expected).pvalue > 1e-4


def test_the_anchor_has_its_share_whatever_its_size() -> None:
    sizes = {"sw": 100, "mr": 300, "en": 5000}
    counts = Counter(e.language for batch in drawn(sizes, 40 * WINDOW, anchor=0.2) for e in batch)
    expected = np.array([0.8 * 0.25, 0.8 * 0.75, 0.2]) * counts.total()
    assert stats.chisquare([counts[language] for language in sizes], expected).pvalue > 1e-4
    plain = Counter(e.language for batch in drawn(sizes, 40 * WINDOW) for e in batch)
    expected = np.array(list(sizes.values())) * plain.total() / 5400
    assert stats.chisquare([plain[language] for language in sizes], expected).pvalue > 1e-4


def test_every_example_is_used_before_any_comes_again() -> None:
    sizes = {"sw": 37, "mr": 111}
    for windows in (1, 3, 7):
        counts = Counter(e.text for batch in drawn(sizes, windows * WINDOW) for e in batch)
        for language, size in sizes.items():
            uses = [counts[f"{language}{i}"] for i in range(size)]
            assert max(uses) - min(uses) <= 1


def test_an_epoch_of_one_language_has_every_example_once() -> None:
    counts = Counter(e.text for batch in drawn({"sw": 10 * WINDOW}, WINDOW) for e in batch)
    assert set(counts.values()) == {1} and len(counts) == 10 * WINDOW


def test_the_seed_decides() -> None:
    sizes = {"sw": 60, "mr": 90}
    assert drawn(sizes, 50) == drawn(sizes, 50)
    assert drawn(sizes, 50) != drawn(sizes, 50, seed=4)


def test_batches_of_a_window_hold_sentences_of_like_length() -> None:
    batches = drawn({"sw": 500}, WINDOW)
    assert {len(batch) for batch in batches} == {10}
    spans = sorted((min(e.length for e in batch), max(e.length for e in batch)) for batch in batches)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert [batch[0].length for batch in batches] != sorted(batch[0].length for batch in batches)


def batch_of(*targets: int) -> list[Example]:
    return [Example(f"text {place}", "sw", target, 5) for place, target in enumerate(targets)]


def test_a_translation_in_another_row_is_no_negative() -> None:
    rows = with_negatives(batch_of(7, 4, 7), 100, 0, np.random.default_rng(1))
    assert rows == [7, 4, 7]
    assert excluded([b"seven", b"four", b"seven"], 3).nonzero().tolist() == [[0, 2], [2, 0]]


def test_another_spelling_of_the_translation_is_no_negative() -> None:
    found = excluded([b"seven", b"seven", b"five", b"seven"], 3)
    assert found.shape == (3, 4)
    assert found.nonzero().tolist() == [[0, 1], [0, 3], [1, 0], [1, 3]]


@pytest.mark.parametrize("nearest", [False, True])
def test_negatives_are_further_sentences_of_the_pool(nearest: bool) -> None:
    generator = np.random.default_rng(2)

    def near(rows: Sequence[int]) -> NDArray[np.int64]:
        found = np.array([np.delete(np.roll(np.arange(100), -row), 0)[:20] for row in rows])
        return np.where(np.isin(found, [3, 21]), -1, found)  # -1 stands where there are fewer

    seen: set[int] = set()
    for _ in range(200):
        rows = with_negatives(batch_of(1, 2, 40), 100, 8, generator, near if nearest else None)
        assert rows[:3] == [1, 2, 40]
        assert len(set(rows)) == len(rows) == 11
        seen |= set(rows[3:])
    of_both = {*range(2, 22), *range(3, 23), *range(41, 61)}
    possible = of_both - {2, 3, 21} if nearest else set(range(100)) - {1, 2, 40}
    assert seen == possible


def test_few_sentences_give_few_negatives() -> None:
    rows = with_negatives(batch_of(0, 1), 4, 50, np.random.default_rng(1))
    assert sorted(rows) == [0, 1, 2, 3]


def test_an_example_that_cannot_be_used_is_replaced_by_another_of_its_language() -> None:
    def examples(places: Sequence[tuple[str, int]]) -> list[Example | None]:
        return [
            None if language == "sw" and place % 2 else Example(f"{language} {place}", language, place, 4)
            for language, place in places
        ]

    settings: dict[str, Any] = {"batch_size": 10, "alpha": 1.0, "anchor": 0.0, "seed": 3}
    windows = draw_windows({"sw": 40, "mr": 40}, examples, **settings)
    drawn = [example for window in islice(windows, 6) for batch in window for example in batch]
    assert len(drawn) == 6 * WINDOW * 10
    counts = Counter(example.language for example in drawn)
    assert abs(counts["sw"] - counts["mr"]) < 150
    assert {e.target for e in drawn if e.language == "sw"} == set(range(0, 40, 2))
    with pytest.raises(InputError, match="no pair has countable tokens on both sides"):
        next(draw_windows({"sw": 40}, lambda places: [None] * len(places), **settings))
