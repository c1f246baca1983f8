"""Pre-training runs: from text to a checkpoint that plain transformers opens."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.config import EncoderConfig, PretrainConfig, parse_config
from engine.encoders.encoder import Encoder
from engine.errors import InputError
from engine.evaluation.finished_run import encoders_of
from engine.results.ingest import ingest
from engine.results.run_folder import RunFolder, tail
from engine.runs.execute import execute, resume
from engine.training.pretraining.task import Pretraining, prepare_pretraining
from engine.training.pretraining.tokenizer import TOKENIZER_FILE
from engine.training.runtime import Runtime
from engine.training.trainer import Trainer

_NOUNS = "river stone cloud horse bread winter garden letter window market doctor summer"
NOUNS = _NOUNS.split()
SOUNDS = str.maketrans("aeioubdgkp", "іеуоаґжщфц")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sentences with a rule to learn: what comes second hangs on what comes first; 400 and 40 of them."""
    folder = tmp_path_factory.mktemp("text")
    generator = random.Random(0)
    files = {}
    for language, count in (("en", 400), ("uk", 40)):
        lines: dict[str, None] = {}
        while len(lines) < count:
            first = [generator.randrange(len(NOUNS)) for _ in range(4)]
            words = " ".join(f"{NOUNS[i]} {NOUNS[(i + 1) % len(NOUNS)]}" for i in first)
            lines[words if language == "en" else words.translate(SOUNDS)] = None
        files[language] = folder / f"{language}.txt"
        files[language].write_text("\n".join(lines), "utf-8")
    return files


def settings(files: dict[str, Path], /, **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "kind": "pretrain",
        "text": [{"path": str(path), "language": language} for language, path in files.items()],
        "tokenizer": {"vocabulary": 120},
        "model": {"layers": 1, "width": 32, "heads": 2},
        "pretraining": {
            "steps": 30,
            "batch_size": 16,
            "length": 24,
            "learning_rate": 1e-2,
            "precision": "fp32",
            "held_out": 20,
            "evaluate_every": 15,
            "threads": 1,
        },
    }
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        base[key] = {**base[key], **value} if both else value
    return base


def prepared(text: dict[str, Path], **changes: Any) -> Pretraining:
    config = parse_config(settings(text, **changes))
    assert isinstance(config, PretrainConfig)
    folder = text["en"].parent / "unused"
    folder.mkdir(exist_ok=True)
    (folder / TOKENIZER_FILE).unlink(missing_ok=True)
    return prepare_pretraining(config, Runtime.start(config.seed, config.pretraining), folder)


def curves(run: RunFolder) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for record in tail(run.metrics_path)[0]:
        for name, value in record.metrics.items():
            found.setdefault(name, {})[record.step] = value
    return found


def test_a_run_learns_and_leaves_what_transformers_opens(text: dict[str, Path], tmp_path: Path) -> None:
    from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

    collection = {"name": "bitext", "bitext": [{"path": str(tmp_path / "pairs.tsv"), "language": "uk"}]}
    (tmp_path / "pairs.tsv").write_text("".join(f"{n.translate(SOUNDS)} x\t{n} x\n" for n in NOUNS), "utf-8")
    config = parse_config(
        settings(
            text,
            tokenizer={"algorithm": "bpe"},
            pretraining={"steps": 130, "evaluate_every": 65, "batch_size": 24, "learning_rate": 5e-3},
            collections=[collection],
        )
    )
    run, scores = execute(config, tmp_path / "runs", ["test"])
    told = curves(run)
    vocabulary = len(AutoTokenizer.from_pretrained(run.checkpoints / "encoder"))
    loss = told["held_out_loss"]
    assert abs(loss[0] - math.log(vocabulary)) < 0.5  # a random model guesses
    assert loss[130] < math.log(2 * len(NOUNS)) < loss[0]  # knows more than which words there are
    assert told["held_out_accuracy"][130] > told["held_out_accuracy"][0]
    assert loss[130] == pytest.approx((told["held_out_loss_en"][130] + told["held_out_loss_uk"][130]) / 2)
    assert run.record["summary"]["tokens_per_second"] > 0 and run.record["summary"]["matmul_share"] > 0

    # plain transformers, and the same vectors through our encoder
    model, tokenizer = (
        AutoModel.from_pretrained(run.checkpoints / "encoder").eval(),
        AutoTokenizer.from_pretrained(run.checkpoints / "encoder"),
    )
    encoder = Encoder.load(
        EncoderConfig(
            checkpoint=str(run.checkpoints / "encoder"),
            query_prefix="",
            passage_prefix="",
            query_length=24,
            passage_length=24,
            centring=False,
        )
    )
    with torch.no_grad():
        states = model(**tokenizer("river stone", return_tensors="pt")).last_hidden_state[0]
        ours = encoder(encoder.tokenize(["river stone"], "query"), "query")
    torch.testing.assert_close(
        ours.tokens[0, : len(states)], torch.nn.functional.normalize(states, dim=-1), atol=1e-5, rtol=1e-5
    )
    head = AutoModelForMaskedLM.from_pretrained(run.checkpoints / "encoder", output_loading_info=True)[1]
    assert not head["missing_keys"]

    # its encoders can be asked, its scores and shares are in the database
    queries, _ = encoders_of(run)
    assert queries.config.query_prefix == "" and bool(queries.mean.any())
    assert len(scores) == 1
    ingest(tmp_path / "results.duckdb", tmp_path / "runs")
    connection = duckdb.connect(tmp_path / "results.duckdb", read_only=True)
    rows = connection.execute("SELECT * FROM pretraining ORDER BY language").fetchall()
    names = [column[0] for column in connection.description]
    connection.close()
    english, other = (dict(zip(names, row, strict=True)) for row in rows)
    assert (english["language"], english["sentences"], english["held_out"]) == ("en", 380, 20)
    assert (other["sentences"], other["held_out"]) == (36, 4)  # never more than a tenth
    assert english["tokens_seen"] + other["tokens_seen"] == 130 * 24 * 23
    assert english["share"] + other["share"] == pytest.approx(1)
    ratio = (english["tokens"] / other["tokens"]) ** 0.3
    assert english["probability"] / other["probability"] == pytest.approx(ratio)
    assert other["epochs"] == pytest.approx(other["tokens_seen"] / other["tokens"])
    assert other["unknown"] == 0 and other["pieces_per_word"] >= 1


def test_the_same_seed_gives_the_same_bits(text: dict[str, Path], tmp_path: Path) -> None:
    first = prepared(text, pretraining={"steps": 6, "dropout": 0.1}, tokenizer={"algorithm": "bpe"})
    first.tokenizer.save_pretrained(str(tmp_path / "tokenizer"))
    taken = {"vocabulary": 8000, "checkpoint": str(tmp_path / "tokenizer")}
    runs = [first] + [
        prepared(text, pretraining={"steps": 6, "dropout": 0.1}, tokenizer=taken, seed=seed)
        for seed in (0, 1)
    ]
    for one in runs:
        run = RunFolder.create(tmp_path / "runs", one.config, ["test"])
        Trainer(one.config.pretraining, one.runtime, run).fit(one)
    weights = [one.model.state_dict() for one in runs]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_a_stopped_run_ends_as_if_it_had_never_stopped(
    text: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = prepared(text, tokenizer={"algorithm": "bpe"})
    trained.tokenizer.save_pretrained(str(tmp_path / "tokenizer"))
    changes = settings(
        text,
        tokenizer={"vocabulary": 8000, "checkpoint": str(tmp_path / "tokenizer")},
        pretraining={"steps": 12, "evaluate_every": 5, "dropout": 0.1},
    )
    config = parse_config(changes)
    whole, _ = execute(config, tmp_path / "whole", ["test"])
    loss = Pretraining.loss

    def stopping(self: Pretraining, step: int, *batch: Any) -> tuple[Tensor, dict[str, float]]:
        if step == 8:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)
        return loss(self, step, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "loss", stopping)
        with pytest.raises(KeyboardInterrupt):
            execute(config, tmp_path / "stopped", ["test"], run_id="one")
    run = RunFolder.open(tmp_path / "stopped" / "one")
    assert run.record["state"] == "stopped" and (run.checkpoints / "encoder" / "config.json").is_file()
    resume(run)
    ends = [load_file(found.checkpoints / "encoder" / "model.safetensors") for found in (whole, run)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert curves(run)["loss"] == curves(whole)["loss"]
    assert not (run.checkpoints / "state.safetensors").exists()


def test_a_run_that_is_killed_after_its_last_step_says_what_it_has_seen(
    text: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    changes = settings(text, tokenizer={"algorithm": "bpe"}, pretraining={"steps": 4, "evaluate_every": 2})
    config = parse_config(changes)
    whole, _ = execute(config, tmp_path / "whole", ["test"])
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            execute(config, tmp_path, ["test"], run_id="one")
    run = RunFolder.open(tmp_path / "one")
    resume(run)
    rows, expected = (pq.read_table(found.path / "pretraining.parquet").to_pylist() for found in (run, whole))
    assert rows == expected and sum(row["tokens_seen"] for row in rows) == 4 * 16 * 23


@pytest.mark.parametrize("step", [2, 8])
def test_a_resumed_run_keeps_the_tokenizer_that_it_trained(
    text: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Another training of a unigram tokenizer gives other scores, and sometimes other pieces."""
    loss = Pretraining.loss
    kept: list[str] = []
    file = tmp_path / "one" / "checkpoints" / TOKENIZER_FILE

    def killed(self: Pretraining, number: int, *batch: Any) -> tuple[Tensor, dict[str, float]]:
        if number == step:
            kept.append(file.read_text("utf-8"))
            raise KeyboardInterrupt
        return loss(self, number, *batch)

    config = parse_config(settings(text, pretraining={"steps": 12, "evaluate_every": 5}))
    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "loss", killed)
        with pytest.raises(KeyboardInterrupt):
            execute(config, tmp_path, ["test"], run_id="one")
    run = RunFolder.open(tmp_path / "one")
    resume(run)
    saved = json.loads((run.checkpoints / "encoder" / "tokenizer.json").read_text("utf-8"))
    assert saved["model"] == json.loads(kept[0])["model"]
    assert not file.exists()


def test_a_damaged_tokenizer_of_a_run_is_one_sentence(text: dict[str, Path], tmp_path: Path) -> None:
    config = parse_config(settings(text))
    assert isinstance(config, PretrainConfig)
    (tmp_path / TOKENIZER_FILE).write_text("{")
    with pytest.raises(InputError, match="the tokenizer that the run trained is damaged"):
        prepare_pretraining(config, Runtime.start(config.seed, config.pretraining), tmp_path)


def test_pretraining_goes_on_from_a_run(text: dict[str, Path], tmp_path: Path) -> None:
    before, _ = execute(parse_config(settings(text, pretraining={"steps": 40})), tmp_path / "runs", ["test"])
    folder = before.checkpoints / "encoder"
    losses = curves(before)["held_out_loss"]
    more = {**settings(text, model={}), "tokenizer": {}, "model": {"checkpoint": str(folder)}}
    config = parse_config(more)
    run, _ = execute(config, tmp_path / "more", ["test"])
    assert curves(run)["held_out_loss"][0] == pytest.approx(losses[40], abs=0.02)
    saved = json.loads((run.checkpoints / "encoder" / "config.json").read_text("utf-8"))
    assert saved["architectures"] == ["BertForMaskedLM"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sampling": {"alpha": 1.5}}, "sampling.alpha: input should be less than or equal to 1"),
        (
            {"sampling": {"schedule": [0.5, -1]}},
            "sampling.schedule.1: input should be greater than or equal to 0",
        ),
        ({"sampling": {"max_epochs": 0}}, "sampling.max_epochs: input should be greater than 0"),
        ({"model": {"width": 33}}, "width = 33 must be a multiple of heads = 2"),
        ({"model": {"positions": 16}}, "model.positions = 16 is less than pretraining.length = 24"),
        ({"tokenizer": {"checkpoint": "x"}}, "vocabulary trains a tokenizer and checkpoint reuses one"),
        (
            {"model": {"checkpoint": "x"}},
            "layers is for a new encoder; leave it out if a checkpoint is continued",
        ),
        ({"text": []}, "text: list should have at least 1 item"),
        (
            {"text": [{"path": "x", "language": "sw", "start": 4, "stop": 4}]},
            "stop = 4 must be above start = 4",
        ),
        (
            {"text": [{"path": "x", "format": "text", "language": "sw", "side": "target"}]},
            "side belongs to bitext; leave it out with format = 'text'",
        ),
    ],
)
def test_impossible_settings_are_refused_in_a_sentence(
    changes: dict[str, Any], sentence: str, text: dict[str, Path]
) -> None:
    with pytest.raises(InputError) as caught:
        parse_config(settings(text, **changes))
    assert sentence in str(caught.value)


def test_what_shows_only_in_the_text_is_refused_before_training(
    text: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"raise sampling\.max_epochs"):
        prepared(text, sampling={"strategy": "unimax", "max_epochs": 0.1})
    (tmp_path / "empty.txt").write_text("\n\n", "utf-8")
    with pytest.raises(InputError, match="no text is left in 'so'"):
        prepared({**text, "so": tmp_path / "empty.txt"}, sampling={"alpha": 0})
    only_english = prepared({"en": text["en"]})
    only_english.tokenizer.save_pretrained(str(tmp_path / "english"))
    taken = {"tokenizer": {"vocabulary": 8000, "checkpoint": str(tmp_path / "english")}}
    with pytest.raises(InputError, match="of the pieces in 'uk' unknown"):
        prepared(text, **taken)
