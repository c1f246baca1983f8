"""Every loss against another computation of it; gradients against finite differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import ot
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from engine.config import LossConfig, TransportConfig
from engine.errors import InputError
from engine.training.losses import Batch, Targets, build_loss
from engine.training.losses.contrast import MaxSimContrastLoss, TransportContrastLoss, info_nce
from engine.training.losses.pooled_jsd import PooledJSDLoss
from engine.training.losses.pooled_mse import PooledMSELoss
from engine.training.losses.transport import TransportLoss
from engine.transport import TokenTransport, inverse_document_frequencies

EXACT = TokenTransport(TransportConfig(solver="exact"))
SQUARED = TokenTransport(TransportConfig(solver="exact", cost="squared_euclidean", marginals="norm"))


def unit(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=-1)


def lengths(counts: list[int]) -> Tensor:
    return torch.arange(max(counts)) < torch.tensor(counts)[:, None]


def make_batch(tokens: Tensor | None = None, excluded: Sequence[tuple[int, int]] = ()) -> Batch:
    """Three queries of 4, 2 and 3 tokens; five targets, the first three their own."""
    mask, target_mask = lengths([4, 2, 3]), lengths([3, 5, 1, 2, 4])
    keep_out = torch.zeros(3, 5, dtype=torch.bool)
    for row, column in excluded:
        keep_out[row, column] = True
    targets = Targets(
        tokens=unit(5, 5, 8, seed=2),
        mask=target_mask,
        sentences=unit(5, 6, seed=3),
        norms=torch.rand(5, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64) + 0.5,
        ids=torch.arange(25).view(5, 5),
        excluded=keep_out,
    )
    return Batch(
        tokens=unit(3, 4, 8, seed=1) if tokens is None else tokens,
        mask=mask,
        sentences=unit(3, 6, seed=5),
        norms=torch.rand(3, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64) + 0.5,
        ids=torch.arange(12).view(3, 4),
        targets=targets,
    )


def maxsim(batch: Batch, row: int, column: int) -> float:
    query = batch.tokens[row][batch.mask[row]]
    document = batch.targets.tokens[column][batch.targets.mask[column]]
    return float(np.mean([max(float(q @ d) for d in document) for q in query]))


def emd(batch: Batch, row: int, column: int, squared: bool = False) -> float:
    """POT's exact transport cost with equal masses."""
    query = batch.tokens[row][batch.mask[row]].numpy()
    document = batch.targets.tokens[column][batch.targets.mask[column]].numpy()
    cost = ot.dist(query, document, "sqeuclidean" if squared else "cosine")
    return float(ot.emd2(ot.unif(len(query)), ot.unif(len(document)), cost))


def cross_entropy(scores: list[list[float]], excluded: list[tuple[int, int]], temperature: float) -> float:
    losses = []
    for row, values in enumerate(scores):
        kept = [math.exp(v / temperature) for column, v in enumerate(values) if (row, column) not in excluded]
        losses.append(math.log(sum(kept)) - values[row] / temperature)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("excluded", [[], [(0, 3), (2, 1)]])
@pytest.mark.parametrize("temperature", [0.03, 1.0])
def test_maxsim_contrast_by_hand(excluded: list[tuple[int, int]], temperature: float) -> None:
    batch = make_batch(excluded=excluded)
    loss, figures = MaxSimContrastLoss(temperature)(batch)
    scores = [[maxsim(batch, row, column) for column in range(5)] for row in range(3)]
    assert float(loss) == pytest.approx(cross_entropy(scores, excluded, temperature))
    assert figures["maxsim_contrast"] == pytest.approx(float(loss))
    allowed = [
        [-math.inf if (r, c) in excluded else s for c, s in enumerate(row)] for r, row in enumerate(scores)
    ]
    hits = sum(max(range(5), key=allowed[row].__getitem__) == row for row in range(3))
    assert figures["in_batch_accuracy"] == pytest.approx(hits / 3)


def test_transport_contrast_by_hand() -> None:
    excluded = [(1, 4)]
    batch = make_batch(excluded=excluded)
    loss, _ = TransportContrastLoss(0.5, EXACT)(batch)
    scores = [[-emd(batch, row, column) for column in range(5)] for row in range(3)]
    assert float(loss) == pytest.approx(cross_entropy(scores, excluded, 0.5))


def test_transport_contrast_with_the_hardest_by_hand() -> None:
    excluded = [(1, 4), (2, 0)]
    batch = make_batch(excluded=excluded)
    for hardest in (1, 2, 4):
        loss, _ = TransportContrastLoss(0.5, EXACT, hardest)(batch)
        scores = [[-emd(batch, row, column) for column in range(5)] for row in range(3)]
        others = {row: [c for c in range(5) if c != row and (row, c) not in excluded] for row in range(3)}
        easy = [
            (row, column)
            for row, columns in others.items()
            for column in sorted(columns, key=lambda column: -maxsim(batch, row, column))[hardest:]
        ]
        assert float(loss) == pytest.approx(cross_entropy(scores, [*excluded, *easy], 0.5))


def test_info_nce_is_torchs_cross_entropy_and_excluded_columns_get_no_gradient() -> None:
    scores = unit(4, 9, seed=7).requires_grad_()
    loss, first = info_nce(scores, torch.zeros(4, 9, dtype=torch.bool), 0.1)
    assert torch.equal(loss, torch.nn.functional.cross_entropy(scores / 0.1, torch.arange(4)))
    assert first == float((scores.argmax(1) == torch.arange(4)).double().mean())
    excluded = torch.zeros(4, 9, dtype=torch.bool)
    excluded[0, 5] = excluded[2, 0] = excluded[3, 8] = True
    info_nce(scores, excluded, 0.1)[0].backward()
    assert scores.grad is not None
    assert (scores.grad[excluded] == 0).all()
    assert (scores.grad[~excluded] != 0).all()


@pytest.mark.parametrize(
    "loss",
    [
        MaxSimContrastLoss(0.5),
        TransportLoss(EXACT),
        TransportLoss(SQUARED),
        TransportContrastLoss(0.5, EXACT),
    ],
    ids=["maxsim contrast", "transport", "squared transport by norm", "transport contrast"],
)
def test_gradients_against_finite_differences(loss: Any) -> None:
    """The optimum of a linear programme is linear around its vertex, so a constant plan is exact."""
    tokens = unit(3, 4, 8, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(make_batch(x))[0], (tokens,), atol=1e-6)


@pytest.mark.parametrize("squared", [False, True])
def test_transport_loss_is_pots_exact_cost(squared: bool) -> None:
    batch = make_batch()
    config = TransportConfig(solver="exact", cost="squared_euclidean" if squared else "cosine")
    loss, figures = TransportLoss(TokenTransport(config))(batch)
    expected = np.mean([emd(batch, row, row, squared) for row in range(3)])
    assert float(loss) == pytest.approx(expected)
    assert figures["converged"] == 1.0
    assert 1.0 <= figures["effective_matches"] <= 5.0


def test_pooled_mse_is_two_minus_two_cosines() -> None:
    batch = make_batch()
    cosine = torch.nn.functional.cosine_similarity(batch.sentences, batch.targets.sentences[:3])
    loss, figures = PooledMSELoss()(batch)
    assert float(loss) == pytest.approx(float((2 - 2 * cosine).mean()))
    theirs = torch.nn.functional.mse_loss(batch.sentences, batch.targets.sentences[:3], reduction="sum") / 3
    assert figures["pooled_mse"] == pytest.approx(float(theirs))


def test_a_weighted_sum_leaves_out_losses_of_weight_zero() -> None:
    batch = make_batch()
    config = LossConfig(transport=0.5, pooled_mse=2.0)
    loss = build_loss(config, EXACT)
    value, figures = loss(batch)
    parts = TransportLoss(EXACT)(batch)[0], PooledMSELoss()(batch)[0]
    assert float(value) == pytest.approx(0.5 * float(parts[0]) + 2.0 * float(parts[1]))
    assert {"transport_cost", "pooled_mse"} <= set(figures)
    assert "maxsim_contrast" not in figures


def test_masses_by_norm_and_by_document_frequency() -> None:
    batch = make_batch()
    norm = TokenTransport(TransportConfig(marginals="norm")).masses(batch)
    assert norm[1].tolist() == pytest.approx(
        [*(batch.norms[1, :2] / batch.norms[1, :2].sum()).tolist(), 0, 0]
    )
    idf = torch.arange(25, dtype=torch.float64) + 1
    by_idf = TokenTransport(TransportConfig(marginals="idf"), idf)
    assert by_idf.masses(batch)[2].tolist() == pytest.approx([9 / 30, 10 / 30, 11 / 30, 0])
    assert by_idf.masses(batch.targets)[2].tolist() == pytest.approx([1, 0, 0, 0, 0])
    uniform = TokenTransport(TransportConfig()).masses(batch)
    assert uniform[2].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize(
    ("kind", "why"),
    [("idf", "document frequencies"), ("attention", "attention weights"), ("learned", "no head")],
)
def test_masses_without_their_inputs_are_refused(kind: Any, why: str) -> None:
    with pytest.raises(InputError, match=f"transport.marginals = '{kind}' cannot be used, since .*{why}"):
        TokenTransport(TransportConfig(marginals=kind)).masses(make_batch())


def test_masses_by_attention_and_by_a_head_that_starts_uniform() -> None:
    batch = make_batch()
    attention = torch.rand(3, 4, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    by_attention = TokenTransport(TransportConfig(marginals="attention"))
    masses = by_attention.masses(replace(batch, attention=attention))
    kept = attention[1, :2] / attention[1, :2].sum()
    assert masses[1].tolist() == pytest.approx([*kept.tolist(), 0, 0])

    head = torch.nn.Linear(8, 1, bias=False, dtype=torch.float64)
    torch.nn.init.zeros_(head.weight)
    learned = TokenTransport(TransportConfig(marginals="learned"), head=head)
    assert torch.allclose(learned.masses(batch), TokenTransport(TransportConfig()).masses(batch).double())
    head.weight.data[0, 3] = 2.0
    logits = 2.0 * batch.tokens[2, :3, 3].numpy()
    assert learned.masses(batch)[2, :3].tolist() == pytest.approx(
        (np.exp(logits) / np.exp(logits).sum()).tolist()
    )


def test_the_contrast_trains_the_head_and_the_cost_of_pairs_does_not() -> None:
    """The gradient of the head against finite differences of the loss, whose plans depend on the masses."""
    head = torch.nn.Linear(8, 1, bias=False, dtype=torch.float64)
    torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(1))
    # sharp enough for <T, C> to be nearly the entropic optimum, whose gradient it gets
    config = TransportConfig(
        marginals="learned", epsilon=0.002, epsilon_scale="absolute", iterations=4000, tolerance=1e-9
    )
    masses, batch = TokenTransport(config, head=head), make_batch()
    assert not TransportLoss(masses)(batch)[0].requires_grad
    loss = TransportContrastLoss(0.5, masses)
    loss(batch)[0].backward()
    assert head.weight.grad is not None
    numeric = torch.zeros_like(head.weight)
    for index in range(8):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                head.weight[0, index] += sign * 1e-3
                values.append(float(loss(batch)[0]))
                head.weight[0, index] -= sign * 1e-3
        numeric[0, index] = (values[0] - values[1]) / 2e-3
    assert float(numeric.abs().max()) > 1e-2
    torch.testing.assert_close(head.weight.grad, numeric, atol=3e-3, rtol=0.05)


def test_document_frequencies_count_texts_not_occurrences() -> None:
    idf = inverse_document_frequencies([[1, 1, 2], [1], [3, 2, 2]], 5)
    expected = [math.log(1 + 3 / (1 + df)) for df in (0, 2, 2, 1, 0)]
    assert idf.tolist() == pytest.approx(expected)


def test_pooled_jsd_is_scipys_divergence_and_near_a_squared_distance() -> None:
    batch = make_batch()
    config = LossConfig.model_validate({"pooled_jsd": {"weight": 1.0, "temperature": 0.3}})
    loss, figures = build_loss(config, EXACT)(batch)
    mine, theirs = (
        torch.softmax(vectors / 0.3, 1).numpy() for vectors in (batch.sentences, batch.targets.sentences[:3])
    )
    assert float(loss) == pytest.approx(float((jensenshannon(mine, theirs, axis=1) ** 2).mean()))
    assert figures["pooled_jsd"] == pytest.approx(float(loss))
    near = batch.targets.sentences[:3] + 0.01 * unit(3, 6, seed=9)
    close = float(PooledJSDLoss(10.0)(replace(batch, sentences=near))[0])
    difference = near - batch.targets.sentences[:3]
    spread = difference - difference.mean(1, keepdim=True)  # a softmax does not see a constant
    assert close == pytest.approx(float(spread.square().sum(1).mean()) / (8 * 6 * 100), rel=0.05)
    sentences = unit(3, 6, seed=5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: PooledJSDLoss(0.3)(replace(batch, sentences=x))[0], (sentences,), atol=1e-7
    )
