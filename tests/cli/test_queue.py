"""The queue on the command line. The runs wait in the test's own process, which holds their locks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.jobs import queue
from engine.jobs.state import state_of
from engine.results import run_lock
from engine.results.run_folder import RunFolder
from tests.cli.conftest import Call, MakeRun


@pytest.fixture
def queued(make_run: MakeRun) -> list[RunFolder]:
    """A running run and three that wait."""
    make_run("busy", state="running")
    runs = []
    for name in ("first", "second", "third"):
        run = make_run(name, state="running")
        run.update(state="queued", started=None)
        queue._enter(run)
        runs.append(run)
    return runs


def names(call: Call, *arguments: str) -> list[str]:
    code, out, err = call("queue", *arguments, "--json")
    assert (code, err) == (0, "")
    listed = json.loads(out)
    assert [run["place"] for run in listed] == list(range(1, len(listed) + 1))
    return [run["name"] for run in listed]


def test_the_queue_is_listed_and_its_order_changed(call: Call, queued: list[RunFolder]) -> None:
    assert names(call, "list") == ["first", "second", "third"]
    assert names(call, "up", "third") == ["first", "third", "second"]
    assert names(call, "first", queued[1].id) == ["second", "first", "third"]
    lines = call("queue", "list").out.splitlines()
    assert lines[0].split() == ["place", "id", "name", "kind", "age"]
    assert [line.split()[2] for line in lines[1:]] == ["second", "first", "third"]
    code, out, err = call("queue", "up", "busy")
    assert (code, out) == (2, "") and "is running; it does not wait in the queue" in err


def test_runs_and_show_tell_the_place(call: Call, queued: list[RunFolder]) -> None:
    listed = {run["name"]: run for run in json.loads(call("runs", "--json").out)}
    assert [(listed[name]["state"], listed[name]["place"]) for name in ("busy", "first", "third")] == [
        ("running", None), ("queued", 1), ("queued", 3),
    ]  # fmt: skip
    assert "queued 2" in call("runs", "--filter", "state=queued second").out
    shown = call("show", "third").out.splitlines()
    assert ["state", "queued", "3"] in [line.split() for line in shown]
    assert json.loads(call("show", "third", "--json").out)["place"] == 3


def test_a_queued_run_is_neither_changed_nor_deleted_nor_resumed(call: Call, queued: list[RunFolder]) -> None:
    for arguments in (("note", "first", "x"), ("delete", "first", "--yes"), ("run", "--resume", "first")):
        code, out, err = call(*arguments)
        assert (code, out) == (2, "") and "queued" in err and err.count("\n") == 1, arguments


def test_an_empty_queue(call: Call, make_run: MakeRun) -> None:
    run = make_run("gone", state="running")
    run.update(state="queued")
    queue._enter(run)
    run_lock.release(run.path)
    assert call("queue", "list") == (0, "", "no run waits in the queue\n")
    assert json.loads(call("runs", "--json").out)[0]["state"] == "crashed"


def test_the_list_says_that_memory_lacks(
    call: Call, queued: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "LEAST_MEMORY", 1 << 60)
    err = call("queue", "list").err
    assert err.startswith(f"{queued[0].id} is waiting for memory: ") and "1073741824.0 GiB" in err


def test_now_is_for_detached_runs(call: Call) -> None:
    code, out, err = call("run", "x.toml", "--now")
    assert (code, out) == (2, "") and "--now is for --detach" in err


@pytest.mark.slow
def test_detached_runs_wait_for_one_another(
    call: Call, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process of the test has the turn until the second run is queued; a third one does not wait."""
    from tests.cli.test_run import wait_for, write

    psutil = pytest.importorskip("psutil")
    config = write(tmp_path, tiny.settings(training={"steps": 2, "held_out": 0, "evaluate_every": 10}))
    runs = tmp_path / "runs"
    runs.mkdir()
    assert queue._take(runs, wait=False)
    try:
        first, second = (json.loads(call("run", str(config), "--detach", "--json").out) for _ in range(2))
        assert (first["place"], second["place"]) == (1, 2)
        assert [state_of(runs / run["run"]) for run in (first, second)] == ["queued", "queued"]
        if sys.platform == "linux":  # who waits has not loaded torch
            assert psutil.Process(second["pid"]).memory_info().rss < 200e6
        now = json.loads(call("run", str(config), "--detach", "--now", "--json").out)
        assert now["place"] == 0
        assert wait_for(runs / now["run"], psutil.Process(now["pid"]), {"finished", "failed"}) == "finished"
        assert call("stop", first["run"]).out == f"{first['run']} stopped\n"
        assert "taken out of the queue" in call("show", first["run"]).out
        assert json.loads(call("run", "--resume", first["run"], "--detach", "--json").out)["place"] == 2
        assert call("queue", "first", first["run"]).code == 0
    finally:
        queue._release()
    for run in (first, second):
        folder = runs / run["run"]
        process = psutil.Process(RunFolder.open(folder).record["pid"])
        assert wait_for(folder, process, {"finished", "failed"}) == "finished"
    records = [RunFolder.open(runs / run["run"]).record for run in (first, second)]
    assert records[0]["started"] <= records[1]["started"]
    # the command that a user can repeat, without what only the process in the background is given
    results = str(tmp_path / "results.duckdb")
    assert records[1]["argv"] == ["optical-workbench", "run", "--results", results, str(config)]
