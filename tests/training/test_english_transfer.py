"""English to English: a student of another width and tokenizer enters the teacher's space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from engine.bitext.drops import Drops
from engine.bitext.source import read_source
from engine.config import BitextConfig, load_config, parse_config
from engine.encoders.encoder import Encoder
from engine.encoders.saving import save_encoder
from engine.errors import InputError
from engine.results.run_folder import tail
from engine.runs.execute import execute
from engine.training.optimiser import PROJECTION_RATE
from tests.training.conftest import Prepare, Prepared


@pytest.fixture(scope="module")
def foreign(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of width 24 whose tokenizer cuts words in two; the tiny teacher has whole words."""
    folder = tmp_path_factory.mktemp("foreign")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    lines = tiny.training["sw"].read_text("utf-8").splitlines()
    words = {word for line in lines for word in line.split("\t")[1].split()}
    starts = sorted({word[:3] for word in words})
    rests = sorted({f"##{word[3:]}" for word in words})
    pieces += starts + rests
    tiny.save_tokenizer(folder, pieces)
    torch.manual_seed(3)
    BertModel(
        BertConfig(
            vocab_size=len(pieces),
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=40,
        )
    ).save_pretrained(folder)
    return folder


def transfer(tiny: Any, foreign: Path, **changes: Any) -> dict[str, Any]:
    """Changes to the tiny settings that make them English transfer into the foreign student."""
    student = tiny.encoder(
        checkpoint=str(foreign),
        query_prefix="",
        passage_prefix="",
        projection="linear",
        projection_dim=Encoder.load(parse_config(tiny.settings()).teacher).dim,  # type: ignore[union-attr]
    )
    source = {"path": str(tiny.training["sw"]), "language": "sw", "monolingual": True}
    return {"student": student, "bitext": [source], **changes}


def held_out(distillation: Prepared) -> dict[int, float]:
    records = tail(distillation.run.metrics_path).records
    return {r.step: r.metrics["held_out_rr"] for r in records if "held_out_rr" in r.metrics}


@pytest.mark.slow
def test_a_foreign_student_learns_to_retrieve_and_the_next_distillation_goes_on_from_there(
    prepare: Prepare, tiny: Any, foreign: Path, tmp_path: Path
) -> None:
    changes = transfer(tiny, foreign, training={"steps": 150, "evaluate_every": 50})
    first = prepare(**changes)
    assert first.student.width != first.teacher.width and first.student.dim == first.teacher.dim
    result = first.train()
    curve = held_out(first)
    assert curve[0] < 0.15  # 20 queries, 120 sentences: the mean of 1/rank by chance is .045
    assert result.held_out > 0.5

    folder = tmp_path / "student"
    save_encoder(result.student, folder)
    saved = load_file(str(folder / "optical.safetensors"))
    assert result.student.projection is not None
    assert torch.equal(saved["projection"], result.student.projection.weight)
    changes["student"]["checkpoint"] = str(folder)
    without = {**changes["student"], "projection": "none"}
    with pytest.raises(
        InputError, match=r"was trained with a projection, .* set student\.projection = 'linear'"
    ):
        prepare(**{**changes, "student": without})
    plain = {"kind": "evaluate", "encoder": without, "collections": tiny.settings()["collections"]}
    with pytest.raises(
        InputError, match=r"was trained with a projection, .* set encoder\.projection = 'linear'"
    ):
        execute(parse_config(plain), tmp_path / "runs", ["test"])
    second = prepare(**changes)
    second.train()
    assert held_out(second)[0] == pytest.approx(result.held_out)
    assert torch.equal(second.student.mean, result.student.mean)


def test_only_a_projection_that_begins_at_random_learns_faster(
    prepare: Prepare, tiny: Any, foreign: Path, tmp_path: Path
) -> None:
    def rates(distillation: Prepared) -> set[float]:
        projection = distillation.student.projection
        assert projection is not None
        return {
            group["rate"]
            for group in distillation.optimiser.param_groups
            if any(parameter is projection.weight for parameter in group["params"])
        }

    changes = transfer(tiny, foreign, training={"steps": 2, "evaluate_every": 2})
    first = prepare(**changes)
    assert rates(first) == {PROJECTION_RATE}
    save_encoder(first.train().student, tmp_path / "student")
    changes["student"]["checkpoint"] = str(tmp_path / "student")
    assert rates(prepare(**changes)) == {1.0}


def test_a_monolingual_source_has_each_english_sentence_once(tmp_path: Path) -> None:
    file = tmp_path / "pairs.tsv"
    file.write_text("moja\tone\nmosi\tone\nmbili\ttwo\n", "utf-8")
    drops = Drops()
    source = BitextConfig(path=str(file), language="sw", monolingual=True)
    pairs = read_source(source, drops=drops)
    assert [(p.source, p.target, p.source_language, p.target_language) for p in pairs] == [
        ("one", "one", "en", "en"),
        ("two", "two", "en", "en"),
    ]
    assert (drops.read, drops.kept, drops.duplicate) == (3, 2, 1)


def test_plain_text_is_a_sentence_a_line_and_trains_as_the_english_side_does(
    prepare: Prepare, tiny: Any, foreign: Path, tmp_path: Path
) -> None:
    english = [line.split("\t")[1] for line in tiny.training["sw"].read_text("utf-8").splitlines()]
    file = tmp_path / "english.txt"
    file.write_text("\n".join([*english, "", english[0]]) + "\n", "utf-8")
    drops = Drops()
    pairs = read_source(BitextConfig(path=str(file), language="en"), drops=drops)
    assert [pair.source for pair in pairs] == [pair.target for pair in pairs] == english
    assert (drops.empty, drops.duplicate) == (1, 1)
    bitext = [{"path": str(file), "language": "en"}]
    changes = transfer(tiny, foreign, bitext=bitext, training={"steps": 2, "evaluate_every": 2})
    text = prepare(**changes)
    assert text.bitext.training == [
        replace(pair, id=other.id)
        for pair, other in zip(
            prepare(**transfer(tiny, foreign)).bitext.training, text.bitext.training, strict=True
        )
    ]


def test_what_cannot_be_transferred_is_refused(prepare: Prepare, tiny: Any, foreign: Path) -> None:
    changes = transfer(tiny, foreign)
    with pytest.raises(InputError, match=r"training\.anchor puts English on both sides"):
        parse_config(tiny.settings(**changes, training={"anchor": 0.2}))
    with pytest.raises(
        InputError, match=r"'dense' compares sentence vectors, which have width 24 in the stud"
    ):
        prepare(**changes, evaluation={"scoring": ["maxsim", "dense"]})
    changes["student"]["projection"] = "none"
    with pytest.raises(InputError, match=r"width 24 .* set student\.projection = 'linear'"):
        prepare(**changes)


def test_the_preset_trains_a_projection_to_the_teachers_width() -> None:
    config = load_config("english-transfer", ['bitext=[{path="a.tsv", language="sw", monolingual=true}]'])
    assert config.kind == "distil" and config.student is not None
    assert config.student.projection == "linear" and config.teacher.projection == "none"
