"""Transport over several layers: the sum against a plain loop, the states against those of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import ot
import pytest
import torch
from torch import Tensor

from engine.config import TransportConfig, parse_config
from engine.encoders.encoder import Encoder
from engine.errors import InputError
from engine.results.run_folder import tail
from engine.training.distillation.teacher_vectors import TeacherVectors
from engine.training.losses import Batch, Layers, Targets, compared_layers
from engine.training.losses.transport import TransportLoss
from engine.transport import TokenTransport
from tests.training.conftest import Prepare

EXACT = TokenTransport(TransportConfig(solver="exact"))


def unit(*shape: int, seed: int) -> Tensor:
    vectors = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=-1)


def make_batch(inner: Tensor | None = None) -> Batch:
    """Two queries of 4 and 2 tokens and three targets of 3, 5 and 2, in the last and two other layers."""
    mask, target_mask = (torch.arange(n) < torch.tensor(c)[:, None] for n, c in ((4, [4, 2]), (5, [3, 5, 2])))
    targets = Targets(
        tokens=unit(3, 5, 8, seed=1),
        mask=target_mask,
        sentences=unit(3, 6, seed=2),
        norms=torch.ones(3, 5),
        ids=torch.zeros(3, 5, dtype=torch.long),
        excluded=torch.zeros(2, 3, dtype=torch.bool),
        layers=unit(2, 2, 5, 7, seed=3),
    )
    return Batch(
        tokens=unit(2, 4, 8, seed=4),
        mask=mask,
        sentences=unit(2, 6, seed=5),
        norms=torch.ones(2, 4),
        ids=torch.zeros(2, 4, dtype=torch.long),
        targets=targets,
        layers=unit(2, 2, 4, 7, seed=6) if inner is None else inner,
    )


def test_the_sum_over_layers_is_a_loop_over_pots_exact_costs() -> None:
    batch = make_batch()
    assert batch.layers is not None and batch.targets.layers is not None
    problems = [
        (0.25, batch.layers[0], batch.targets.layers[0]),
        (0.5, batch.layers[1], batch.targets.layers[1]),
        (2.0, batch.tokens, batch.targets.tokens),
    ]
    expected = 0.0
    for weight, student, teacher in problems:
        for row in range(2):
            cost = ot.dist(
                student[row][batch.mask[row]].numpy(),
                teacher[row][batch.targets.mask[row]].numpy(),
                "cosine",
            )
            expected += weight * float(ot.emd2([], [], cost)) / 2
    loss, figures = TransportLoss(EXACT, Layers((1, 2), (1, 3), (0.25, 0.5), 2.0))(batch)
    assert float(loss) == pytest.approx(expected)
    apart = [figures[f"transport_cost_{name}"] for name in ("1_1", "2_3", "last")]
    assert np.dot([0.25, 0.5, 2.0], apart) == pytest.approx(expected)


def test_other_layers_have_the_gradient_of_their_cost() -> None:
    inner = unit(2, 2, 4, 7, seed=6).requires_grad_()
    loss = TransportLoss(EXACT, Layers((1, 2), (1, 3), (0.25, 0.5), 0.0))
    assert torch.autograd.gradcheck(lambda x: loss(make_batch(x))[0], (inner,), atol=1e-6)


def fake(depth: int, width: int) -> Any:
    return SimpleNamespace(depth=depth, width=width)


@pytest.mark.parametrize(
    ("settings", "depths", "expected"),
    [
        ({}, (4, 12), Layers((), (), (), 1.0)),
        ({"layers": [6, 12]}, (12, 12), Layers((6,), (6,), (0.5,), 0.5)),
        ({"layers": [3]}, (12, 12), Layers((3,), (3,), (1.0,), 0)),
        ({"layers": [2, 4], "teacher_layers": [6, 12]}, (4, 12), Layers((2,), (6,), (0.5,), 0.5)),
        ({"layers": [2, 4]}, (4, 12), Layers((2, 4), (2, 4), (0.5, 0.5), 0)),
        ({"layers": [12, 1], "layer_weights": [3, 0.1]}, (12, 12), Layers((1,), (1,), (0.1,), 3.0)),
    ],
)
def test_the_layers_that_settings_name(settings: Any, depths: tuple[int, int], expected: Layers) -> None:
    assert compared_layers(TransportConfig(**settings), *(fake(depth, 8) for depth in depths)) == expected


@pytest.mark.parametrize(
    ("settings", "student", "teacher", "sentence"),
    [
        ({"layers": [5]}, fake(4, 8), fake(12, 8), r"transport\.layers names layer 5, but the student has 4"),
        ({"layers": [9]}, fake(12, 8), fake(6, 8), r"transport\.layers names layer 9, but the teacher has 6"),
        (
            {"layers": [4], "teacher_layers": [7]},
            fake(4, 8),
            fake(6, 8),
            r"transport\.teacher_layers names layer 7, but the teacher has 6",
        ),
        ({"layers": [2, 4]}, fake(4, 8), fake(4, 16), r"states of width 8 with the teacher's of width 16"),
    ],
)
def test_missing_layers_are_refused(settings: Any, student: Any, teacher: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        compared_layers(TransportConfig(**settings), student, teacher)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"transport": {"layers": [0]}}, r"transport\.layers"),
        ({"transport": {"layers": [1, 1]}}, r"layers names a layer twice"),
        ({"transport": {"layers": [1, 2], "layer_weights": [1.0]}}, r"layer_weights has 1 numbers .* has 2"),
        ({"transport": {"teacher_layers": [1]}}, r"teacher_layers has 1 numbers .* has 0"),
        (
            {"transport": {"layers": [1]}, "loss": {"transport": 0.0}},
            r"transport\.layers belongs to loss\.transport, which has weight 0",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tiny: Any, changes: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_config(tiny.settings(**changes))


def test_states_are_those_of_transformers_centred_by_the_teachers_mean(tiny: Any, tmp_path: Path) -> None:
    encoder = Encoder.load(parse_config(tiny.settings()).teacher)  # type: ignore[union-attr]
    texts = ["river stone cloud", "horse bread", "winter garden letter window"]

    def encoded(layers: Sequence[int] = (1,)) -> Any:
        made = TeacherVectors(
            encoder, texts, "passage", precision=torch.float32, layers=layers, cache=tmp_path
        )
        made.centre_layers(range(3))
        return made

    raw = []
    for item in encoder.tokenize(texts, "passage"):
        with torch.inference_mode():
            output = encoder.model(input_ids=torch.tensor([item.ids]), output_hidden_states=True)
        raw.append(output.hidden_states[1][0][torch.tensor(item.counted)])
    states = torch.nn.functional.normalize(torch.cat(raw), dim=-1)
    expected = torch.nn.functional.normalize(states - states.mean(0), dim=-1)
    found = encoded()
    kept = found.of([0, 1, 2])
    torch.testing.assert_close(kept.layers[0].float(), states, atol=5e-3, rtol=0)
    again = encoded()  # from the cache
    assert again.missing([0, 1, 2]) == []
    assert torch.equal(again.of([0, 1, 2]).layers, kept.layers)
    assert torch.equal(again.layer_means, found.layer_means)
    assert encoded(()).of([0]).layers is None
    own = found.targets([2, 0], torch.zeros(1, 2, dtype=torch.bool)).layers
    assert own.shape[:2] == (1, 1)
    torch.testing.assert_close(own[0, 0, : len(raw[2])], expected[-len(raw[2]) :], atol=5e-3, rtol=0)
    # a student that is the teacher has no cost in this layer either
    with torch.inference_mode():
        student = encoder(encoder.tokenize(texts, "passage"), "passage", layers=(1,))
    own = found.targets([0, 1, 2], torch.zeros(3, 3, dtype=torch.bool))
    centred = found.centred(student.layers)
    cosines = (centred[0][student.mask] * own.layers[0][own.mask]).sum(-1)
    torch.testing.assert_close(cosines, torch.ones_like(cosines), atol=1e-3, rtol=0)


def test_a_student_learns_from_two_layers_and_the_default_is_the_last_layer(prepare: Prepare) -> None:
    def losses(**transport: Any) -> list[dict[str, float]]:
        run = prepare(
            transport=transport,
            loss={"transport": 1.0, "maxsim_contrast": 0.0},
            training={"steps": 10, "evaluate_every": 10},
        )
        run.train()
        return [r.metrics for r in tail(run.run.metrics_path).records if "loss" in r.metrics]

    plain, last, both = losses(), losses(layers=[2]), losses(layers=[1, 2])
    assert [step["loss"] for step in plain] == [step["loss"] for step in last]
    for step in both:
        mean = (step["transport_cost_1_1"] + step["transport_cost_last"]) / 2
        assert step["loss"] == pytest.approx(mean, rel=1e-5)
    assert both[-1]["transport_cost_1_1"] < 0.8 * both[0]["transport_cost_1_1"]
