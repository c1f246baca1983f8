"""Every preset for two steps on the tiny checkpoint, and the files and states that methods need."""

from __future__ import annotations

import dataclasses
import math
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from engine.config import EncoderConfig, TransportConfig, parse_config, preset_settings, presets
from engine.encoders.encoder import Encoder
from engine.encoders.saving import save_encoder
from engine.errors import InputError
from engine.evaluation.document_frequencies import load_frequencies
from engine.evaluation.finished_run import encoders_of
from engine.inspect.plan import encode_pair, solve_pair
from engine.runs.execute import execute
from tests.training.conftest import Prepare

#: Those of one comparison: from the same student, which is the teacher.
RECIPES = sorted(
    name
    for name in set(presets()) - {"demo"}
    if preset_settings(name).get("kind") == "distil" and "student" not in preset_settings(name)
)
BITEXT = {"path": "pairs.tsv", "language": "sw"}


def changes(name: str) -> dict[str, Any]:
    """The settings in which preset `name` differs, as changes of a tiny run of two steps."""
    preset = preset_settings(name)
    own = {key: preset["training"][key] for key in ("student_role", "anchor") if key in preset["training"]}
    loss = {"maxsim_contrast": 0.0, "transport": 0.0, **preset["loss"]}
    return {
        "training": {"steps": 2, "evaluate_every": 2, "held_out": 6, "batch_size": 6, **own},
        # the tiny encoder has two layers
        "transport": preset.get("transport", {})
        | ({"layers": [1, 2]} if "layers" in preset.get("transport", {}) else {}),
        "loss": loss | ({"negatives": 4} if "negatives" in loss else {}),
        "evaluation": preset.get("evaluation", {}),
    }


@pytest.mark.parametrize("name", RECIPES)
def test_every_preset_trains_two_steps(prepare: Prepare, name: str) -> None:
    distillation = prepare("sw", **changes(name))
    loss = preset_settings(name)["loss"]
    wanted = {key for key, weight in loss.items() if key not in ("negatives", "hardest") and weight}
    assert len(distillation.weighted_loss.parts) == len(wanted)
    before = {key: value.clone() for key, value in distillation.trained_weights().items()}
    for step, batch in enumerate(islice(distillation.batches(), 2), 1):
        figures = distillation.step(step, batch)
        assert all(math.isfinite(value) for value in figures.values())
        assert figures["gradient_norm"] > 0 and figures["loss"] > 0
    assert any(not torch.equal(before[key], value) for key, value in distillation.trained_weights().items())
    assert math.isfinite(distillation.measure()["held_out_rr"])


def test_presets_of_a_comparison_differ_only_in_loss_and_transport() -> None:
    both_sides = "contrast-joint"  # differs only in what the student encodes
    recipes = {
        name: preset_settings(name) for name in RECIPES if preset_settings(name)["training"]["steps"] == 120
    }
    told = [(recipe.pop("loss"), recipe.pop("transport")) for recipe in recipes.values()]
    for one, name in zip(told, recipes, strict=True):
        assert told.count(one) == (2 if name in ("contrast", both_sides) else 1), name
    joint = recipes.pop(both_sides)
    first, *others = [{**recipe, "preset": ""} for recipe in recipes.values()]
    assert all(other == first for other in others)
    assert joint.pop("evaluation") == {"documents": "student"}
    assert joint["training"].pop("student_role") == "both" and joint["training"].pop("anchor") == 0.25
    assert {**joint, "preset": ""} == first
    base = {"epsilon": 0.1}
    assert all({**transport, **base} == transport for _, transport in told)


@pytest.mark.parametrize("name", ["optical-attention", "transport-contrast-learned", "optical-unbalanced"])
def test_plans_of_a_run_are_solved_again_from_its_folder(tiny: Any, tmp_path: Path, name: str) -> None:
    """So the inputs of the masses are stored, or computed again."""
    settings = parse_config(tiny.settings("sw", **changes(name)))
    run, _ = execute(settings, tmp_path / "runs", ["test"])
    stored = pq.read_table(run.path / "plans.parquet").to_pylist()[0]
    config: Any = parse_config(run.record["config"])
    student, teacher = encoders_of(run)
    pair = encode_pair(student, teacher, stored["source_text"], stored["target_text"], "query")
    row = solve_pair(pair, config.transport, language="sw", idf=load_frequencies(run.path / "checkpoints"))
    assert row.source_tokens == stored["source_tokens"]
    np.testing.assert_allclose(row.plan, stored["plan"], atol=2e-4)
    assert (student.mass_head is not None) == (name == "transport-contrast-learned")
    if student.mass_head is None:
        other = config.transport.model_copy(update={"marginals": "learned"})
        with pytest.raises(InputError, match="'learned' cannot be used, since no head was trained"):
            solve_pair(pair, other, language="sw")


def test_a_mass_head_is_saved_with_its_encoder(tiny: Any, tmp_path: Path) -> None:
    encoder = Encoder.load(EncoderConfig(**tiny.encoder(centring=False)))
    torch.nn.init.normal_(encoder.add_mass_head().weight)
    save_encoder(encoder, tmp_path / "saved")
    for config, folder in (
        ({"checkpoint": str(tmp_path / "saved")}, None),
        ({}, tmp_path / "saved"),
    ):
        again = Encoder.load(EncoderConfig(**tiny.encoder(centring=False, **config)))
        again.load_fitted(folder)
        assert again.mass_head is not None
        assert torch.equal(again.mass_head.weight, encoder.mass_head.weight)
    # tokens of another width are encoded without it
    narrow = {"checkpoint": str(tmp_path / "saved"), "projection": "linear", "projection_dim": 4}
    assert Encoder.load(EncoderConfig(**tiny.encoder(centring=False, **narrow))).mass_head is None


def test_masses_are_trained_with_their_own_learning_rate(prepare: Prepare) -> None:
    settings = changes("transport-contrast-learned")
    distillation = prepare("sw", **settings)
    head = distillation.student.mass_head
    assert head is not None and not head.weight.any()
    assert distillation.transport.head is head
    distillation.step(1, next(distillation.batches()))
    rates = {group["rate"]: group["lr"] for group in distillation.optimiser.param_groups}
    assert rates[100.0] == pytest.approx(100 * rates[1.0])
    # the first step of AdamW changes every weight by its learning rate
    assert head.weight.abs().max().item() == pytest.approx(rates[100.0], rel=0.01)


def test_a_student_of_both_roles_alternates_and_encodes_the_documents(prepare: Prepare) -> None:
    settings = changes("contrast-joint")
    distillation = prepare("sw", **settings)
    asked: list[str] = []
    forward = distillation.student.forward

    def listening(batch: Any, role: Any, **more: Any) -> Any:
        asked.append(role)
        return forward(batch, role, **more)

    distillation.student.forward = listening  # type: ignore[method-assign]
    examples = next(distillation.batches())
    for step in range(1, 5):
        distillation.step(step, examples)
    assert asked == ["passage", "query", "passage", "query"]
    text = examples[0].text
    prefixes = {role: distillation.tokens.of([text], role)[0].ids for role in distillation.roles}
    assert prefixes["query"][1] != prefixes["passage"][1] and prefixes["query"][2:] == prefixes["passage"][2:]
    alone = prepare("sw", **{**settings, "training": {**settings["training"], "student_role": "passage"}})
    assert alone.roles == ("passage",) and alone.held_out.role == "passage"


def test_the_attention_of_the_teacher_has_its_own_cache(prepare: Prepare) -> None:
    settings = changes("optical-attention")
    plain, first, again = prepare("sw"), prepare("sw", **settings), prepare("sw", **settings)
    assert plain.vectors.of([3]).attention is None
    known, kept = first.vectors.of([3]).attention, again.vectors.of([3]).attention
    assert known is not None and kept is not None and torch.equal(known, kept)
    index = torch.zeros(1, 1, dtype=torch.bool)
    targets = first.vectors.targets([3], index)
    (tokens,) = first.teacher.tokenize([first.bitext.english[3]], "query")
    with torch.no_grad():
        encoded = first.teacher([tokens], "query", attention=True)
    assert encoded.attention is not None and targets.attention is not None
    torch.testing.assert_close(targets.attention[0], encoded.attention[0][encoded.mask[0]], atol=1e-5, rtol=0)


def test_a_teacher_without_attention_is_refused(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "cache"))  # nothing is encoded yet

    def none(self: Encoder, batch: Any, role: Any, **wanted: Any) -> Any:
        return dataclasses.replace(forward(self, batch, role), attention=None)

    forward = Encoder.forward
    monkeypatch.setattr(Encoder, "forward", none)
    settings = changes("optical-attention")
    with pytest.raises(
        InputError, match=r"gives no attention weights, so choose another transport\.marginals"
    ):
        prepare("sw", **settings)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"transport": {"solver": "partial", "mass": 1.2}}, r"transport\.mass: .* 1, not 1\.2"),
        ({"transport": {"solver": "partial", "mass": 0}}, r"transport\.mass: .* 0, not 0"),
        ({"transport": {"solver": "unbalanced", "penalty": -1}}, r"transport\.penalty: .* 0, not -1"),
        (
            {"transport": {"marginals": "learned"}},
            r"'learned' needs the solver 'sinkhorn'.* loss\.transport_contrast",
        ),
        (
            {"transport": {"marginals": "learned", "solver": "partial"}, "loss": {"transport_contrast": 1}},
            "'learned' needs the solver 'sinkhorn'",
        ),
        ({"transport": {"solver": "ipot", "anneal_from": 1}}, "anneal_from belongs to the solver 'sinkhorn'"),
        ({"transport": {"anneal_from": 0.01}}, r"anneal_from must be at least transport\.epsilon \(0\.05\)"),
        (
            {"loss": {"score_kl": 1}, "training": {"batch_size": 1}},
            "raise training.batch_size above 1 or set loss.negatives",
        ),
        (
            {"training": {"student_role": "passage"}, "collections": [{"name": "lareqa"}]},
            "student_role = 'passage' .* evaluation.documents = 'teacher' never asks",
        ),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_loaded(
    settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        parse_config({"kind": "distil", "bitext": [BITEXT], **settings}, "run.toml")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("run.toml: ")


def test_settings_that_only_look_impossible_are_accepted() -> None:
    for settings in (
        {"loss": {"maxsim_contrast": 1, "negatives": 3}, "training": {"batch_size": 1}},
        {"loss": {"greedy_mse": 1}, "training": {"batch_size": 1}},
        {"transport": {"anneal_from": 1.0}},
        {"training": {"student_role": "both"}},  # nothing is evaluated
        {"training": {"student_role": "both"}, "evaluation": {"documents": "student"}},
    ):
        parse_config({"kind": "distil", "bitext": [BITEXT], **settings})
    assert TransportConfig(anneal_from=0.01)  # the app removes it where it does not fit
