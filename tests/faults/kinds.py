"""A small run of each kind that trains, and what must be equal in two runs of one configuration."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from engine.results.run_folder import RunFolder, table_files, tail
from engine.results.tables import TABLES
from engine.training.pretraining.tokenizer import TOKENIZER_FILE
from engine.training.state import STATE_FILE

KINDS = ("distil", "teacher", "pretrain", "cross-encoder", "study")

#: What a finished run deletes last.
NEEDLESS = (STATE_FILE, TOKENIZER_FILE)
#: Parts of keys of a summary that say what a run cost.
_COSTS = ("second", "memory", "matmul", "doing", "speed")


def settings(kind: str, tiny: Any, folder: Path) -> dict[str, Any]:
    """Return settings of a run that takes some seconds; its files are written to `folder`."""
    loop = {**tiny.loop(), "steps": 30, "evaluate_every": 6, "dropout": 0.1}
    test = [{"path": str(tiny.test["sw"]), "language": "sw"}]
    collection = {"name": "bitext", "label": "ciphers", "bitext": test}
    pairs = [{"path": str(tiny.training[code]), "language": code} for code in ("sw", "mr")]
    if kind == "distil":
        return dict(tiny.settings("sw", "mr", training={**loop, "ema": 0.7}, loss={"negatives": 8}))
    if kind == "teacher":
        rows = []
        for number, line in enumerate(tiny.training["sw"].read_text("utf-8").splitlines()):
            asked, answer = line.split("\t")
            row = {"query_id": str(number), "query": asked, "positive_passages": [{"text": answer}]}
            rows.append(json.dumps({**row, "negative_passages": []}) + "\n")
        (folder / "train.jsonl").write_text("".join(rows))
        source = {"path": str(folder / "train.jsonl"), "format": "tevatron", "question_language": "sw"}
        return {
            "kind": kind, "name": "teacher", "encoder": tiny.encoder(centring=False), "sources": [source],
            "loss": {"temperature": 0.1}, "training": loop, "collections": [collection],
        }  # fmt: skip
    if kind == "pretrain":
        generator = random.Random(0)
        words = tiny.training["sw"].read_text("utf-8").split()
        lines = [" ".join(generator.sample(words, 8)) for _ in range(300)]
        (folder / "text.txt").write_text("\n".join(dict.fromkeys(lines)), "utf-8")
        return {
            "kind": kind, "name": "pretrain", "text": [{"path": str(folder / "text.txt"), "language": "sw"}],
            "tokenizer": {"vocabulary": 120, "algorithm": "bpe"},  # two unigram trainings differ
            "model": {"layers": 1, "width": 32, "heads": 2},
            "pretraining": {"steps": 40, "batch_size": 16, "length": 24, "learning_rate": 1e-2,
                            "precision": "fp32", "held_out": 20, "evaluate_every": 8, "threads": 1,
                            "dropout": 0.1},
        }  # fmt: skip
    if kind == "cross-encoder":
        return {
            "kind": kind, "name": "cross", "checkpoint": str(tiny.checkpoint), "max_length": 32,
            "first_stage": {"run": "first", "depth": 20}, "teacher": tiny.encoder(), "bitext": pairs[:1],
            "training": {"steps": 20, "batch_size": 8, "negatives": 3, "learning_rate": 2e-3, "held_out": 5,
                         "evaluate_every": 4, "precision": "fp32", "negatives_from": "random", "threads": 1,
                         "alignment": "keep", "dropout": 0.1},
        }  # fmt: skip
    recipe = {"teacher": tiny.encoder(centring=False), "loss": {"maxsim_contrast": 1.0}}
    stage = {
        "batch_size": 8,
        "precision": "fp32",
        "held_out": 8,
        "evaluate_every": 3,
        "threads": 1,
        "steps": 6,
    }
    english = {"path": str(tiny.training["sw"]), "language": "sw"}
    return {
        "kind": kind, "name": "study", "seeds": [4], "primary": ["none", "alike"],
        "arms": [{"name": "alike", "sampling": {"alpha": 0.0}}, {"name": "none", "random_weights": True}],
        "pretrain": {
            "text": [{**english, "side": "target"}, *pairs],
            "tokenizer": {"vocabulary": 120, "algorithm": "bpe"},
            "model": {"layers": 1, "width": 16, "heads": 2},
            "pretraining": {"steps": 6, "batch_size": 4, "length": 24, "held_out": 4, "threads": 1,
                            "evaluate_every": 3},
        },
        "transfer": {
            **recipe, "bitext": [{**english, "monolingual": True}],
            "student": {"query_length": 24, "passage_length": 24, "centring": False,
                        "projection": "linear", "projection_dim": 32},
            "training": {**stage, "learning_rate": 1e-3},
        },
        "distil": {**recipe, "bitext": pairs, "training": {**stage, "alignment": "trust"}},
        "collections": [collection],
    }  # fmt: skip


def first_stage(tiny: Any) -> dict[str, Any]:
    """Return settings of the run that a cross-encoder re-ranks."""
    test = [{"path": str(tiny.test["sw"]), "language": "sw"}]
    return {
        "kind": "evaluate", "name": "first", "encoder": tiny.encoder(centring=False),
        "collections": [{"name": "bitext", "label": "ciphers", "bitext": test}],
    }  # fmt: skip


def content(folder: Path) -> dict[str, Any]:
    """Return what a finished run left, except what it cost and when."""
    run = RunFolder.open(folder)
    curves: dict[int, dict[str, float]] = {}
    for record in tail(run.metrics_path).records:
        curves.setdefault(record.step, {}).update(record.metrics)
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and path.suffix in (".safetensors", ".json") and name != "run.json":
            files[name] = path.read_bytes() if path.suffix == ".safetensors" else path.read_text("utf-8")
        elif path.is_file() and path.suffix != ".parquet":
            files[name] = ""
    return {
        "state": run.record["state"], "failure": run.record["failure"],
        "summary": _own(run.record["summary"]),
        "curves": {step: _own(values) for step, values in curves.items()},
        "files": files,
        "tables": {
            name: [row for file in table_files(folder, name) for row in pq.read_table(file).to_pylist()]
            for name in TABLES
        },
    }  # fmt: skip


def _own(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if not any(cost in key for cost in _COSTS)}


def assert_equal(runs: Path, whole: Path) -> int:
    """Compare every run in the folder `runs` with the one of the same id in `whole`.

    Return how many temporary files of killed writers there are, which is the only thing that they may add.
    """
    names = sorted(path.name for path in whole.iterdir() if path.is_dir())
    assert sorted(path.name for path in runs.iterdir() if path.is_dir()) == names
    left = 0
    for name in names:
        # what a run says of its folder is the only thing in which they may differ
        found, expected = (
            json.loads(
                json.dumps(content(folder / name), default=repr)
                .replace(str(runs), "RUNS")
                .replace(str(whole), "RUNS")
            )
            for folder in (runs, whole)
        )
        for needless in NEEDLESS:  # it was killed after it was recorded as finished
            found["files"].pop(f"checkpoints/{needless}", None)
        hidden = [file for file in found["files"] if any(part[0] == "." for part in file.split("/"))]
        left += len({file.rpartition("/")[0] for file in hidden})
        for file in hidden:
            del found["files"][file]
        added = found["files"].keys() ^ expected["files"].keys()
        assert not added, f"{name}: {sorted(added)}"
        for part in expected:
            assert found[part] == expected[part], f"{name}: {part}"
    return left
