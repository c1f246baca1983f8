"""Bitext mining against hand-worked margins, a slow reference and scikit-learn's F1."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from engine.bitext import SentencePair
from engine.collections.bitext import make_bitext_collection
from engine.evaluation.mining import (
    best_f1,
    mine,
    mined_pairs,
    nearest_both_ways,
    nearest_neighbour_f1,
)
from engine.evaluation.scores import evaluate_collection
from engine.retrieval.tokens import TokenStore


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 9999), rows=st.integers(1, 9), columns=st.integers(1, 9), size=st.integers(1, 4))
def test_neighbours_of_both_sides_do_not_hang_on_the_blocks(
    seed: int, rows: int, columns: int, size: int
) -> None:
    matrix = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed))
    near = nearest_both_ways(torch.split(matrix, size), rows, columns, 4)
    assert torch.equal(near.document_scores, matrix.topk(min(4, columns), 1).values)
    assert torch.equal(near.query_scores, matrix.T.topk(min(4, rows), 1).values)
    assert torch.equal(matrix.gather(1, near.documents), near.document_scores)
    assert torch.equal(matrix.T.gather(1, near.queries), near.query_scores)


def slow_mining(matrix: np.ndarray, k: int = 4) -> list[tuple[float, int, int]]:
    """Ratio margins and max retrieval, a pair at a time, as the papers write them."""
    rows, columns = matrix.shape
    across = [np.sort(row)[::-1][: min(k, columns)].mean() for row in matrix]
    down = [np.sort(column)[::-1][: min(k, rows)].mean() for column in matrix.T]
    margin = matrix / ((np.array(across)[:, None] + np.array(down)[None]) / 2)
    near_rows = [set(np.argsort(-row)[: min(k, columns)]) for row in matrix]
    near_columns = [set(np.argsort(-column)[: min(k, rows)]) for column in matrix.T]
    proposals = {}
    for row in range(rows):
        column = max(near_rows[row], key=lambda c: margin[row, c])
        proposals[row, int(column)] = margin[row, column]
    for column in range(columns):
        row = max(near_columns[column], key=lambda r: margin[r, column])
        proposals[int(row), column] = margin[row, column]
    taken: list[tuple[float, int, int]] = []
    for (row, column), value in sorted(proposals.items(), key=lambda item: -item[1]):
        if all(row != r and column != c for _, r, c in taken):
            taken.append((value, row, column))
    return taken


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 9999), rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_margins_and_pairs_equal_a_slow_reference(seed: int, rows: int, columns: int) -> None:
    matrix = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) + 0.1
    mined = mined_pairs(nearest_both_ways([matrix], rows, columns, 4))
    expected = slow_mining(matrix.double().numpy())
    assert [(q, d) for _, q, d in mined] == [(q, d) for _, q, d in expected]
    np.testing.assert_allclose([m for m, *_ in mined], [m for m, *_ in expected], rtol=1e-5)


def test_the_best_threshold_is_the_one_that_loses_least() -> None:
    mined = [(1.4, 0, 0), (1.3, 1, 1), (1.2, 2, 5), (1.1, 3, 3), (1.0, 4, 7)]
    gold = [{0}, {1}, {2}, {3}, {4}]
    # after four pairs: precision 3/4, recall 3/5
    assert best_f1(mined, gold) == pytest.approx((2 / 3, 3 / 4, 3 / 5))
    assert best_f1([], gold) == (0.0, 0.0, 0.0)
    # pairs of one margin come together: the wrong one cannot be cut off
    assert best_f1([(1.0, 0, 0), (1.0, 1, 3)], [{0}, {1}])[1] == 0.5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_f1_of_nearest_neighbours_is_scikit_learns_weighted_one(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = map(list, zip(*pairs, strict=True))
    mine_f1 = nearest_neighbour_f1(predicted, [{label} for label in labels])
    assert mine_f1 == pytest.approx(f1_score(labels, predicted, average="weighted", zero_division=0))


def collection_of(count: int, distractors: int = 0):  # type: ignore[no-untyped-def]
    pairs = [SentencePair(f"s{n}", f"t{n}", "sw", "en", str(n)) for n in range(count)]
    return make_bitext_collection("b", pairs, distractors=[f"x{n}" for n in range(distractors)])


def test_a_perfect_system_mines_everything_and_distractors_hurt_precision_alone() -> None:
    collection = collection_of(6, distractors=3)
    found = {figure.measure: figure.value for figure in mine(collection, torch.eye(9)[:6], torch.eye(9))}
    assert found == {"MarginF1": 1.0, "MarginP": 1.0, "MarginR": 1.0, "F1": 1.0}


def test_late_interaction_of_single_tokens_mines_what_vectors_do() -> None:
    collection = collection_of(8)
    generator = torch.Generator().manual_seed(1)
    queries, documents = (torch.rand(8, 5, generator=generator) for _ in range(2))

    def store(vectors: torch.Tensor) -> TokenStore:
        return TokenStore(vectors, torch.arange(len(vectors) + 1))

    dense, late = mine(collection, queries, documents), mine(collection, store(queries), store(documents))
    assert [figure.value for figure in dense] == pytest.approx([figure.value for figure in late])


def test_equal_queries_are_one_and_dissimilar_neighbourhoods_are_never_mined() -> None:
    pairs = [SentencePair("sawa", "fine", "sw", "en", "1"), SentencePair("sawa", "fine", "sw", "en", "2")]
    collection = make_bitext_collection("b", pairs)
    figures = {f.measure: f for f in mine(collection, torch.ones(2, 3), torch.ones(1, 3))}
    assert figures["MarginR"].value == 1.0 and figures["MarginR"].queries == 1
    assert mined_pairs(nearest_both_ways([-torch.ones(2, 2)], 2, 2, 4)) == []


def test_mining_joins_the_scores_when_it_is_asked_for() -> None:
    collection = collection_of(5)
    plain, mined = (
        evaluate_collection(collection, torch.eye(5), torch.eye(5), scoring="dense", mining=mining)
        for mining in (False, True)
    )
    assert plain.extra == [] and len(mined.extra) == 4
    rows = mined.score_table().to_pylist()
    assert {row["protocol"] for row in rows} == {"bitext", "bitext/mining"}
