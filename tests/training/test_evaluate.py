"""Evaluating the encoders of a finished run keeps what the run fitted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import DistilConfig, EncoderConfig, parse_config
from engine.encoders.encoder import Encoder
from engine.errors import InputError
from engine.evaluation.finished_run import encoders_of
from engine.results.run_folder import RunFolder
from engine.runs.elsewhere import collections_called, elsewhere
from engine.runs.execute import execute
from engine.training.distillation.encoders import load_encoders


@pytest.fixture(scope="module")
def finished(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished distillation."""
    home = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        settings = tiny.settings("sw", training={"steps": 4, "evaluate_every": 2})
        return execute(parse_config(settings), home / "runs", ["test"])[0]


def evaluated(tiny: Any, folder: Path, encoder: str, teacher: str, **changes: Any) -> tuple[Encoder, Encoder]:
    """Evaluate two encoders; return both as the run saved them."""
    settings = {
        "kind": "evaluate",
        "encoder": tiny.encoder(checkpoint=encoder),
        "teacher": tiny.encoder(checkpoint=teacher),
        "collections": tiny.settings("mr")["collections"],
        **changes,
    }
    return encoders_of(execute(parse_config(settings), folder / "runs", ["test"])[0])


def test_a_student_is_evaluated_under_another_teacher_with_the_centring_of_its_run(
    finished: RunFolder, tiny: Any, tmp_path: Path
) -> None:
    saved = finished.checkpoints / "student"
    mean = Encoder.load(EncoderConfig(checkpoint=str(finished.checkpoints / "teacher"))).mean
    other = shutil.copytree(tiny.checkpoint, tmp_path / "other")
    for teacher in (tiny.checkpoint, other):
        queries, documents = evaluated(tiny, tmp_path, str(saved), str(teacher))
        assert torch.equal(documents.mean, mean) and torch.equal(queries.mean, mean)
    queries, documents = evaluated(tiny, tmp_path, str(saved), str(other), fitted="new")
    assert not torch.equal(documents.mean, mean) and not torch.equal(queries.mean, mean)


def test_zero_shot_queries_take_the_mean_that_a_run_saved_with_their_weights(
    finished: RunFolder, tiny: Any, tmp_path: Path
) -> None:
    teacher = finished.checkpoints / "teacher"
    queries, documents = evaluated(tiny, tmp_path, str(tiny.checkpoint), str(teacher))
    assert torch.equal(queries.mean, documents.mean)
    assert torch.equal(documents.mean, Encoder.load(EncoderConfig(checkpoint=str(teacher))).mean)


def test_a_student_without_its_teacher_is_refitted_only_if_asked(
    finished: RunFolder, tiny: Any, tmp_path: Path
) -> None:
    alone = shutil.copytree(finished.checkpoints / "student", tmp_path / "student")
    with pytest.raises(InputError, match="fitted = 'new'"):
        evaluated(tiny, tmp_path, str(alone), str(tiny.checkpoint))
    evaluated(tiny, tmp_path, str(alone), str(tiny.checkpoint), fitted="new")


def test_settings_that_are_left_out_are_those_that_the_run_saved(finished: RunFolder) -> None:
    student = str(finished.checkpoints / "student")
    assert EncoderConfig(checkpoint=student).query_length == 24
    longer = EncoderConfig(checkpoint=student, query_length=12)
    assert longer.query_length == 12 and longer.contradictions() == {"query_length": (12, 24)}


def test_a_student_is_distilled_further_in_the_space_of_its_run(
    finished: RunFolder, tiny: Any, prepare: Any
) -> None:
    student = str(finished.checkpoints / "student")
    config = parse_config(tiny.settings("mr", student={"checkpoint": student}))
    assert isinstance(config, DistilConfig)
    teacher, again = load_encoders(config, ["a river"], ["revir"], torch.float32)
    assert torch.equal(teacher.mean, encoders_of(finished)[1].mean)
    assert torch.equal(again.mean, encoders_of(finished)[0].mean)


def test_the_bitext_to_fit_on_has_a_limit(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[int] = []
    monkeypatch.setattr("engine.runs.evaluate.fit", lambda _, some, *rest, **more: texts.append(len(some)))
    settings = {
        "kind": "evaluate",
        "encoder": tiny.encoder(),
        "bitext": [{"path": str(tiny.training["sw"]), "language": "sw", "limit": 7}],
        "collections": tiny.settings("mr")["collections"],
    }
    execute(parse_config(settings), tmp_path / "runs", ["test"])
    assert texts == [7]


def test_a_run_is_evaluated_elsewhere_with_its_own_settings(finished: RunFolder, tiny: Any) -> None:
    config: Any = elsewhere(finished, tiny.settings("mr")["collections"], {"evaluation": {"depth": 7}})
    assert config.encoder.query_length == config.teacher.passage_length == 24
    assert Path(config.encoder.checkpoint) == finished.checkpoints / "student"
    assert (config.evaluation.depth, config.collections[0].label) == (7, "ciphers")


@pytest.mark.parametrize(
    ("name", "said"),
    [("bitext", "is bitext"), ("tatoebba", "did you mean 'tatoeba'"), ("missing.toml", "no such file")],
)
def test_a_collection_that_cannot_be_searched_is_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        collections_called(name)


def test_the_collections_of_a_file_are_found(tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    file.write_text('[[collections]]\nname = "tatoeba"\nlanguages = ["so"]\n', "utf-8")
    assert collections_called(str(file)) == [{"name": "tatoeba", "languages": ["so"]}]
    file.write_text("name = 'x'\n", "utf-8")
    with pytest.raises(InputError, match="has no"):
        collections_called(str(file))
