"""Dense search, ties, ranks and rankings against numpy's stable sort and faiss."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DivergedError
from engine.retrieval.dense import find_dense
from engine.retrieval.ranking import Ranking
from engine.retrieval.topk import Found, ranks_of, top_k


def stable_order(scores: np.ndarray) -> np.ndarray:
    return np.argsort(-scores, axis=1, kind="stable")


@settings(deadline=None)
@given(seed=st.integers(0, 9999), levels=st.integers(1, 5), k=st.integers(1, 14))
def test_top_k_is_the_head_of_a_stable_sort_even_when_most_scores_are_equal(
    seed: int, levels: int, k: int
) -> None:
    scores = np.random.default_rng(seed).integers(0, levels, (4, 12)).astype(np.float32)
    scores[scores == 0] = -np.inf
    values, indices = top_k(torch.from_numpy(scores), k)
    order = stable_order(scores)[:, :k]
    assert indices.numpy().tolist() == order.tolist()
    assert values.numpy().tolist() == np.take_along_axis(scores, order, 1).tolist()


@settings(deadline=None)
@given(seed=st.integers(0, 9999), levels=st.integers(1, 6))
def test_ranks_are_places_in_a_stable_sort(seed: int, levels: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, levels, (4, 12)).astype(np.float32)
    wanted = generator.integers(-1, 12, (4, 3))
    places = np.argsort(stable_order(scores), axis=1) + 1
    expected = np.where(wanted >= 0, np.take_along_axis(places, wanted.clip(0), 1), 0)
    assert ranks_of(torch.from_numpy(scores), torch.from_numpy(wanted)).tolist() == expected.tolist()


def test_documents_that_score_minus_infinity_have_no_rank() -> None:
    scores = torch.tensor([[0.5, -torch.inf, 0.7]])
    assert ranks_of(scores, torch.tensor([[0, 1, 2]])).tolist() == [[2, 0, 1]]


@pytest.mark.parametrize("block_bytes", [1, 4096, 1 << 26])
def test_dense_search_equals_numpy_whatever_the_blocks(block_bytes: int) -> None:
    generator = np.random.default_rng(0)
    # small integers make the products exact and give many ties
    queries = generator.integers(-2, 3, (30, 5)).astype(np.float32)
    documents = generator.integers(-2, 3, (70, 5)).astype(np.float32)
    expected = stable_order(queries @ documents.T)
    wanted = torch.arange(30)[:, None]
    found = find_dense(
        torch.from_numpy(queries), torch.from_numpy(documents), 20, wanted, block_bytes=block_bytes
    )
    assert found.indices.numpy().tolist() == expected[:, :20].tolist()
    places = np.argsort(expected, axis=1) + 1
    assert found.ranks[:, 0].tolist() == [int(places[row, row]) for row in range(30)]


def search(queries: torch.Tensor, documents: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and indices of the best documents."""
    found = find_dense(queries, documents, k, torch.empty(len(queries), 0, dtype=torch.int64))
    return found.scores, found.indices


def test_dense_search_finds_what_faiss_finds() -> None:
    generator = np.random.default_rng(1)
    queries, documents = (generator.normal(size=(n, 32)).astype(np.float32) for n in (20, 500))
    index = faiss.IndexFlatIP(32)
    index.add(documents)
    values, order = index.search(queries, 10)
    scores, indices = search(torch.from_numpy(queries), torch.from_numpy(documents), 10)
    assert indices.tolist() == order.tolist()
    np.testing.assert_allclose(scores.numpy(), values, rtol=1e-5)


def test_k_is_at_most_the_number_of_documents_and_no_query_gives_no_result() -> None:
    scores, indices = search(torch.ones(2, 3), torch.ones(4, 3), 9)
    assert indices.tolist() == [[0, 1, 2, 3]] * 2
    scores, indices = search(torch.ones(0, 3), torch.ones(4, 3), 2)
    assert scores.shape == indices.shape == (0, 2)


def test_scores_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(DivergedError, match="not numbers"):
        search(torch.tensor([[float("nan"), 0.0]]), torch.ones(4, 2), 2)


def test_widths_that_differ_and_k_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="fit together"):
        search(torch.ones(1, 2), torch.ones(1, 3), 1)
    with pytest.raises(ValueError, match="at least 1"):
        search(torch.ones(1, 2), torch.ones(1, 2), 0)


def test_a_ranking_leaves_out_documents_that_were_not_found() -> None:
    found = Found(
        torch.tensor([[0.9, 0.2], [0.4, -torch.inf]]), torch.tensor([[1, 0], [0, 1]]), torch.zeros(2, 0)
    )
    ranking = Ranking.from_found(found, ["q", "r"], ["a", "b"])
    assert ranking.document_ids == [["b", "a"], ["a"]]
    assert ranking.for_measures() == {"q": {"b": 2.0, "a": 1.0}, "r": {"a": 1.0}}


@pytest.mark.parametrize(
    "fields",
    [
        (["q", "q"], [[], []], [[], []]),
        (["q"], [["a", "a"]], [[1.0, 0.5]]),
        (["q"], [["a", "b"]], [[0.5, 1.0]]),
        (["q"], [["a"]], [[0.5, 0.1]]),
        (["q"], [], []),
    ],
)
def test_an_invalid_ranking_is_refused(
    fields: tuple[list[str], list[list[str]], list[list[float]]],
) -> None:
    with pytest.raises(ValueError):
        Ranking(*fields)
