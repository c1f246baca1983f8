"""Losses of alignment, scores and sentence vectors against plain procedures; relaxed transport in a loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.config import LossConfig, TransportConfig
from engine.training.losses import Batch, Targets, build_loss
from engine.training.losses.contrast import PooledContrastLoss, TransportContrastLoss
from engine.training.losses.matching import GreedyMSELoss, greedy_matching
from engine.training.losses.maxsim_alignment import MaxSimAlignmentLoss
from engine.training.losses.score_kl import ScoreKLLoss, score_divergence
from engine.training.losses.transport import TransportLoss
from engine.transport import TokenTransport

QUERIES, SENTENCES = [4, 2, 3], [3, 5, 1, 2, 4]


def unit(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(
        torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1
    )


def lengths(counts: list[int], width: int) -> Tensor:
    return torch.arange(width) < torch.tensor(counts)[:, None]


def make_batch(
    tokens: Tensor | None = None, excluded: tuple[tuple[int, int], ...] = (), padding: int = 0, seed: int = 0
) -> Batch:
    """Three queries and five sentences, the first three their own; `padding` adds columns of garbage."""
    keep_out = torch.zeros(3, 5, dtype=torch.bool)
    for row, column in excluded:
        keep_out[row, column] = True
    queries = unit(3, 4, 8, seed=seed + 1) if tokens is None else tokens
    sentences = unit(5, 5, 8, seed=seed + 2)
    if padding:
        queries, sentences = (
            torch.cat((side, unit(len(side), padding, 8, seed=9)), 1) for side in (queries, sentences)
        )
    wide, tall = queries.shape[1], sentences.shape[1]
    targets = Targets(
        tokens=sentences,
        mask=lengths(SENTENCES, tall),
        sentences=unit(5, 6, seed=seed + 3),
        norms=torch.ones(5, tall),
        ids=torch.zeros(5, tall, dtype=torch.long),
        excluded=keep_out,
    )
    return Batch(
        tokens=queries,
        mask=lengths(QUERIES, wide),
        sentences=unit(3, 6, seed=seed + 5),
        norms=torch.ones(3, wide),
        ids=torch.zeros(3, wide, dtype=torch.long),
        targets=targets,
    )


def plain_matching(cost: np.ndarray) -> dict[int, int]:
    """The two nearest tokens first, then the nearest of the rest, from a sorted list of all pairs."""
    pairs = sorted((cost[i, j], i, j) for i, j in np.ndindex(*cost.shape))
    matches: dict[int, int] = {}
    for _, i, j in pairs:
        if i not in matches and j not in matches.values():
            matches[i] = j
    return matches


@given(st.integers(0, 2**31), st.integers(1, 7), st.integers(1, 7), st.booleans())
@settings(max_examples=60, deadline=None)
def test_greedy_matching_is_the_plain_procedure(seed: int, rows: int, columns: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.random((4, rows, columns))
    if ties:
        cost = np.floor(3 * cost)  # the first of equals in reading order, as the plain procedure sorts
    source = np.arange(rows) < rng.integers(1, rows + 1, (4, 1))
    target = np.arange(columns) < rng.integers(1, columns + 1, (4, 1))
    cost[:, rows - 1 :] = np.where(source[:, rows - 1 :, None], cost[:, rows - 1 :], np.nan)
    found = greedy_matching(*(torch.tensor(array) for array in (np.nan_to_num(cost), source, target)))
    for one in range(4):
        i, j = source[one].sum(), target[one].sum()
        expected = plain_matching(cost[one, :i, :j])
        assert found[one].tolist() == [expected.get(row, -1) for row in range(rows)]
        assert len(expected) == min(i, j)


def test_greedy_mse_by_hand() -> None:
    batch = make_batch()
    loss, figures = GreedyMSELoss()(batch)
    expected = []
    for row in range(3):
        query = batch.tokens[row, : QUERIES[row]].numpy()
        sentence = batch.targets.tokens[row, : SENTENCES[row]].numpy()
        matches = plain_matching(1 - query @ sentence.T)
        expected.append(np.mean([((query[i] - sentence[j]) ** 2).sum() for i, j in matches.items()]))
    assert float(loss) == pytest.approx(np.mean(expected)) == figures["greedy_mse"]


def test_maxsim_alignment_by_hand() -> None:
    batch = make_batch()
    loss, _ = MaxSimAlignmentLoss()(batch)
    expected = [
        np.mean(
            [
                1 - max(float(q @ d) for d in batch.targets.tokens[row, : SENTENCES[row]])
                for q in batch.tokens[row, : QUERIES[row]]
            ]
        )
        for row in range(3)
    ]
    assert float(loss) == pytest.approx(np.mean(expected))


def maxsim(query: Tensor, document: Tensor) -> float:
    return float(np.mean([max(float(q @ d) for d in document) for q in query]))


@pytest.mark.parametrize("excluded", [(), ((0, 3), (2, 1))])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_score_kl_by_hand(excluded: tuple[tuple[int, int], ...], temperature: float) -> None:
    batch = make_batch(excluded=excluded)
    targets = batch.targets
    expected = 0.0
    for row in range(3):
        columns = [column for column in range(5) if (row, column) not in excluded]
        documents = [targets.tokens[column, : SENTENCES[column]] for column in columns]
        shares = []
        for query in (batch.tokens[row, : QUERIES[row]], targets.tokens[row, : SENTENCES[row]]):
            weights = [math.exp(maxsim(query, document) / temperature) for document in documents]
            shares.append([weight / sum(weights) for weight in weights])
        expected += sum(t * math.log(t / s) for s, t in zip(*shares, strict=True)) / 3
    loss, _ = ScoreKLLoss(temperature)(batch)
    assert float(loss) == pytest.approx(expected)


def test_equal_scores_have_no_divergence_and_excluded_sentences_get_no_gradient() -> None:
    scores = unit(3, 5, seed=1).requires_grad_()
    excluded = torch.zeros(3, 5, dtype=torch.bool)
    excluded[1, 4] = True
    shifted = scores.detach() + 0.7  # a softmax does not depend on a constant
    assert float(score_divergence(scores.detach(), shifted, excluded, 0.1)) == pytest.approx(0.0, abs=1e-12)
    score_divergence(scores, unit(3, 5, seed=2), excluded, 0.1).backward()
    assert scores.grad is not None and scores.grad.isfinite().all()
    assert float(scores.grad[1, 4]) == 0.0 and (scores.grad[~excluded] != 0).all()


def test_pooled_contrast_by_hand() -> None:
    batch = make_batch(excluded=((0, 3),))
    loss, figures = PooledContrastLoss(0.2)(batch)
    losses, hits = [], 0
    for row in range(3):
        cosines = [float(batch.sentences[row] @ sentence) for sentence in batch.targets.sentences]
        kept = {c: math.exp(cosines[c] / 0.2) for c in range(5) if (row, c) != (0, 3)}
        losses.append(-math.log(kept[row] / sum(kept.values())))
        hits += max(kept, key=kept.__getitem__) == row
    assert float(loss) == pytest.approx(np.mean(losses))
    assert figures["in_batch_accuracy_pooled"] == pytest.approx(hits / 3)


UNBALANCED = TransportConfig(
    solver="unbalanced", epsilon=0.01, epsilon_scale="absolute", penalty=0.3, iterations=5000, tolerance=1e-11
)
PARTIAL = TransportConfig(
    solver="partial", epsilon=0.01, epsilon_scale="absolute", mass=0.5, iterations=5000, tolerance=1e-11
)


def test_unbalanced_transport_loss_is_pots_and_counts_the_price() -> None:
    batch = make_batch()
    config = UNBALANCED.model_copy(update={"epsilon": 0.05})
    loss, figures = TransportLoss(TokenTransport(config))(batch)
    expected, moved = [], []
    for row in range(3):
        query, sentence = batch.tokens[row, : QUERIES[row]], batch.targets.tokens[row, : SENTENCES[row]]
        cost = (1 - query @ sentence.T).numpy()
        a, b = ot.unif(len(query)), ot.unif(len(sentence))
        plan = ot.unbalanced.sinkhorn_unbalanced(a, b, cost, 0.05, 0.3, numItermax=20_000, stopThr=1e-13)
        sums = ((plan.sum(1), a), (plan.sum(0), b))
        price = sum(float((p * np.log(p / q) - p + q).sum()) for p, q in sums)
        expected.append((plan * cost).sum() + 0.3 * price)
        moved.append(plan.sum())
    assert float(loss) == pytest.approx(np.mean(expected), abs=1e-7)
    assert figures["mass_moved"] == pytest.approx(np.mean(moved), abs=1e-7)
    assert "mass_moved" not in TransportLoss(TokenTransport(PARTIAL))(batch)[1]


def test_a_sentence_too_far_to_be_matched_is_not_the_best_of_an_unbalanced_contrast() -> None:
    """By <T, C> it would be, because nothing is moved."""
    near = torch.eye(8, dtype=torch.float64)[:2].expand(2, 2, 8).clone()
    far = -near[:1]
    masks = torch.ones(2, 2, dtype=torch.bool)
    targets = Targets(
        tokens=torch.cat((near[:1] * 0.8 + 0.2 * torch.eye(8, dtype=torch.float64)[3], far)),
        mask=masks,
        sentences=torch.zeros(2, 1),
        norms=torch.ones(2, 2),
        ids=torch.zeros(2, 2, dtype=torch.long),
        excluded=torch.zeros(1, 2, dtype=torch.bool),
    )
    batch = Batch(near[:1], masks[:1], torch.zeros(1, 1), torch.ones(1, 2), targets.ids[:1], targets)
    _, figures = TransportContrastLoss(0.1, TokenTransport(UNBALANCED))(batch)
    assert figures["in_batch_accuracy_transport"] == 1.0


LOSSES: dict[str, Any] = {
    "greedy mse": GreedyMSELoss(),
    "maxsim alignment": MaxSimAlignmentLoss(),
    "score kl": ScoreKLLoss(0.5),
    "unbalanced": TransportLoss(TokenTransport(UNBALANCED)),
    "partial": TransportLoss(TokenTransport(PARTIAL)),
}


@pytest.mark.parametrize("name", list(LOSSES)[:3])
def test_gradients_against_finite_differences(name: str) -> None:
    tokens = unit(3, 4, 8, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](make_batch(x))[0], (tokens,), atol=1e-6)


@pytest.mark.parametrize("name", ["unbalanced", "partial"])
def test_relaxed_transport_has_nearly_the_gradient_of_its_loss(name: str) -> None:
    """Nearly, because the plan is that of the regularised problem."""
    tokens = unit(3, 4, 8, seed=1).requires_grad_()
    (gradient,) = torch.autograd.grad(LOSSES[name](make_batch(tokens))[0], tokens)
    direction = unit(3, 4, 8, seed=7)
    with torch.no_grad():
        ahead, behind = (LOSSES[name](make_batch(tokens + step * direction))[0] for step in (1e-4, -1e-4))
    assert float((gradient * direction).sum()) == pytest.approx(float(ahead - behind) / 2e-4, rel=0.05)


@pytest.mark.parametrize("name", list(LOSSES))
def test_padding_with_garbage_changes_no_loss(name: str) -> None:
    loss = LOSSES[name]
    narrow, wide = make_batch(), make_batch(padding=3)
    assert float(loss(wide)[0]) == pytest.approx(float(loss(narrow)[0]), rel=1e-9)


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_order_of_tokens_changes_no_loss(name: str) -> None:
    batch = make_batch()
    order = torch.tensor([1, 0, 2, 3])  # tokens that the shortest query has too
    moved = make_batch(batch.tokens[:, order])
    assert float(LOSSES[name](moved)[0]) == pytest.approx(float(LOSSES[name](batch)[0]), rel=1e-9)


@pytest.mark.parametrize(
    ("setting", "figure"),
    [
        ("greedy_mse", "greedy_mse"),
        ("maxsim_alignment", "maxsim_alignment"),
        ("score_kl", "score_kl"),
        ("pooled_contrast", "pooled_contrast"),
        ("transport_contrast", "transport_contrast"),
    ],
)
def test_a_weight_turns_its_loss_on_and_scales_it(setting: str, figure: str) -> None:
    batch = make_batch()
    masses = TokenTransport(TransportConfig())
    once, figures = build_loss(LossConfig(**{setting: 1.0}), masses)(batch)
    twice, _ = build_loss(LossConfig(**{setting: 2.0}), masses)(batch)
    assert float(twice) == pytest.approx(2 * float(once)) and float(once) > 0
    assert figures[figure] == pytest.approx(float(once))
    others = {"transport_cost", "pooled_mse", "greedy_mse", "maxsim_alignment", "score_kl"} - {figure}
    assert not others & set(figures)
