"""Search for one query at a time: the same documents and scores as the search for many."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.errors import DivergedError
from engine.retrieval.maxsim import find_maxsim
from engine.retrieval.single import SingleSearch
from engine.retrieval.tokens import TokenStore
from engine.retrieval.topk import top_k

NOTHING = torch.empty(1, 0, dtype=torch.int64)


def store(lengths: list[int], width: int, seed: int, dtype: torch.dtype = torch.float16) -> TokenStore:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(sum(lengths), width, generator=generator)
    vectors = torch.nn.functional.normalize(vectors, dim=1).to(dtype)
    return TokenStore(vectors, torch.tensor([0, *lengths]).cumsum(0))


def naive(query: Tensor, documents: TokenStore) -> Tensor:
    scores = [
        (query.double() @ document.double().T).amax(1).mean() if len(document) else torch.tensor(-torch.inf)
        for document in documents
    ]
    return torch.stack([score.double() for score in scores])


@pytest.mark.parametrize("screen", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_results_follow_the_definition(screen: bool, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(2)
    lengths = torch.randint(0, 9, (700,), generator=generator).tolist()
    lengths[0] = lengths[-1] = lengths[350] = 0
    documents = store(lengths, 24, 3, dtype)
    search = SingleSearch(documents, screen=screen)
    for seed in range(5):
        query = store([6], 24, 10 + seed, torch.float32).vectors
        scores, indices = search.search(query, 12)
        expected = naive(query, documents)
        assert indices.tolist() == expected.argsort(descending=True, stable=True)[:12].tolist()
        torch.testing.assert_close(scores.double(), expected[indices], rtol=0, atol=2e-6)


@pytest.mark.parametrize("screen", [False, True])
def test_results_do_not_depend_on_the_chunks(screen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with a document longer than a chunk, and with chunks in which no document starts."""
    monkeypatch.setattr("engine.retrieval.single._CHUNK", 16)
    documents = store([3, 0, 50, 1, 1, 0, 17, 5, 16, 16, 2, 0], 8, 5)
    query = store([4], 8, 6, torch.float32).vectors
    scores, indices = SingleSearch(documents, screen=screen).search(query, 100)
    expected, order = top_k(naive(query, documents)[None], 100)
    assert indices.tolist() == order[0].tolist()
    torch.testing.assert_close(scores.double(), expected[0], rtol=0, atol=2e-6)


@pytest.mark.parametrize("screen", [False, True])
def test_ties_and_refusals_are_those_of_the_search_for_many(screen: bool) -> None:
    row = torch.nn.functional.normalize(torch.randn(1, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    documents = TokenStore(row.repeat(40, 1).half(), torch.arange(41))
    search = SingleSearch(documents, screen=screen)
    many = find_maxsim(TokenStore(row, torch.tensor([0, 1])), documents, 5, NOTHING)
    assert search.search(row, 5)[1].tolist() == many.indices[0].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="width 8"):
        search.search(torch.ones(2, 7), 3)
    with pytest.raises(ValueError, match="at least one vector"):
        search.search(torch.ones(0, 8), 3)
    with pytest.raises(ValueError, match="k must"):
        search.search(row, 0)
    with pytest.raises(DivergedError):
        search.search(row * float("nan"), 3)


def test_no_documents_find_nothing() -> None:
    documents = TokenStore(torch.zeros(0, 8, dtype=torch.float16), torch.zeros(1, dtype=torch.int64))
    for screen in (False, True):
        assert SingleSearch(documents, screen=screen).search(torch.ones(1, 8), 3)[1].tolist() == []
