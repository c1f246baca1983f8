"""Two processes train as one does, and the end of one of them ends the run in one sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.cli.toml import dump
from engine.config import parse_config
from engine.errors import InputError
from engine.jobs.child import child_environment
from engine.jobs.processes import check_count
from engine.jobs.state import state_of
from engine.results.run_folder import read_record, run_folders, tail
from engine.runs.execute import execute

TRAINING = {"steps": 20, "evaluate_every": 10, "batch_size": 15, "learning_rate": 2e-3}
"""15 sentences for two processes: one of them pads its share."""


def losses(folder: Path) -> dict[int, float]:
    records = tail(folder / "metrics.jsonl").records
    return {one.step: one.metrics["loss"] for one in records if "loss" in one.metrics}


#: `run` on a machine of one core, whose number of processes is not checked.
UNCHECKED = """
import sys
import engine.jobs.processes
engine.jobs.processes.check_count = lambda count: None
from engine.cli.commands import run
sys.exit(run(sys.argv[1:]))
"""


def several(*arguments: str) -> subprocess.Popen[str]:
    """Start `run` with two processes."""
    argv = [sys.executable, "-P", "-c", UNCHECKED, "run", *arguments, "--processes", "2"]
    return subprocess.Popen(
        argv, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def made(kind: str, tiny: Any, folder: Path) -> dict[str, Any]:
    """Settings of a run that has no dropout, which no two processes draw alike."""
    if kind == "pretrain":
        lines = tiny.training["sw"].read_text("utf-8").splitlines()
        text = folder / "text.txt"
        text.write_text("\n".join(line.partition("\t")[0] for line in lines), "utf-8")
        loop = {**tiny.loop(), **TRAINING, "length": 24, "dropout": 0.0}
        return {
            "kind": "pretrain",
            "text": [{"path": str(text), "language": "sw"}],
            "tokenizer": {"vocabulary": 120},
            "model": {"layers": 1, "width": 32, "heads": 2},
            "pretraining": loop,
        }
    if kind == "teacher":
        lines = tiny.training["sw"].read_text("utf-8").splitlines()
        rows = [dict(zip(("query", "answer"), line.split("\t"), strict=True)) for line in lines]
        questions = folder / "questions.jsonl"
        with questions.open("w", encoding="utf-8") as stream:
            for number, row in enumerate(rows):
                found = {"positive_passages": [{"text": row["answer"]}], "negative_passages": []}
                stream.write(json.dumps({"query_id": str(number), "query": row["query"], **found}) + "\n")
        return {
            "kind": "teacher",
            "encoder": tiny.encoder(centring=False),
            "sources": [{"path": str(questions), "format": "tevatron", "question_language": "sw"}],
            "loss": {"temperature": 0.1},
            "training": {**tiny.loop(), **TRAINING},
        }
    settings: dict[str, Any] = tiny.settings(
        "sw",
        training=TRAINING,
        loss={"negatives": 4, "pooled_mse": 0.5, "transport_contrast": 0.5},
        transport={"marginals": "learned", "solver": "sinkhorn"},
    )
    return settings


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["distil", "torchrun", "teacher", "pretrain"])
def test_two_processes_have_the_losses_of_one(kind: str, tiny: Any, tmp_path: Path) -> None:
    settings = made(kind, tiny, tmp_path)
    alone, _ = execute(parse_config(settings), tmp_path / "alone", ["test"])
    file, results = tmp_path / "run.toml", tmp_path / "results.duckdb"
    file.write_text(dump(settings), "utf-8")
    given = [str(file), "--results", str(results)]
    if kind == "torchrun":
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        argv = [sys.executable, "-P", *launcher, "-m", "engine.cli", "run", *given]
        ended = subprocess.run(argv, env=child_environment(), capture_output=True, text=True)
        code, said = ended.returncode, ended.stderr
    else:
        process = several(*given)
        _, said = process.communicate()
        code = process.returncode
    assert code == 0, said
    (folder,) = run_folders(tmp_path / "runs")
    assert state_of(folder) == "finished"
    one, two = losses(alone.path), losses(folder)
    assert one.keys() == two.keys() and len(one) == 20
    assert max(abs(one[step] - two[step]) for step in one) < 1e-4
    # One writer: a line for each step and measurement.
    assert len(tail(folder / "metrics.jsonl").records) == len(tail(alone.metrics_path).records)
    summary, before = read_record(folder)["summary"], read_record(alone.path)["summary"]
    for name in {"held_out_rr", "held_out_loss"} & before.keys():
        assert summary[name] == pytest.approx(before[name], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_the_end_of_one_process_ends_all_and_the_run_goes_on(killed: int, tiny: Any, tmp_path: Path) -> None:
    training = {**TRAINING, "steps": 5000, "evaluate_every": 5, "patience": 1000}
    file, results = tmp_path / "run.toml", tmp_path / "results.duckdb"
    file.write_text(dump(tiny.settings("sw", training=training)), "utf-8")
    launcher = several(str(file), "--results", str(results))
    deadline = time.monotonic() + 500

    def step() -> int:
        found = run_folders(tmp_path / "runs")
        return max([0, *losses(found[0])]) if found else 0

    while step() < 7:  # the first state is saved at step 5
        assert launcher.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    (folder,) = run_folders(tmp_path / "runs")
    ranks = {one.environ()["RANK"]: one for one in psutil.Process(launcher.pid).children()}
    assert int(read_record(folder)["pid"]) == ranks["0"].pid
    ranks[str(killed)].send_signal(signal.SIGKILL)
    _, said = launcher.communicate(timeout=240)
    assert launcher.returncode == 1 and not any(one.is_running() for one in ranks.values())
    sentences = [line for line in said.splitlines() if line.startswith("optical-workbench:")]
    assert len(sentences) == 1 and "resume the run, which goes on from the last saved state" in sentences[0]
    assert "Traceback" not in said and state_of(folder) == ("failed" if killed else "crashed")
    before = step()
    again = several("--resume", folder.name, "--results", str(results))
    while step() <= before:
        assert again.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    again.send_signal(signal.SIGTERM)  # as `stop` does; all processes end after the step
    again.communicate(timeout=240)
    assert again.returncode == 130 and state_of(folder) == "stopped"
    assert "going on after step" in (folder / "log.txt").read_text("utf-8")


def test_more_processes_than_cores_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    check_count(2)
    with pytest.raises(
        InputError, match="--processes 3 is more than the 2 CPU cores of this machine; lower it"
    ):
        check_count(3)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(InputError, match="--processes 2 is more than the 1 GPU"):
        check_count(2)
