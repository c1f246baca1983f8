"""Which pairs make a step."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from engine.training.distillation.batches import (
    NEIGHBOURS,
    WINDOW,
    Example,
    draw_batches,
    nearest_neighbours,
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


EVERY = torch.arange(100)


def test_a_translation_in_another_row_is_no_negative() -> None:
    rows, excluded = with_negatives(batch_of(7, 4, 7), np.arange(100), EVERY, 0, np.random.default_rng(1))
    assert rows == [7, 4, 7]
    assert excluded.nonzero().tolist() == [[0, 2], [2, 0]]


def test_another_spelling_of_the_translation_is_no_negative() -> None:
    sentence = EVERY.clone()
    sentence[4] = sentence[9] = 7
    pool = np.array([9])
    rows, excluded = with_negatives(batch_of(7, 4, 5), pool, sentence, 1, np.random.default_rng(1))
    assert rows == [7, 4, 5, 9]
    assert excluded.nonzero().tolist() == [[0, 1], [0, 3], [1, 0], [1, 3]]


@pytest.mark.parametrize("nearest", [False, True])
def test_negatives_are_further_sentences_of_the_pool(nearest: bool) -> None:
    generator = np.random.default_rng(2)
    pool = np.delete(np.arange(100), [3, 50])
    neighbours = np.array([np.delete(np.roll(np.arange(100), -row), 0)[:20] for row in range(100)])
    batch = batch_of(1, 2, 40)
    seen: set[int] = set()
    for _ in range(50):
        given = neighbours if nearest else None
        rows, excluded = with_negatives(batch, pool, EVERY, 8, generator, given)
        assert rows[:3] == [1, 2, 40]
        assert len(set(rows)) == len(rows) == 11
        assert excluded.shape == (3, 11) and not excluded.any()
        seen |= set(rows[3:])
    possible = set(range(2, 23)) | set(range(41, 61)) if nearest else set(range(100))
    assert seen == possible & set(pool.tolist()) - {1, 2, 40}


def test_few_sentences_give_few_negatives() -> None:
    rows, _ = with_negatives(batch_of(0, 1), np.arange(4), EVERY, 50, np.random.default_rng(1))
    assert sorted(rows) == [0, 1, 2, 3]


def test_neighbours_are_scikit_learns_and_never_the_sentence_itself() -> None:
    """1,100 sentences, more than one block of similarities."""
    generator = torch.Generator().manual_seed(1)
    vectors = torch.nn.functional.normalize(torch.randn(1100, 12, generator=generator), dim=1)
    found = nearest_neighbours(vectors)
    assert found.shape == (1100, NEIGHBOURS)
    assert not (found == np.arange(1100)[:, None]).any()
    theirs = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, metric="cosine").fit(vectors.numpy())
    chosen = [0, 500, 1023, 1024, 1099]
    expected = theirs.kneighbors(vectors.numpy()[chosen], return_distance=False)[:, 1:]
    for row, neighbours in zip(chosen, expected, strict=True):
        assert len(set(found[row]) & set(neighbours)) >= NEIGHBOURS - 1  # but for a tie at the edge
    assert nearest_neighbours(vectors[:3]).shape == (3, 2)
