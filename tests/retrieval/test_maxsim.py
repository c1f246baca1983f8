"""MaxSim against a loop over pairs, einsum and automatic differentiation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from engine.errors import DivergedError
from engine.retrieval.blocks import bounded_blocks, token_blocks
from engine.retrieval.maxsim import (
    find_maxsim,
    maxsim_blocks,
    maxsim_explain,
    maxsim_scores,
)
from engine.retrieval.screening import Rounding, screened, settle
from engine.retrieval.tokens import TokenStore

Batch = tuple[Tensor, Tensor, Tensor, Tensor]


def make(seed: int, n: int, m: int, q: int, d: int, h: int, dtype: torch.dtype = torch.float64) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    queries = normalize(torch.randn(n, q, h, generator=generator, dtype=dtype), dim=-1)
    documents = normalize(torch.randn(m, d, h, generator=generator, dtype=dtype), dim=-1)
    query_mask = torch.rand(n, q, generator=generator) < 0.7
    document_mask = torch.rand(m, d, generator=generator) < 0.6
    return queries, query_mask, documents, document_mask


def full(batch: Batch) -> Batch:
    """Give every text a counted token."""
    batch[1][:, 0] = True
    batch[3][:, -1] = True
    return batch


def pair_by_pair(queries: Tensor, query_mask: Tensor, documents: Tensor, document_mask: Tensor) -> Tensor:
    scores = torch.full((len(queries), len(documents)), -torch.inf, dtype=queries.dtype)
    for i, tokens in enumerate(queries):
        for j, others in enumerate(documents):
            products = [[float(a @ b) for b in others[document_mask[j]]] for a in tokens[query_mask[i]]]
            if products and products[0]:
                scores[i, j] = sum(map(max, products)) / len(products)
    return scores


def by_einsum(queries: Tensor, query_mask: Tensor, documents: Tensor, document_mask: Tensor) -> Tensor:
    products = torch.einsum("nqh,mdh->nmqd", queries, documents)
    best = products.masked_fill(~document_mask[None, :, None], -torch.inf).amax(-1)
    best = best.masked_fill(~query_mask[:, None], 0.0)
    return best.sum(-1) / query_mask.sum(1)[:, None]


def search(
    queries: torch.Tensor, mask: torch.Tensor, documents: TokenStore, k: int, **options: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and indices of the best documents for padded queries."""
    store = TokenStore.from_padded(queries, mask)
    found = find_maxsim(store, documents, k, torch.empty(len(store), 0, dtype=torch.int64), **options)
    return found.scores, found.indices


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 9999),
    n=st.integers(1, 5),
    m=st.integers(1, 9),
    budget=st.sampled_from([1, 700, 1 << 20]),
)
def test_search_equals_a_loop_over_pairs_whatever_the_blocks(seed: int, n: int, m: int, budget: int) -> None:
    batch = make(seed, n, m, 4, 5, 3)
    values, order = pair_by_pair(*batch).sort(dim=1, descending=True, stable=True)
    store = TokenStore.from_padded(batch[2], batch[3])
    scores, indices = search(batch[0], batch[1], store, k=m, block_bytes=budget)
    torch.testing.assert_close(scores, values, rtol=0, atol=1e-12)
    assert indices.tolist() == order.tolist()


def test_scores_equal_einsum_in_float64() -> None:
    batch = full(make(3, 7, 30, 12, 20, 16))
    store = TokenStore.from_padded(batch[2], batch[3])
    blocks = torch.cat(list(maxsim_blocks(batch[0], batch[1], store)))
    torch.testing.assert_close(blocks, by_einsum(*batch), rtol=0, atol=1e-14)
    torch.testing.assert_close(maxsim_scores(*batch), by_einsum(*batch), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_stores_are_scored_in_fp32(dtype: torch.dtype) -> None:
    batch = full(make(4, 5, 40, 8, 9, 32, torch.float32))
    store = TokenStore.from_padded(batch[2], batch[3]).to(dtype)
    exact = by_einsum(batch[0].double(), batch[1], batch[2].to(dtype).double(), batch[3])
    scores, indices = search(batch[0], batch[1], store, k=40)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores.double(), exact.gather(1, indices), rtol=0, atol=1e-6)


def test_identical_documents_come_in_their_own_order() -> None:
    queries, query_mask, documents, document_mask = full(make(5, 4, 6, 4, 5, 8, torch.float32))
    several = documents.repeat(5, 1, 1), document_mask.repeat(5, 1)
    _, indices = search(queries, query_mask, TokenStore.from_padded(*several), k=30)
    for row in indices.tolist():
        for start in range(0, 30, 5):
            copies = row[start : start + 5]
            assert copies == sorted(copies) and len({copy % 6 for copy in copies}) == 1


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 9999),
    k=st.integers(1, 60),
    spread=st.sampled_from([0.02, 0.3, 2.0]),
    share=st.sampled_from([1, 16, 10**9]),  # never, sometimes and always re-scores all documents of a query
)
def test_screening_in_bf16_changes_nothing(seed: int, k: int, spread: float, share: int) -> None:
    # documents around few centres give many scores that bf16 cannot tell apart
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(6, 24, generator=generator)
    near = centres[torch.randint(0, 6, (300, 7), generator=generator)]
    documents = normalize(near + spread * torch.randn(300, 7, 24, generator=generator), dim=-1)
    queries = normalize(centres[:4, None] + 0.3 * torch.randn(4, 5, 24, generator=generator), dim=-1)
    query_mask = torch.rand(4, 5, generator=generator) < 0.8
    document_mask = torch.rand(300, 7, generator=generator) < 0.7
    mine, theirs = (
        TokenStore.from_padded(queries, query_mask),
        TokenStore.from_padded(documents, document_mask),
    )
    wanted = torch.randint(-1, 300, (4, 3), generator=generator)
    plain = find_maxsim(mine, theirs, k, wanted, screen=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.retrieval.screening._SHARE", share)
        quick = find_maxsim(mine, theirs, k, wanted, screen=True)
    # fp32 sums of another shape differ in their last bits, which may swap documents with almost equal scores
    torch.testing.assert_close(quick.scores, plain.scores, rtol=0, atol=5e-7)
    exact = torch.cat(list(token_blocks(mine.to(torch.float64), theirs.to(torch.float64))))
    torch.testing.assert_close(exact.gather(1, quick.indices).float(), plain.scores, rtol=0, atol=5e-7)
    moved = quick.ranks != plain.ranks
    for row, column in moved.nonzero().tolist():
        own = exact[row, wanted[row, column]]
        close = int(((exact[row] - own).abs() < 1e-6).sum())
        assert abs(int(quick.ranks[row, column] - plain.ranks[row, column])) < close


def test_screening_re_scores_few_of_many_documents_and_finds_all() -> None:
    batch = full(make(6, 8, 3000, 6, 4, 16, torch.float32))
    mine, theirs = TokenStore.from_padded(batch[0], batch[1]), TokenStore.from_padded(batch[2], batch[3])
    wanted = torch.arange(8)[:, None] * 300
    plain = find_maxsim(mine, theirs, 5, wanted, screen=False)
    quick = find_maxsim(mine, theirs, 5, wanted, screen=True)
    assert quick.indices.tolist() == plain.indices.tolist()
    assert quick.ranks.tolist() == plain.ranks.tolist()


@pytest.mark.parametrize(("documents", "k", "screens"), [(300, 5, True), (300, 18, True), (300, 19, False)])
def test_a_pool_of_fewer_than_sixteen_documents_for_each_one_kept_is_not_screened(
    documents: int, k: int, screens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = full(make(6, 8, documents, 6, 4, 16, torch.float32))
    mine, theirs = TokenStore.from_padded(batch[0], batch[1]), TokenStore.from_padded(batch[2], batch[3])
    wanted = torch.arange(8)[:, None]
    plain = find_maxsim(mine, theirs, k, wanted, screen=False)
    calls: list[int] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return screened(*arguments, **options)

    monkeypatch.setattr("engine.retrieval.maxsim.native_bf16", lambda device: True)
    monkeypatch.setattr("engine.retrieval.maxsim.screened", counted)
    found = find_maxsim(mine, theirs, k, wanted)
    assert bool(calls) == screens
    assert found.indices.tolist() == plain.indices.tolist() and found.ranks.tolist() == plain.ranks.tolist()


def test_screening_ends_when_most_queries_are_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = full(make(6, 200, 300, 6, 4, 16, torch.float32))
    mine, theirs = TokenStore.from_padded(batch[0], batch[1]), TokenStore.from_padded(batch[2], batch[3])
    wanted = torch.arange(200)[:, None]
    plain = find_maxsim(mine, theirs, 80, wanted, screen=False)
    blocks: list[int] = []

    def counted(*arguments: Any) -> Any:
        blocks.append(1)
        return settle(*arguments)

    monkeypatch.setattr("engine.retrieval.screening.settle", counted)
    found = find_maxsim(mine, theirs, 80, wanted, screen=True)
    assert len(blocks) == 1
    torch.testing.assert_close(found.scores, plain.scores, rtol=0, atol=5e-7)
    assert found.ranks.tolist() == plain.ranks.tolist()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999), scale=st.sampled_from([1.0, 1e-3, 40.0]))
def test_the_error_of_bf16_scores_stays_within_its_bound(seed: int, scale: float) -> None:
    batch = full(make(seed, 6, 40, 5, 6, 48, torch.float32))
    mine = TokenStore.from_padded(batch[0] * scale, batch[1])
    theirs = TokenStore.from_padded(batch[2], batch[3])
    exact = torch.cat(list(token_blocks(mine.to(torch.float64), theirs.to(torch.float64))))
    ((coarse, lowest),) = bounded_blocks(mine, theirs, precision="bf16")
    wrong = (coarse.double() - exact).abs()
    rounding = Rounding.of(theirs)
    assert (wrong <= rounding.error(mine)[:, None]).all()
    products = 1.01 / 255 * (coarse.abs() - 2 * lowest)
    assert (wrong <= rounding.inner_error(mine)[:, None] + products).all()


def test_texts_without_tokens_find_and_are_found_last() -> None:
    queries, query_mask, documents, document_mask = full(make(7, 2, 3, 4, 5, 8))
    query_mask[1] = False
    document_mask[0] = False
    store = TokenStore.from_padded(documents, document_mask)
    scores, indices = search(queries, query_mask, store, k=3)
    assert indices[0, 2] == 0 and scores[0, 2] == -torch.inf
    assert scores[0, :2].isfinite().all() and (scores[1] == -torch.inf).all()


def test_vectors_with_nan_are_refused_screened_or_not() -> None:
    mine = TokenStore(torch.ones(2, 4), torch.tensor([0, 2]))
    vectors = torch.ones(40, 4)
    vectors[7, 2] = float("nan")
    theirs = TokenStore(vectors, torch.arange(0, 41, 2))
    for screen in (True, False):
        with pytest.raises(DivergedError, match="not numbers"):
            find_maxsim(mine, theirs, 2, torch.zeros(1, 0, dtype=torch.int64), screen=screen)


def test_widths_that_differ_are_refused() -> None:
    store = TokenStore(torch.ones(2, 4), torch.tensor([0, 2]))
    with pytest.raises(ValueError, match="width"):
        search(torch.ones(1, 2, 3), torch.ones(1, 2), store, 1)
    with pytest.raises(ValueError, match="mask"):
        search(torch.ones(1, 2, 4), torch.ones(1, 3), store, 1)


def test_explaining_names_the_token_that_the_score_came_from() -> None:
    batch = make(8, 1, 1, 6, 9, 8)
    query, document = batch[0][0], batch[2][0]
    indices, products = maxsim_explain(query, document)
    for row, (index, product) in enumerate(zip(indices.tolist(), products.tolist(), strict=True)):
        own = [float(query[row] @ token) for token in document]
        assert own[index] == pytest.approx(product, abs=1e-14) == max(own)
    everything = torch.ones(1, 6, dtype=torch.bool), torch.ones(1, 9, dtype=torch.bool)
    score = maxsim_scores(batch[0], everything[0], batch[2], everything[1])
    assert float(products.mean()) == pytest.approx(float(score), abs=1e-14)


def test_explaining_takes_the_first_of_equal_tokens_and_refuses_empty_texts() -> None:
    token = torch.tensor([[1.0, 0.0]])
    indices, _ = maxsim_explain(token, torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]))
    assert indices.tolist() == [1]
    with pytest.raises(ValueError, match="without tokens"):
        maxsim_explain(token, token[:0])


@pytest.mark.parametrize("limit", [1, 4096])
def test_gradients_equal_those_of_einsum(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.retrieval.maxsim._DOCUMENT_TOKENS", limit)
    queries, query_mask, documents, document_mask = full(make(9, 4, 6, 5, 7, 8))
    weights = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradients = []
    for function in (maxsim_scores, by_einsum):
        sides = queries.clone().requires_grad_(), documents.clone().requires_grad_()
        (function(sides[0], query_mask, sides[1], document_mask) * weights).sum().backward()
        gradients.append([side.grad for side in sides])
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-13)


def test_gradients_agree_with_finite_differences() -> None:
    queries, query_mask, documents, document_mask = full(make(10, 2, 3, 3, 4, 4))
    assert torch.autograd.gradcheck(
        lambda q, d: maxsim_scores(q, query_mask, d, document_mask),
        (queries.requires_grad_(), documents.requires_grad_()),
    )


def test_only_the_side_that_requires_a_gradient_gets_one() -> None:
    queries, query_mask, documents, document_mask = full(make(11, 2, 3, 3, 4, 4))
    queries.requires_grad_()
    maxsim_scores(queries, query_mask, documents, document_mask).sum().backward()
    assert queries.grad is not None and documents.grad is None
    assert (queries.grad[~query_mask] == 0).all()


def test_the_backward_pass_stores_winners_and_not_products() -> None:
    queries, query_mask, documents, document_mask = full(make(12, 16, 16, 32, 64, 8, torch.float32))
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.nbytes) or x, lambda x: x):
        maxsim_scores(queries.requires_grad_(), query_mask, documents, document_mask)
    products = 16 * 32 * 16 * 64 * 4
    assert sum(saved) < products / 4


def test_autocast_does_not_change_the_scores() -> None:
    batch = full(make(13, 4, 6, 5, 7, 32, torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = maxsim_scores(*batch)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, maxsim_scores(*batch))


def test_a_batch_with_an_empty_text_is_refused() -> None:
    queries, query_mask, documents, document_mask = full(make(14, 2, 2, 3, 3, 4))
    document_mask[1] = False
    with pytest.raises(ValueError, match="counted token"):
        maxsim_scores(queries, query_mask, documents, document_mask)
