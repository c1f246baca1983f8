"""Teacher and student opened so that they share a space, or refused in one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from engine.config import EncoderConfig
from engine.encoders.encoder import Encoder
from engine.encoders.fitting import FITTED_ON, evenly_spaced, fit, needs_fitting
from engine.encoders.saving import save_encoder
from engine.errors import InputError
from tests.training.conftest import Prepare


def copy_of(tiny: Any, folder: Path, **config: Any) -> str:
    """The tiny checkpoint in another folder, with random weights of another shape if `config` says so."""
    shutil.copytree(tiny.checkpoint, folder)
    if config:
        model = BertModel(
            BertConfig(**{**BertConfig.from_pretrained(folder).to_dict(), **config}), add_pooling_layer=False
        )
        model.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("projection", ["none", "linear", "whitening"])
def test_a_student_of_the_teachers_checkpoint_begins_in_its_space(
    prepare: Prepare, tiny: Any, projection: str
) -> None:
    settings = tiny.encoder(projection=projection, projection_dim=6)
    distillation = prepare(teacher=settings, training={"trim_vocabulary": False})
    teacher, student = distillation.teacher, distillation.student
    assert teacher.mean.any()
    batch = teacher.tokenize(["river stone"], "query")
    with torch.no_grad():
        assert torch.equal(teacher(batch, "query").tokens, student(batch, "query").tokens)
    assert teacher.dim == (32 if projection == "none" else 6)


@pytest.mark.parametrize(("changes", "prefix"), [({}, "query: "), ({"collections": []}, "passage: ")])
def test_the_mean_is_that_of_the_english_passages(
    prepare: Prepare, tiny: Any, changes: dict[str, Any], prefix: str
) -> None:
    """Passages of bitext are texts of the same kind as the queries, and so have their prefix."""
    distillation = prepare(**changes)
    alone = Encoder.load(EncoderConfig(**tiny.encoder(passage_prefix=prefix)))
    english = [line.split("\t")[1] for line in tiny.training["sw"].read_text("utf-8").splitlines()]
    fit(alone, english, "passage")
    assert torch.allclose(distillation.teacher.mean, alone.mean, atol=1e-6)
    assert torch.equal(distillation.student.mean, distillation.teacher.mean)


def test_another_checkpoint_is_fitted_on_its_own_side(prepare: Prepare, tiny: Any, tmp_path: Path) -> None:
    student = {**tiny.encoder(), "checkpoint": copy_of(tiny, tmp_path / "copy")}
    distillation = prepare(student=student)
    assert distillation.student.mean.any()
    assert not torch.allclose(distillation.student.mean, distillation.teacher.mean, atol=1e-3)


def test_projections_of_different_width_are_refused(prepare: Prepare, tiny: Any) -> None:
    teacher = tiny.encoder(projection="linear", projection_dim=16)
    student = tiny.encoder(projection="linear", projection_dim=8)
    with pytest.raises(InputError, match="student tokens have width 8 and teacher tokens 16"):
        prepare(teacher=teacher, student=student)


def test_students_of_another_width(prepare: Prepare, tiny: Any, tmp_path: Path) -> None:
    """Token vectors meet through projections; sentence vectors cannot."""
    wide = copy_of(tiny, tmp_path / "wide", hidden_size=48, num_attention_heads=4)
    teacher = tiny.encoder(projection="linear", projection_dim=8)
    student = {**teacher, "checkpoint": wide}
    distillation = prepare(teacher=teacher, student=student, training={"steps": 2})
    assert (distillation.student.width, distillation.student.dim, distillation.teacher.dim) == (48, 8, 8)
    distillation.train()
    with pytest.raises(InputError, match=r"pooled_mse compares sentence vectors, which have width 48"):
        prepare(teacher=teacher, student=student, loss={"pooled_mse": 1.0})


def test_masses_by_document_frequency_need_one_vocabulary(
    prepare: Prepare, tiny: Any, tmp_path: Path
) -> None:
    student = {**tiny.encoder(), "checkpoint": copy_of(tiny, tmp_path / "copy")}
    prepare(student=student, transport={"marginals": "idf"})
    file = tmp_path / "copy" / "tokenizer.json"
    file.write_text(file.read_text("utf-8").replace('"river"', '"lake"'), "utf-8")
    with pytest.raises(InputError, match="one vocabulary"):
        prepare(student=student, transport={"marginals": "idf"})


def test_what_was_saved_needs_no_fitting(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = EncoderConfig(**tiny.encoder(centring=False))
    assert not needs_fitting(plain)
    centred, whitened = (
        plain.model_copy(update=u) for u in ({"centring": True}, {"projection": "whitening"})
    )
    assert needs_fitting(centred) and needs_fitting(whitened)
    encoder = Encoder.load(centred)
    fit(encoder, ["river stone"])
    save_encoder(encoder, tmp_path / "centred")
    save_encoder(Encoder.load(plain), tmp_path / "plain")
    monkeypatch.setenv("HOME", str(tmp_path))
    for place in (str(tmp_path / "centred"), "~/centred"):
        assert not needs_fitting(centred.model_copy(update={"checkpoint": place}))
        assert needs_fitting(whitened.model_copy(update={"checkpoint": place}))
    # saved without a mean, so that its zeros are none
    assert needs_fitting(centred.model_copy(update={"checkpoint": str(tmp_path / "plain")}))


def test_a_sample_is_evenly_spaced() -> None:
    texts = [str(index) for index in range(3 * FITTED_ON)]
    assert evenly_spaced(texts) == texts[::3]
    assert evenly_spaced(texts[:7]) == texts[:7]
