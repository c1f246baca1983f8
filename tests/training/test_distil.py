"""Distillation end to end: the student learns a cipher of English in a second."""

from __future__ import annotations

import math
import re
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from engine.encoders.encoder import Encoder
from engine.errors import DivergedError, InputError
from engine.results.run_folder import tail
from engine.runs.checks import check_frozen
from engine.training.optimiser import frozen_layers, set_rate
from tests.training.conftest import Prepare, Prepared

QUICK = {"steps": 4, "evaluate_every": 2}


def curve(distillation: Prepared, metric: str = "held_out_rr") -> dict[int, float]:
    records = tail(distillation.run.metrics_path).records
    return {record.step: record.metrics[metric] for record in records if metric in record.metrics}


def weights(encoder: Encoder) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in encoder.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("loss", "least"),
    [
        ({"transport": 1.0, "maxsim_contrast": 0.0}, 0.6),
        ({"transport": 0.0, "maxsim_contrast": 1.0}, 0.6),
        ({"transport": 0.0, "maxsim_contrast": 0.0, "transport_contrast": 1.0}, 0.5),
        ({"transport": 0.1, "maxsim_contrast": 1.0, "negatives": 16}, 0.6),
    ],
    ids=["transport", "contrast", "transport contrast", "with negatives"],
)
def test_held_out_retrieval_rises_from_chance(prepare: Prepare, loss: dict[str, float], least: float) -> None:
    distillation = prepare(loss=loss)
    result = distillation.train()
    rising = curve(distillation)
    assert list(rising) == [0, 20, 40, 60]
    assert rising[0] < 0.1 < least < rising[60]
    assert result.held_out == max(rising.values())


def test_the_best_checkpoint_is_kept_and_not_the_last(prepare: Prepare) -> None:
    """A learning rate this high loses again what it won."""
    distillation = prepare(training={"learning_rate": 5e-2})
    result = distillation.train()
    measured = curve(distillation)
    best = max(measured, key=lambda step: measured[step])
    assert 0 < best < 60 and measured[60] < measured[best]
    assert result.best_step == distillation.run.record["summary"]["best_step"] == best
    assert result.held_out == distillation.run.record["summary"]["held_out_rr"] == measured[best]
    again = distillation.held_out.measure(result.student)
    assert again["held_out_rr"] == pytest.approx(measured[best])


def test_the_teacher_stays_what_it_was(prepare: Prepare) -> None:
    distillation = prepare(training={**QUICK, "held_out": 0, "trim_vocabulary": False})
    before, student = weights(distillation.teacher), weights(distillation.student)
    result = distillation.train()
    assert same(weights(result.teacher), before)
    assert not any(parameter.requires_grad for parameter in result.teacher.parameters())
    assert not same(weights(result.student), student)


def test_the_table_of_bitext_counts_and_hashes_what_is_used(prepare: Prepare, tiny: Any) -> None:
    def recorded(**settings: Any) -> dict[str, Any]:
        source = {"path": str(tiny.training["sw"]), "language": "sw", **settings}
        run = prepare(training=QUICK, bitext=[source]).run
        (row,) = pq.read_table(run.path / "bitext.parquet").to_pylist()
        return row

    whole, some, start = recorded(), recorded(limit=90), recorded(stop=90)
    assert (whole["pairs"], some["pairs"], start["pairs"]) == (120, 90, 90)
    assert len({row["hash"] for row in (whole, some, start)}) == 3


def test_a_limit_bounds_what_is_encoded_before_training(
    prepare: Prepare, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[int] = []
    monkeypatch.setattr(
        "engine.training.distillation.encoders.fit", lambda _, texts, *rest, **more: fitted.append(len(texts))
    )
    source = {"path": str(tiny.training["sw"]), "language": "sw", "limit": 30}
    distillation = prepare(training={**QUICK, "held_out": 5}, bitext=[source])
    assert fitted == [30]
    assert len(distillation.vectors) == 30


def test_the_seed_decides(prepare: Prepare) -> None:
    settings = {"training": {**QUICK, "dropout": 0.1}, "loss": {"negatives": 8}}
    results, losses = [], []
    for seed in (1, 1, 2):
        distillation = prepare(**settings, seed=seed)
        results.append(distillation.train())
        losses.append(curve(distillation, "loss"))
    assert losses[0] == losses[1] != losses[2]
    assert same(weights(results[0].student), weights(results[1].student))


def test_trimming_changes_nothing_but_time(prepare: Prepare) -> None:
    trimmed, whole = prepare(training=QUICK), prepare(training={**QUICK, "trim_vocabulary": False})
    rows = [run.student.model.get_input_embeddings().weight.shape[0] for run in (trimmed, whole)]
    assert rows[0] < rows[1]
    results = [trimmed.train(), whole.train()]
    assert curve(trimmed, "loss") == pytest.approx(curve(whole, "loss"))
    assert curve(trimmed) == pytest.approx(curve(whole))
    assert results[0].student.model.get_input_embeddings().weight.shape[0] == rows[1]


@pytest.mark.parametrize(
    ("training", "still"),
    [
        ({}, ()),
        ({"frozen_layers": 1}, ("encoder.layer.0.", "embeddings.")),
        ({"frozen_embeddings": True}, ("embeddings.",)),
    ],
)
def test_frozen_parts_keep_their_weights(
    prepare: Prepare, training: dict[str, Any], still: tuple[str, ...]
) -> None:
    distillation = prepare(training={**QUICK, **training, "held_out": 0, "trim_vocabulary": False})
    before = weights(distillation.student)
    after = weights(distillation.train().student)
    for name, value in after.items():
        if "pooler" not in name and name != "mean":
            frozen = any(part in name for part in still)
            assert torch.equal(value, before[name]) == frozen, name


def test_a_share_of_the_layers_is_frozen_in_any_depth() -> None:
    assert [frozen_layers(0.5, depth) for depth in (12, 6, 5, 2)] == [6, 3, 2, 1]
    assert [frozen_layers(asked, 6) for asked in (0, 1, 5, 6)] == [0, 1, 5, 6]


def test_a_batch_larger_than_the_data_is_refused(prepare: Prepare) -> None:
    with pytest.raises(InputError, match=r"training.batch_size = 100000 is more than the \d+ pairs"):
        prepare(training={"batch_size": 100_000})


def test_freezing_every_layer_is_refused(prepare: Prepare) -> None:
    with pytest.raises(InputError, match="freezes all 2 layers of the student, so nothing would be trained"):
        prepare(training={"frozen_layers": 2})


def test_config_check_refuses_to_freeze_every_layer(tiny: Any) -> None:
    check_frozen((str(tiny.checkpoint), 0.5, False))
    check_frozen((str(tiny.checkpoint), 2, True))
    with pytest.raises(InputError, match="2 freezes all 2 layers"):
        check_frozen((str(tiny.checkpoint), 2, False))
    with pytest.raises(InputError, match="frozen_layers = 6, but the encoder has 2 layers"):
        check_frozen((str(tiny.checkpoint), 6, False))


def test_more_frozen_layers_than_there_are(prepare: Prepare) -> None:
    with pytest.raises(InputError, match="frozen_layers = 3, but the encoder has 2 layers"):
        prepare(training={"frozen_layers": 3})


def test_patience_ends_a_run_that_gains_nothing(prepare: Prepare) -> None:
    settings = {"learning_rate": 1e-9, "evaluate_every": 1, "patience": 3}
    distillation = prepare(training=settings)
    result = distillation.train()
    assert list(curve(distillation)) == [0, 1, 2, 3]
    assert result.best_step == 0


def test_without_held_out_pairs_the_last_weights_are_kept(prepare: Prepare) -> None:
    distillation = prepare(training={**QUICK, "held_out": 0})
    result = distillation.train()
    assert result.best_step == 4 and math.isnan(result.held_out)
    assert distillation.run.record["summary"]["held_out_rr"] is None
    assert curve(distillation) == {}


def test_averaging_moves_the_student_back_to_the_teacher(prepare: Prepare) -> None:
    result = prepare(training={**QUICK, "averaging": 1.0, "held_out": 0}).train()
    teacher = weights(result.teacher)
    for name, value in weights(result.student).items():
        if "pooler" not in name:
            assert torch.allclose(value, teacher[name], atol=1e-6), name


def test_half_an_average_is_the_mean(prepare: Prepare) -> None:
    settings = {**QUICK, "held_out": 0, "trim_vocabulary": False}
    plain, half = (prepare(training={**settings, "averaging": share}).train() for share in (0.0, 0.5))
    origin, moved = weights(plain.teacher), weights(plain.student)
    for name, value in weights(half.student).items():
        if "pooler" not in name:
            assert torch.allclose(value, (origin[name] + moved[name]) / 2, atol=1e-5), name


def test_each_lower_layer_learns_at_a_lower_rate(prepare: Prepare) -> None:
    found = prepare(training={"layer_decay": 0.5, "learning_rate": 1e-3, "weight_decay": 0.1})
    set_rate(found.optimiser, 1e-3)
    rates = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in found.optimiser.param_groups
        for parameter in group["params"]
    }
    trained = {name: p for name, p in found.student.named_parameters() if p.requires_grad}
    assert len(rates) == len(trained)
    for name, parameter in trained.items():
        layer = re.search(r"\.layer\.(\d)", name)
        below = 2 if "embeddings" in name else 1 - int(layer[1]) if layer else 0
        decay = 0.1 if parameter.ndim > 1 else 0.0
        assert rates[id(parameter)] == pytest.approx((1e-3 * 0.5**below, decay)), name


@pytest.mark.parametrize("rate", [1e3, 1e6])
def test_a_run_that_diverges_says_so(prepare: Prepare, rate: float) -> None:
    with pytest.raises(DivergedError, match="lower training") as caught:
        prepare(training={"learning_rate": rate}).train()
    assert "\n" not in str(caught.value)


def english_bitext(tiny: Any, tmp_path: Path, lost_line: int | None = None) -> list[dict[str, Any]]:
    """The English sentences as both sides: retrieval is perfect from the start."""
    lines = tiny.training["sw"].read_text("utf-8").splitlines()
    english = [line.split("\t")[1] for line in lines]
    sources = [*english[:lost_line], *english[lost_line + 1 :], ""] if lost_line is not None else english
    path = tmp_path / "english.tsv"
    path.write_text("".join(f"{a} \t{b}\n" for a, b in zip(sources, english, strict=True)), "utf-8")
    return [{"path": str(path), "language": "sw"}]


def test_retrieval_that_collapses_ends_the_run(prepare: Prepare, tiny: Any, tmp_path: Path) -> None:
    settings = {"learning_rate": 1.0, "warmup": 0.0, "evaluate_every": 5}
    distillation = prepare(bitext=english_bitext(tiny, tmp_path), training=settings)
    with pytest.raises(DivergedError, match=r"held-out retrieval fell from 1\.000 to 0\.\d+ by step 5"):
        distillation.train()


@pytest.mark.parametrize("alignment", ["repair", "trust"])
def test_a_lost_line_is_repaired_unless_trusted(
    prepare: Prepare, tiny: Any, tmp_path: Path, alignment: str
) -> None:
    bitext = english_bitext(tiny, tmp_path, lost_line=30)
    distillation = prepare(bitext=bitext, training={"alignment": alignment})
    pairs = [*distillation.bitext.training, *distillation.bitext.held_out]
    wrong = sum(pair.source != pair.target for pair in pairs)
    moved = distillation.run.record["summary"].get("realigned_sw", 0)
    assert (wrong, moved) == (0, 89) if alignment == "repair" else (wrong, moved) == (89, 0)


def test_languages_share_their_held_out_sentences(prepare: Prepare) -> None:
    distillation = prepare("sw", "mr")
    training = {pair.target for pair in distillation.bitext.training}
    held = {pair.target for pair in distillation.bitext.held_out}
    assert len(held) == 20 and not training & held
    assert distillation.sizes == {"sw": 100, "mr": 100}
    held_out = distillation.held_out.examples
    assert {language: len(found) for language, found in held_out.items()} == {"sw": 20, "mr": 20}
    distillation.config.training.steps = 2
    distillation.train()
    records = tail(distillation.run.metrics_path).records[0].metrics
    mean = (records["held_out_rr_sw"] + records["held_out_rr_mr"]) / 2
    assert records["held_out_rr"] == pytest.approx(mean)


def test_english_anchors_are_the_training_sentences(prepare: Prepare) -> None:
    distillation = prepare("sw", training={"anchor": 0.3})
    assert distillation.sizes == {"sw": 100, "en": 100}
    drawn = (example for batch in islice(distillation.batches(), 64) for example in batch)
    anchors = [example for example in drawn if example.language == "en"]
    assert all(distillation.bitext.english[example.target] == example.text for example in anchors)
    assert {example.text for example in anchors} == {pair.target for pair in distillation.bitext.training}


def test_held_out_rank_by_hand(prepare: Prepare) -> None:
    """The reciprocal of how many sentences score at least as high as the right one, by the mean of maxima."""
    distillation = prepare()
    found = distillation.held_out.measure(distillation.student)["held_out_rr_sw"]
    teacher, expected = distillation.teacher, []
    with torch.no_grad():
        documents = []
        for text in distillation.bitext.english:
            encoded = teacher(teacher.tokenize([text], "query"), "query")
            documents.append(encoded.tokens[0][encoded.mask[0]])
        for example in distillation.held_out.examples["sw"]:
            encoded = distillation.student(distillation.student.tokenize([example.text], "query"), "query")
            query = encoded.tokens[0][encoded.mask[0]]
            scores = [float((query @ document.T).amax(1).mean()) for document in documents]
            expected.append(1 / sum(score >= scores[example.target] - 1e-6 for score in scores))
    assert found == pytest.approx(sum(expected) / len(expected), abs=1e-6)


def test_sentences_without_a_token_that_counts_are_neither_learnt_nor_negatives(
    prepare: Prepare, tiny: Any, tmp_path: Path
) -> None:
    path = tmp_path / "dots.tsv"
    text = tiny.training["sw"].read_text("utf-8")
    path.write_text(text + "".join(f"?!{'.' * n}\t...{'!' * n}\n" for n in range(9)), "utf-8")
    distillation = prepare(
        bitext=[{"path": str(path), "language": "sw"}],
        teacher=tiny.encoder(punctuation=False),
        loss={"negatives": 200, "negatives_from": "random"},
        training=QUICK,
    )
    assert sum(text.startswith("...") for text in distillation.bitext.english) == 9
    drawn = [example for batch in islice(distillation.batches(), 64) for example in batch]
    examples = [*drawn, *distillation.held_out.examples["sw"]]
    assert not any(example.text.startswith("?") for example in examples)
    distillation.train()


def test_nothing_that_counts_is_refused(prepare: Prepare, tiny: Any, tmp_path: Path) -> None:
    path = tmp_path / "dots.tsv"
    path.write_text("".join(f"?!{'.' * n}\t...{'!' * n}\n" for n in range(30)), "utf-8")
    bitext = [{"path": str(path), "language": "sw"}]
    with pytest.raises(InputError, match="no countable tokens"):
        prepare(bitext=bitext, teacher=tiny.encoder(punctuation=False), training={"held_out": 2})


@pytest.mark.slow
def test_every_solver_and_mass_trains(prepare: Prepare) -> None:
    for transport in (
        {"solver": "ipot"},
        {"solver": "exact"},
        {"marginals": "norm"},
        {"marginals": "idf"},
        {"cost": "squared_euclidean"},
        {"anneal_from": 1.0},
        {"epsilon_scale": "absolute"},
    ):
        distillation = prepare(loss={"transport": 1.0, "maxsim_contrast": 0.0}, transport=transport)
        distillation.train()
        assert curve(distillation)[60] > 0.2, transport  # at step 0 it is about .05
