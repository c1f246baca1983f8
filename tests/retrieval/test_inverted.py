"""Inverted lists against exact search."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DivergedError
from engine.retrieval.dense import find_dense
from engine.retrieval.inverted import InvertedLists


def unit(count: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, width, generator=generator))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999), documents=st.integers(1, 90), k=st.integers(1, 12))
def test_searching_all_lists_is_exact(seed: int, documents: int, k: int) -> None:
    queries, vectors = unit(7, 8, seed), unit(documents, 8, seed + 1)
    wanted = torch.randint(-1, documents, (7, 3), generator=torch.Generator().manual_seed(seed))
    exact = find_dense(queries, vectors, k, wanted)
    found = InvertedLists(vectors).find(queries, k, wanted, probes=documents)
    assert found.indices.tolist() == exact.indices.tolist()
    torch.testing.assert_close(found.scores, exact.scores)
    known = torch.where(exact.ranks <= min(k, documents), exact.ranks, 0)
    assert found.ranks.tolist() == known.tolist()


def test_a_few_lists_find_most_and_give_exact_scores() -> None:
    """Clustered vectors, like those of sentences of related articles."""
    centres = unit(40, 32, 0)
    generator = torch.Generator().manual_seed(1)
    vectors = centres.repeat_interleave(100, 0) + 0.08 * torch.randn(4000, 32, generator=generator)
    queries = vectors[::50] + 0.03 * torch.randn(80, 32, generator=generator)
    nothing = torch.empty(80, 0, dtype=torch.int64)
    exact = find_dense(queries, vectors, 10, nothing)
    index = InvertedLists(vectors)
    recalls = []
    for probes in (1, 8, index.lists):
        found = index.find(queries, 10, nothing, probes=probes)
        true = torch.einsum("nh,nkh->nk", queries, vectors[found.indices])
        there = found.scores > -torch.inf
        torch.testing.assert_close(found.scores[there], true[there])
        pairs = zip(found.indices.tolist(), exact.indices.tolist(), strict=True)
        recalls.append(sum(len({*a} & {*b}) for a, b in pairs) / 800)
    assert recalls[0] < recalls[2] == 1.0
    assert recalls[1] > 0.9


def test_documents_outside_the_searched_lists_are_not_found() -> None:
    vectors = torch.eye(16)
    found = InvertedLists(vectors).find(vectors[:1], 16, torch.tensor([[0, 15]]), probes=1)
    assert (found.scores == -torch.inf).any()
    assert found.ranks[0, 0] == 1
    assert found.ranks[0, 1] == 0


def test_no_documents_no_queries_and_no_numbers() -> None:
    none = torch.empty(0, 4)
    assert InvertedLists(none).find(unit(2, 4, 0), 5, torch.full((2, 1), -1), probes=1).scores.shape == (2, 0)
    index = InvertedLists(unit(9, 4, 0))
    assert index.find(none, 5, torch.empty(0, 1, dtype=torch.int64), probes=1).indices.shape == (0, 5)
    with pytest.raises(DivergedError, match="not numbers"):
        index.find(torch.full((1, 4), torch.nan), 5, torch.full((1, 1), -1), probes=1)
    with pytest.raises(DivergedError, match="not numbers"):
        InvertedLists(torch.full((3, 4), torch.inf))
