"""The nearest sentences are scikit-learn's, and the share that an index finds is stated."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from engine.reporting import Reporter
from engine.training.distillation import neighbours
from engine.training.distillation.neighbours import NEIGHBOURS, Neighbours


def vectors(count: int, width: int = 16) -> Any:
    """Stands for `TeacherVectors` of sentences in clusters."""
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(count // 100 + 1, width, generator=generator)
    table = centres[torch.arange(count) % len(centres)] + 0.4 * torch.randn(count, width, generator=generator)
    table = torch.nn.functional.normalize(table, dim=1)
    teacher = SimpleNamespace(sentence_width=width)
    return SimpleNamespace(table=table, teacher=teacher, sentences=lambda rows: table[list(rows)])


def theirs(table: torch.Tensor, asked: list[int]) -> np.ndarray[Any, Any]:
    nearest = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, metric="cosine").fit(table.numpy())
    found: np.ndarray[Any, Any] = nearest.kneighbors(table.numpy()[asked], return_distance=False)[:, 1:]
    return found


def test_neighbours_are_scikit_learns_and_never_the_sentence_itself() -> None:
    known = vectors(1100)
    chosen = [0, 500, 1023, 1024, 1099]
    found = Neighbours(known, np.arange(1100)).of(chosen)
    assert found.shape == (5, NEIGHBOURS)
    for own, row, expected in zip(chosen, found.tolist(), theirs(known.table, chosen).tolist(), strict=True):
        assert own not in row
        assert len(set(row) & set(expected)) >= NEIGHBOURS - 1  # but for a tie at the edge


def test_neighbours_come_from_the_candidates_only() -> None:
    known = vectors(300)
    candidates = np.arange(0, 300, 3)
    found = Neighbours(known, candidates).of([1, 3])
    assert set(found.ravel().tolist()) <= set(candidates.tolist())
    expected = (known.table[candidates] @ known.table[1]).topk(NEIGHBOURS).indices.numpy()
    assert found[0].tolist() == candidates[expected].tolist()
    few = Neighbours(known, np.arange(3)).of([0, 2, 7])
    assert [sorted(row) for row in few.tolist()] == [[-1, 1, 2], [-1, 0, 1], [0, 1, 2]]


class Told(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def test_many_sentences_are_searched_with_an_index_and_its_recall_is_stated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "EXACT", 1000)
    known, told = vectors(12_000), Told()
    index = Neighbours(known, np.arange(12_000), seed=1, reporter=told)
    chosen = list(range(0, 12_000, 400))
    found = index.of(chosen)
    assert all(own not in row for own, row in zip(chosen, found.tolist(), strict=True))
    shares = [
        len(set(row) & set(expected)) / NEIGHBOURS
        for row, expected in zip(found.tolist(), theirs(known.table, chosen).tolist(), strict=True)
    ]
    assert index.recall == pytest.approx(np.mean(shares), abs=0.15) and index.recall > 0.3
    (said,) = told.said
    assert f"{index.recall:.0%} of the 50 nearest are found" in said and "12,000" in said
