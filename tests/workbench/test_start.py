"""Runs that the app starts and resumes with the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from engine.config import load_config
from engine.config.bitext import TrainingBitextConfig
from engine.errors import OpticalError
from engine.results.run_folder import RunFolder
from workbench.app import Workbench
from workbench.data.start import start, start_failure, start_time
from workbench.widgets.table import Table

#: Writes its arguments to a file, then changes the run as DOES says, in place of the real program.
PROGRAM = """#!{python}
import json, os, pathlib, sys
sys.path.insert(0, {root!r})
here = pathlib.Path({home!r})
(here / "argv.json").write_text(json.dumps(sys.argv[1:]))
from engine.config import DistilConfig, BitextConfig
from engine.results.run_folder import RunFolder
{does}
"""
RESUMES = """
run = RunFolder.open(here / "runs" / sys.argv[sys.argv.index("--resume") + 1])
run.resume(["again"]); run.finish("finished"); print(run.id)
"""
FAILS = """
config = DistilConfig(bitext=[BitextConfig(path="x.tmx", language="so")])
RunFolder.create(here / "runs", config, [], run_id="new").finish("failed", "x.tmx: there is no such file")
print("new")
"""
REFUSES = """
print("loading", file=sys.stderr)
print("optical-workbench: the bitext is gone", file=sys.stderr)
sys.exit(2)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that replaces optical-workbench by a program that writes its arguments to a file."""

    def make(does: str) -> Path:
        path = tmp_path / "program"
        root = str(Path(__file__).parents[2])
        path.write_text(PROGRAM.format(python=sys.executable, root=root, home=str(tmp_path), does=does))
        path.chmod(0o755)
        monkeypatch.setattr(
            "workbench.data.start.python_command", lambda _, *arguments: [str(path), *arguments]
        )
        return tmp_path / "argv.json"

    return make


def shown(app: Workbench, selector: str) -> str:
    return " ".join(str(app.screen.query_one(selector).render()).split())


async def test_a_stopped_run_is_resumed_and_others_are_not(tmp_path: Path, tools: Any, program: Any) -> None:
    arguments_file = program(RESUMES)
    run = tools.make_run(tmp_path / "runs", 0, "cut")
    app = Workbench(tmp_path / "results.duckdb")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None)
        await pilot.press("r")
        await tools.until(pilot, lambda: "nothing to resume" in tools.status(pilot))
        assert not app.screen.is_modal and not arguments_file.exists()
        RunFolder.open(run.path).finish("stopped", "stopped by its user")
        app.poll()
        await tools.until(pilot, lambda: app.screen.run_here["state"] == "stopped")
        await pilot.press("r")
        await tools.until(pilot, lambda: app.screen.is_modal)
        question = shown(app, ".sentence")
        assert question.startswith("It saved no state, so it starts over")
        await pilot.press("y")
        await tools.until(pilot, lambda: app.screen.run_here["state"] == "finished")
    command = question.partition("$ optical-workbench ")[2].split()
    assert command == json.loads(arguments_file.read_text("utf-8"))
    assert command[:4] == ["run", "--resume", run.id, "--detach"]
    assert RunFolder.open(run.path).record["argv"] == ["again"]


async def test_resume_names_the_saved_state_and_reports_a_refusal(
    tmp_path: Path, tools: Any, program: Any
) -> None:
    program(REFUSES)
    run = tools.make_run(tmp_path / "runs", 0, "cut")
    (run.checkpoints / "state.safetensors").write_bytes(b"")
    RunFolder.open(run.path).finish("stopped", None)
    app = Workbench(tmp_path / "results.duckdb")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None)
        await pilot.press("r")
        await tools.until(pilot, lambda: app.screen.is_modal)
        assert shown(app, ".sentence").startswith("It continues from its last saved state")
        await pilot.press("y")
        await tools.until(
            pilot, lambda: [note.message for note in app._notifications][:1] == ["the bitext is gone"]
        )


@pytest.mark.slow
async def test_launch_starts_exactly_what_it_shows(
    tmp_path: Path, tools: Any, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments_file = program(FAILS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.metadata.distributions", list)  # no data to pick from
    app = Workbench(Path("results.duckdb"))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None)
        await pilot.press("2")
        table = app.screen.query_one(Table)
        await tools.until(pilot, lambda: table.rows)
        await pilot.press("ctrl+s")  # not valid: the cursor moves to the missing setting
        await pilot.pause()
        assert not app.screen.is_modal
        for key, value in (("path", "x.tmx"), ("language", "so")):
            assert table.key == ("bitext", 0, key)
            await pilot.press("enter")
            await tools.until(pilot, lambda: app.screen.is_modal)
            app.screen.query_one(Input).value = value
            await pilot.pause()
            await pilot.press("enter", "ctrl+s")
            await pilot.pause()
        assert app.screen.is_modal
        text = str(app.screen_stack[-2].query_one("#command").render()).removeprefix("$ ")
        command = text.splitlines()[0]
        await pilot.press("y")
        await tools.until(pilot, lambda: "no such file" in tools.status(pilot))
    assert command == "optical-workbench run configs/run.toml --detach --results results.duckdb"
    assert ["optical-workbench", *json.loads(arguments_file.read_text("utf-8"))] == command.split()
    config = load_config(tmp_path / "configs/run.toml")
    assert config.bitext == [TrainingBitextConfig(path="x.tmx", language="so")] and config.name == "run"


def test_the_message_of_the_program_is_the_error(tmp_path: Path, program: Any) -> None:
    program(REFUSES)
    with pytest.raises(OpticalError, match=r"^the bitext is gone$"):
        start(["optical-workbench", "run", "x"])
    program("")
    with pytest.raises(OpticalError, match="without a message"):
        start(["optical-workbench", "run", "x"])


def test_the_error_of_a_run_that_did_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.data.start.WATCH_SECONDS", 0.01)
    folder = tmp_path / "runs" / "x"
    folder.mkdir(parents=True)
    assert start_time(folder) is None
    (folder / "log.txt").write_text("loading\noptical-workbench: out of memory\n\n", "utf-8")
    assert start_failure(folder, None, lambda: True) == "out of memory"
    assert start_failure(folder, None, lambda: False) is None


def test_where_a_resumed_run_continues(tmp_path: Path) -> None:
    from engine.extensions.runs import RUN_KINDS
    from workbench.runs.edit import _resume_point

    points = {kind: _resume_point({"kind": kind, "folder": tmp_path}) for kind in RUN_KINDS}
    trained = {kind for kind, point in points.items() if point.startswith("It saved no state")}
    assert trained == {"distil", "teacher", "pretrain", "cross-encoder"}
    others = {points[kind] for kind in set(points) - trained}
    assert others == {"It continues with the searches that are not done yet."}
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "state.safetensors").write_bytes(b"")
    for kind in RUN_KINDS:
        point = _resume_point({"kind": kind, "folder": tmp_path})
        assert point.startswith("It continues from its last saved state")
