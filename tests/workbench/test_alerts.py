"""Alerts when a run ends, and the load of the machine while it runs."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.errors import OpticalError
from engine.results.run_folder import RunFolder
from workbench.app import Workbench
from workbench.data.machine import Gpu, LoadMeter, read_gpus
from workbench.data.user_settings import AlertSettings, UserSettings
from workbench.runs.system import SystemPanel, spark
from workbench.shell.alerts import RunWatch, alert_text, notify_desktop, run_command


def record(state: str, **changes: Any) -> dict[str, Any]:
    return {"id": "r1", "name": "one", "state": state, "failure": None, "folder": Path("runs/r1")} | changes


def program(folder: Path, text: str, name: str = "hook") -> Path:
    """A program of the user, which is a Python script."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}", "utf-8")
    path.chmod(0o755)
    return path


def test_only_a_run_that_was_seen_alive_has_ended() -> None:
    watch = RunWatch()
    assert watch.ended([record("finished"), record("running", id="r2"), record("queued", id="r3")]) == []
    ended = watch.ended([record("finished"), record("crashed", id="r2"), record("running", id="r3")])
    assert [run["id"] for run in ended] == ["r2"]
    assert watch.ended([record("finished"), record("crashed", id="r2")]) == []  # r3 was deleted


def test_an_alert_says_how_the_run_ended() -> None:
    assert alert_text(record("failed", failure="the loss is not a number at step 3")) == (
        "one failed: the loss is not a number at step 3"
    )
    assert alert_text(record("crashed")) == "one failed: its process was killed"
    assert alert_text(record("finished")) == "one finished"


def test_the_users_program_reads_the_run(tmp_path: Path) -> None:
    path = program(
        tmp_path, "import os, sys, pathlib\n"
        "pathlib.Path(sys.argv[1]).write_text(os.environ['OPTICAL_RUN'] + sys.argv[2] + sys.stdin.read())\n"
    )  # fmt: skip
    settings = AlertSettings(command=[str(path), str(tmp_path / "told"), "$(touch x); `y`"])
    run_command(settings, record("crashed", failure="x"))
    told = (tmp_path / "told").read_text("utf-8")
    assert told.startswith("r1$(touch x); `y`")
    facts = json.loads(told.removeprefix("r1$(touch x); `y`"))
    assert facts == {
        "id": "r1", "name": "one", "failure": "x", "state": "failed", "text": "one failed: x",
        "folder": "runs/r1",
    }  # fmt: skip


def test_what_the_users_program_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = program(tmp_path, "import sys; sys.exit('no network')\n")
    with pytest.raises(OpticalError, match=r"hook: exit status 1: no network"):
        run_command(AlertSettings(command=[str(failing)]), record("finished"))
    with pytest.raises(OpticalError, match="no-such-program: there is no such program"):
        run_command(AlertSettings(command=["no-such-program"]), record("finished"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "/nowhere"]))  # a program of the working folder
    with pytest.raises(OpticalError, match="there is no such program"):
        run_command(AlertSettings(command=["hook"]), record("finished"))


def test_the_desktop_is_notified_here_or_through_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    notify_desktop("one failed: <b>x</b>", sent.append, {"SSH_CONNECTION": "a", "DISPLAY": ":0"})
    assert sent == ["\x1b]9;Optical Workbench: one failed: <b>x</b>\x07"]
    told = str(tmp_path / "told")
    program(tmp_path / "bin", f"import sys; open({told!r}, 'w').write(sys.argv[-1])", "notify-send")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    notify_desktop("one failed: <b>x</b>", sent.append, {"DISPLAY": ":0"})
    assert len(sent) == 1 and (tmp_path / "told").read_text() == "one failed: &lt;b&gt;x&lt;/b&gt;"


@pytest.fixture
def running(tmp_path: Path, tools: Any) -> RunFolder:
    """A run that this process holds."""
    run: RunFolder = tools.make_run(tmp_path / "runs", 0, "alive", scored=False)
    run.resume([])
    return run


@pytest.mark.parametrize("on", [["failed"], pytest.param(["finished"], marks=pytest.mark.slow)])
async def test_the_app_tells_of_the_end_of_a_run(
    running: RunFolder, tmp_path: Path, tools: Any, monkeypatch: Any, on: list[str]
) -> None:
    settings = AlertSettings(
        on=on, command=[str(program(tmp_path, f"open({str(tmp_path / 'told')!r}, 'w')"))]
    )
    app = Workbench(tmp_path / "results.duckdb", UserSettings(alerts=settings))
    rung: list[int] = []
    monkeypatch.setattr(app, "bell", lambda: rung.append(1))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await tools.until(pilot, lambda: [run["state"] for run in app.context.runs] == ["running"])
        await tools.until(pilot, lambda: app._watch._living)
        running.finish("failed", "the loss is not a number at step 3")
        app.poll()
        await tools.until(pilot, lambda: [run["state"] for run in app.context.runs] == ["failed"])
        await tools.until(pilot, lambda: not app._watch._living)
        await app.workers.wait_for_complete()
        told = [note.message for note in app._notifications]
    expected = "alive failed: the loss is not a number at step 3"
    assert (rung, expected in told, (tmp_path / "told").exists()) == (
        ([1], True, True) if on == ["failed"] else ([], False, False)
    )


# -- the load of the machine ----------------------------------------------------------------------


def test_the_load_is_that_of_the_system_and_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.data.machine.find_program", lambda name: None)
    now = [0.0]
    meter = LoadMeter(lambda: now[0])
    own = psutil.Process()
    run = record("running", host=platform.node(), pid=own.pid, process_started=own.create_time())
    assert meter.measure(run) is None  # shares of time begin with this call
    now[0] += 2
    load = meter.measure(run)
    assert load is not None and load.cores == psutil.cpu_count()
    assert load.total == psutil.virtual_memory().total and 0 < load.used <= load.total
    assert load.run_used >= own.memory_info().rss * 0.5 and load.gpus == ()
    now[0] += 0.1
    assert meter.measure(run) is load
    for other in ({"host": "elsewhere"}, {"state": "finished"}):
        assert meter.measure({**run, **other}) is None


def test_gpus_are_read_as_nvidia_smi_prints_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = "0, 87, 12345, 143771, 61\n1, [N/A], [N/A], [N/A], 30\n"
    expected = (Gpu(0, 87, 12345 * 2**20, 143771 * 2**20, 61), Gpu(1, None, None, None, 30))
    assert read_gpus(printed) == expected
    program(tmp_path, f"import sys; assert sys.argv[1].count(',') == 4; print({printed!r})", "nvidia-smi")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert LoadMeter()._gpus() == expected
    program(tmp_path, "print('No devices were found')", "nvidia-smi")
    meter = LoadMeter()
    assert meter._gpus() == () and not meter._gpus_known


def test_a_line_of_blocks_has_the_heights_of_the_shares() -> None:
    assert spark([0, 0.5, 1, 2, -1]) == "▁▅██▁"


@pytest.mark.slow
async def test_the_panel_is_below_the_curves_of_a_running_run_only(
    running: RunFolder, tmp_path: Path, tools: Any, monkeypatch: Any
) -> None:
    own = psutil.Process()
    path = running.path / "run.json"
    here = {"host": platform.node(), "pid": own.pid, "process_started": own.create_time()}
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | here), "utf-8")
    monkeypatch.setattr("workbench.data.machine.SHORTEST", 0.0)
    tools.make_run(tmp_path / "runs", 1, "ended", scored=False)
    app = Workbench(tmp_path / "results.duckdb")
    async with app.run_test(size=(120, 40)) as pilot:
        panel = app.screen.query_one(SystemPanel)
        assert not panel.display
        await tools.until(pilot, lambda: len(app.context.runs) == 2)
        await tools.until(pilot, lambda: app.poll() or panel.display)
        shown = str(panel.render())
        assert "CPU" in shown and "memory" in shown and "this run" in shown
        await pilot.press("down")
        await tools.until(pilot, lambda: not panel.display)
