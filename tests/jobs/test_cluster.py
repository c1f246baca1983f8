"""Runs as jobs through submitit's local executor: they finish, are pre-empted, and go on."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.cli.commands import run as command
from engine.cli.toml import dump
from engine.config import parse_config
from engine.errors import InputError, OpticalError
from engine.jobs import cluster, cluster_sweep
from engine.jobs.cluster import RunJob, check_place, job_of, submit
from engine.jobs.state import JOB_FILE, state_of
from engine.results.run_folder import RunFolder, tail
from engine.runs.execute import execute


def until(happened: Callable[[], Any], seconds: float = 240.0) -> Any:
    """Return what `happened` returns as soon as that is true; a job tells nobody that it ended."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def task_of(job: str) -> psutil.Process | None:
    """Return the process of a local job that executes it: the child of the job's controller."""
    try:
        return next(iter(psutil.Process(int(job)).children()), None)
    except psutil.NoSuchProcess:
        return None


@pytest.mark.slow
def test_a_preempted_job_goes_on_as_if_it_had_not_been(tiny: Any, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    settings = tiny.settings("sw", training={"steps": 400, "evaluate_every": 400, "learning_rate": 1e-3})
    whole, _ = execute(parse_config(settings), tmp_path / "whole", ["test"])
    results = tmp_path / "results.duckdb"
    folder = tmp_path / "runs" / "preempted"
    job = submit(parse_config(settings), folder, ["test"], results, "local")
    run = RunFolder.open(folder)
    until(lambda: len(tail(run.metrics_path).records) > 20)
    task = task_of(job)
    assert task is not None
    task.send_signal(signal.SIGUSR2)
    until(lambda: (found := task_of(job)) is not None and found.pid != task.pid)
    until(lambda: state_of(folder) == "finished")
    log = (folder / "log.txt").read_text("utf-8")
    assert "going on after step" in log and log.count("stopped by its user") == 1

    def losses(path: Path) -> list[tuple[int, float]]:
        records = {one.step: one.metrics for one in tail(path).records if "loss" in one.metrics}
        return [(step, records[step]["loss"]) for step in sorted(records)]

    assert losses(run.metrics_path) == losses(whole.metrics_path)  # bit for bit


@pytest.mark.slow
def test_a_sweep_of_jobs_is_that_of_one_process(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setattr(cluster_sweep, "_SECONDS", 0.1)
    sources = [{"path": str(tiny.test["sw"]), "language": "sw"}]
    base = {
        "kind": "evaluate",
        "encoder": tiny.encoder(),
        "collections": [{"name": "bitext", "bitext": sources}],
    }
    choices = {"encoder.query_length": [8, 24]}
    file, results = tmp_path / "sweep.toml", tmp_path / "jobs" / "results.duckdb"
    settings = {"kind": "sweep", "name": "jobs", "seeds": [0], "base": base, "choices": choices}
    file.write_text(dump({**settings, "cluster": {"time": 10}}), "utf-8")
    assert command(["sweep", str(file), "--on", "local", "--results", str(results), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    for row in table["rows"]:
        assert job_of(results.parent / "runs" / row["runs"][0])["on"] == "local"
    here = tmp_path / "here" / "results.duckdb"
    assert command(["sweep", str(file), "--results", str(here), "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert [row["value"] for row in table["rows"]] == [row["value"] for row in alone["rows"]]


def test_a_run_is_queued_until_its_job_starts(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "waits"
    monkeypatch.setattr(cluster, "_submit", lambda job, wanted, name, place: "17")
    config = parse_config(tiny.settings(cluster={"gpus": 2}))
    assert submit(config, folder, ["test"], tmp_path / "results.duckdb", "slurm") == "17"
    assert state_of(folder) == "queued" and job_of(folder) == {"on": "slurm", "job": "17"}
    # A distillation is trained by a process for each GPU.
    job = RunJob(folder, tmp_path / "results.duckdb", tmp_path)
    assert job._command(RunFolder.open(folder).record)[-3:] == ["--submitted", "--processes", "2"]
    # A cluster that refuses leaves a failed run, which can be submitted again.
    refused = tmp_path / "runs" / "refused"

    def refuse(*given: Any) -> str:
        raise RuntimeError("sbatch: error: invalid partition specified: gpuu")

    monkeypatch.setattr(cluster, "_submit", refuse)
    with pytest.raises(OpticalError, match="was not taken: sbatch: error: invalid partition"):
        submit(config, refused, ["test"], tmp_path / "results.duckdb", "slurm")
    assert state_of(refused) == "failed" and not (refused / JOB_FILE).exists()
    monkeypatch.setattr(cluster, "_submit", lambda job, wanted, name, place: "18")
    submit(config, refused, ["test"], tmp_path / "results.duckdb", "slurm")
    assert state_of(refused) == "queued"


def test_a_pickled_job_has_no_process(tmp_path: Path) -> None:
    job = RunJob(tmp_path / "runs" / "one", tmp_path / "results.duckdb", tmp_path)
    job._process = object()  # type: ignore[assignment]
    assert job.__getstate__()["_process"] is None and job.__getstate__()["folder"] == job.folder


def test_without_slurm_or_submitit_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_program", lambda name: None)
    with pytest.raises(InputError, match="--on slurm needs sbatch"):
        check_place("slurm")
    monkeypatch.setitem(sys.modules, "submitit", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'optical-workbench\[cluster\]'"):
        check_place("local")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"time": 0}, "cluster.time: input should be greater than or equal to 1"),
        ({"partition": "gpu\n#SBATCH --wrap=x"}, "cluster.partition: "),
        ({"options": {"qos;x": "low"}}, "'qos;x' is not the name of an option of sbatch"),
        ({"options": {"qos": "low; rm"}}, "cluster.options.qos"),
        ({"gpu": 1}, "cluster.gpu is not a setting (did you mean 'gpus'?)"),
    ],
)
def test_a_wrong_cluster_is_one_sentence(tiny: Any, table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_config(tiny.settings(cluster=table))
    assert sentence in str(caught.value)


def test_jobs_are_cancelled_by_the_cluster_and_not_by_a_program_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program with the name of scancel, which writes its arguments or refuses, stands in for SLURM's."""
    folder, programs = tmp_path / "run", tmp_path / "bin"
    folder.mkdir(), programs.mkdir()
    (folder / JOB_FILE).write_text(json.dumps({"on": "slurm", "job": "17"}))
    scancel = programs / "scancel"
    scancel.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    scancel.chmod(0o755)
    monkeypatch.chdir(programs)
    monkeypatch.setenv("PATH", ".:/nowhere")
    with pytest.raises(OpticalError, match="scancel is missing here"):
        cluster.cancel(folder)
    monkeypatch.setenv("PATH", str(programs))
    assert cluster.cancel(folder) and (tmp_path / "asked").read_text() == "17\n"
    scancel.write_text("#!/bin/sh\necho 'slurm_kill_job2: Access denied' >&2; exit 1\n")
    with pytest.raises(OpticalError, match="job 17 was not cancelled: slurm_kill_job2: Access denied"):
        cluster.cancel(folder)
    (folder / JOB_FILE).write_text(json.dumps({"on": "local", "job": "17"}))
    assert not cluster.cancel(folder)
