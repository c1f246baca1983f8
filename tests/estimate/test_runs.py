"""Estimates of whole runs, against what runs of the same configurations do."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from engine.cli.commands import run as run_command
from engine.config import parse_config
from engine.errors import InputError
from engine.estimate.any_kind import estimate
from engine.estimate.records import Estimate
from engine.estimate.sheet import Given
from engine.paths import cache_home
from engine.runs.execute import execute


def counts(found: Estimate) -> dict[str, int]:
    return {stage.name: stage.count for stage in found.stages}


def test_a_distillation_has_the_counts_of_its_run(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny.settings("sw", "mr")
    config = parse_config(settings)
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "estimate"))
    found = estimate(config)
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "run"))
    run, (scores,) = execute(config, tmp_path / "runs", ["test"])
    (file,) = (cache_home() / "vectors").glob("*.sqlite")
    kept = sqlite3.connect(file).execute("SELECT count(*) FROM kept").fetchone()[0]
    counted = counts(found)
    assert counted["reading and cleaning pairs"] == 240
    assert counted["teacher vectors of English sentences"] == kept == 120
    assert counted["training"] == 60 * 16
    assert counted["held-out retrieval"] == 4 * 20 * 2  # before the first step, and at 20, 40 and 60
    assert counted["ciphers: queries"] == len(scores.collection.queries) == 50
    assert counted["ciphers: documents"] == len(scores.collection.documents)
    size = sum(file.stat().st_size for file in (run.path / "checkpoints" / "student").glob("*.safetensors"))
    assert found.disk["run folder"] == pytest.approx(size, rel=0.25)
    assert found.seconds == pytest.approx(sum(stage.seconds for stage in found.stages))
    assert found.memory > 2**26 and found.device_memory == 0 and not found.notes


def test_pairs_that_the_run_drops_are_not_counted(tiny: Any) -> None:
    """Of 120 pairs the run is evaluated on 100, and of the others some are too long."""
    path = str(tiny.training["sw"])
    lines = Path(path).read_text("utf-8").splitlines()[100:]
    longest = sorted(len(line.split("\t")[1]) for line in lines)[13]
    short = sum(len(line.split("\t")[1]) <= longest for line in lines)
    settings = tiny.settings(
        training={"steps": 50, "batch_size": 4, "held_out": 2, "longest_target": longest},
        collections=[{"name": "bitext", "bitext": [{"path": path, "language": "sw", "stop": 100}]}],
    )
    counted = counts(estimate(parse_config(settings)))
    assert counted["overlap with the evaluation"] == counted["reading and cleaning pairs"] == 120
    assert 14 <= short < 20 and counted["teacher vectors of English sentences"] == short


def test_a_given_speed_is_used_for_training_alone(tiny: Any) -> None:
    config = parse_config(tiny.settings(training={"steps": 1000}, collections=[]))
    stages = {stage.name: stage for stage in estimate(config, Given(pairs_per_second=1e-3)).stages}
    assert stages["training"].seconds == pytest.approx(1000 * 16 / 1e-3)
    assert [name for name, stage in stages.items() if stage.basis == "given"] == ["training"]
    with pytest.raises(InputError, match="pre-trains no encoder"):
        estimate(config, Given(tokens_per_second=5.0))


def test_an_evaluation_trains_nothing(tiny: Any) -> None:
    settings = tiny.settings()
    config = parse_config(
        {"kind": "evaluate", "encoder": settings["teacher"], "collections": settings["collections"]}
    )
    found = estimate(config)
    assert counts(found)["ciphers: queries"] == 25 and "training" not in counts(found)
    with pytest.raises(InputError, match="trains on no pairs or questions"):
        estimate(config, Given(pairs_per_second=5.0))


def test_a_pretraining_counts_tokens(tiny: Any) -> None:
    texts = [
        {"path": str(tiny.training["sw"]), "language": "sw"},
        {"path": str(tiny.training["mr"]), "language": "mr"},
    ]
    settings = {
        "kind": "pretrain",
        "text": texts,
        "tokenizer": {"vocabulary": 300},
        "model": {"layers": 1, "width": 32, "heads": 2, "feed_forward": 64},
        "pretraining": {"steps": 20, "batch_size": 4, "length": 16, "held_out": 5, "threads": 1},
    }
    found = estimate(parse_config(settings))
    assert counts(found)["training"] == 20 * 4 * 16


def test_a_sweep_is_its_runs(tiny: Any) -> None:
    base = tiny.settings(collections=[])
    sweep = {"kind": "sweep", "base": base, "choices": {"training.steps": [2, 4]}, "seeds": [0, 1, 2]}
    assert counts(estimate(parse_config(sweep)))["training"] == 3 * (2 + 4) * 16


def test_the_command_prints_a_table_and_json(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.json.toml"
    settings = tiny.settings()
    evaluated = {"kind": "evaluate", "encoder": settings["teacher"], "collections": settings["collections"]}
    from engine.cli import toml

    file.write_text(toml.dump(evaluated), "utf-8")
    assert run_command(["config", "estimate", str(file)]) == 0
    out = capsys.readouterr().out
    assert "ciphers: documents" in out and "memory" in out
    assert run_command(["config", "estimate", str(file), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["kind"] == "evaluate" and record["seconds"] > 0 and record["disk"]["cache"] > 0
    for arguments, sentence in (
        (["--pairs-per-second", "0"], "x>0"),
        (["--pairs-per-second", "5"], "trains on no pairs"),
        (["--set", "collections.0.bitext.0.path=missing.tsv"], "missing.tsv"),
    ):
        assert run_command(["config", "estimate", str(file), *arguments]) in (1, 2)
        assert sentence in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("published", [True, False])
def test_a_study_is_its_stages_for_all_seeds(tiny: Any, published: bool) -> None:
    teacher = tiny.encoder(centring=False)
    loop = {"batch_size": 8, "precision": "fp32", "held_out": 8, "evaluate_every": 3, "threads": 1}
    text = {"path": str(tiny.training["sw"]), "language": "sw"}
    recipe = {"teacher": teacher, "loss": {"maxsim_contrast": 1.0}}
    student = {"query_length": 24, "passage_length": 24, "projection": "linear", "projection_dim": 32}
    first = {"checkpoint": str(tiny.checkpoint)} if published else {"sampling": {"alpha": 1.0}}
    random = {"checkpoint": str(tiny.checkpoint)} if published else {}
    settings = {
        "kind": "study",
        "seeds": [3, 4, 5],
        "arms": [{"name": "one", **first}, {"name": "none", "random_weights": True, **random}],
        "primary": ["one", "none"],
        "transfer": {
            **recipe,
            "student": student,
            "bitext": [{**text, "monolingual": True}],
            "training": {**loop, "steps": 4},
        },
        "distil": {**recipe, "bitext": [text], "training": {**loop, "steps": 6}},
        "collections": [{"name": "bitext", "bitext": [{"path": str(tiny.test["sw"]), "language": "sw"}]}],
    }
    if not published:
        settings["pretrain"] = {
            "text": [text],
            "tokenizer": {"vocabulary": 100},
            "model": {"layers": 1, "width": 16, "heads": 2},
            "pretraining": {"steps": 3, "batch_size": 4, "length": 24, "held_out": 4, "threads": 1},
        }
    found = estimate(parse_config(settings))
    counted = {name: count for name, count in counts(found).items() if name.endswith("training")}
    expected = {
        "one, transfer: training": 3 * 4 * 8,
        "one, distil: training": 3 * 6 * 8,
        "none, transfer: training": 3 * 4 * 8,
        "none, distil: training": 3 * 6 * 8,
    }
    if not published:
        expected["one, pretrain: training"] = 3 * 3 * 4 * 24
    assert counted == expected and found.notes == ["each stage of an arm was measured once, for its 3 seeds"]
