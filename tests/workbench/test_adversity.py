"""Errors outside the app: each is reported in a sentence, and what the screen shows stays."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from engine.results.queries import ask
from engine.results.run_folder import RunFolder
from workbench.app import Workbench
from workbench.widgets.table import Cell, Table

HOLDS = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def words(table: Table) -> list[list[str]]:
    return [[str(cell.text if isinstance(cell, Cell) else cell) for cell in row] for row in table.rows]


def names(app: Workbench) -> list[str]:
    return [row[2] for row in words(app.screen.query_one("#runs-table", Table))]


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of the runs and their database that may be damaged."""
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def holder(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the database open for writing."""
    command = [sys.executable, "-c", HOLDS, str(home / "results.duckdb")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.communicate()


async def test_the_run_folder_under_the_cursor_is_deleted(home: Path, tools: Any) -> None:
    app = Workbench(home / "results.duckdb")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await tools.settled(pilot)
        await pilot.press("space", "down", "space", "N")  # both marked, the second about to be renamed
        await tools.until(pilot, lambda: app.screen.is_modal)
        screen = app.screen_stack[-2]
        gone = screen.run_here
        shutil.rmtree(gone["folder"])
        app.screen.query_one(Input).value = "another name"
        await pilot.press("enter")
        said = f"the folder of run {gone['id']!r} is missing"
        await tools.until(pilot, lambda: [note for note in app._notifications if said in note.message])
        table = screen.query_one("#runs-table", Table)
        await tools.until(pilot, lambda: any("finished, folder missing" in row for row in words(table)))
        assert len(screen.runs) == 3 and list(screen.marked) == [screen.runs[0]["id"], gone["id"]]
        for key in ("v", "v", "v", "c", "l", "m", "x", "d", "escape", "r", "down", "up"):
            await pilot.press(key)
        await tools.until(pilot, lambda: not app.screen.is_modal)
        assert screen.run_here is not None
    assert not gone["folder"].exists()


async def test_corrupt_lines_of_metrics_are_counted_and_skipped(home: Path, tools: Any) -> None:
    (folder,) = (home / "runs").glob("*-newest")
    with (folder / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"step": 41, "metrics": {"loss"\n\xff\xfe\x00\n[1, 2]\n{"step": 42')
    app = Workbench(home / "results.duckdb")
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.settled(pilot)
        assert app.screen.run_here["name"] == "newest"
        await tools.until(pilot, lambda: "corrupt" in tools.status(pilot))
        assert "3" in tools.status(pilot) and "metrics.jsonl" in tools.status(pilot)
        curves = app.screen.details.curves[app.screen.run_here["id"]]
        assert curves.values["loss"][0] == list(range(0, 41, 2))


async def test_a_damaged_record_is_reported_and_the_other_runs_stay(home: Path, tools: Any) -> None:
    (folder,) = (home / "runs").glob("*-newest")
    (folder / "run.json").write_text('{"id": "x", ', "utf-8")
    app = Workbench(home / "results.duckdb")
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None)
        assert "run.json" in tools.status(pilot) and "not the record of a run" in tools.status(pilot)
        assert names(app) == ["optical", "baseline"]


async def test_unexpected_values_in_a_record_cause_no_error(home: Path, tools: Any) -> None:
    (folder,) = (home / "runs").glob("*-newest")
    record = json.loads((folder / "run.json").read_text("utf-8"))
    record |= {
        "name": "\x1b[31mred\u202e",
        "created": "1970-01-01",
        "config": None,
        "summary": None,
        "tags": None,
    }
    (folder / "run.json").write_text(json.dumps(record), "utf-8")
    app = Workbench(home / "results.duckdb")
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None)
        app.screen.query_one("#runs-table", Table).go_to(2)
        for key in ("v", "v", "space", "d"):
            await pilot.press(key)
        await pilot.pause()
        assert len(app.context.snapshot.runs) == 3


async def test_a_deleted_database_is_built_again(home: Path, tools: Any) -> None:
    app = Workbench(home / "results.duckdb")
    async with app.run_test(size=(80, 24)) as pilot:
        await tools.settled(pilot)
        (home / "results.duckdb").unlink()
        app.poll()
        await tools.until(pilot, lambda: (home / "results.duckdb").exists())
        assert len(names(app)) == 3
    assert len(ask(home / "results.duckdb", "FROM runs").rows) == 3


async def test_a_locked_database_is_reported_and_read_when_it_is_free(
    home: Path, holder: subprocess.Popen[str], tools: Any
) -> None:
    (folder,) = (home / "runs").glob("*-newest")
    RunFolder.open(folder).update(note="since")
    app = Workbench(home / "results.duckdb")
    async with app.run_test(size=(120, 40)) as pilot:
        held = f"process {holder.pid} holds the results database"
        await tools.until(pilot, lambda: held in tools.status(pilot))
        assert names(app) == ["newest", "optical", "baseline"]
        holder.communicate()
        app.poll()
        await tools.until(pilot, lambda: "holds" not in tools.status(pilot))
        await tools.until(pilot, lambda: "RR" in words(app.screen.query_one("#runs-table", Table))[1][4])
    assert ask(home / "results.duckdb", "SELECT note FROM runs ORDER BY id DESC LIMIT 1").rows == [("since",)]


async def test_runs_are_shown_while_a_large_database_is_read(
    home: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, read = Workbench(home / "results.duckdb"), threading.Event()
    refresh = app.context.store._refresh
    monkeypatch.setattr(app.context.store, "_refresh", lambda folders: (read.wait(30), refresh(folders)))
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None)
        assert names(app) == ["newest", "optical", "baseline"]
        assert "being brought up to date" in tools.status(pilot)
        read.set()
        await tools.until(pilot, lambda: "brought" not in tools.status(pilot))
        assert words(app.screen.query_one("#runs-table", Table))[1][4].startswith("RR")


async def test_the_runs_stay_when_reading_them_fails(
    home: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Workbench(home / "results.duckdb")
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.settled(pilot)

        def fail(early: Any) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(app.context.store, "poll", fail)
        app.poll()
        await tools.until(pilot, lambda: "Input/output error" in tools.status(pilot))
        assert len(names(app)) == 3


async def test_a_terminal_of_40_by_12_shows_one_thing_at_a_time(home: Path, tools: Any) -> None:
    app = Workbench(home / "results.duckdb")
    async with app.run_test(size=(40, 12)) as pilot:
        await tools.settled(pilot)
        screen = app.screen

        def seen() -> list[str]:
            parts = ("runs-table", "curves-pane", "settings", "log")
            return [name for name in parts if screen.query_one(f"#{name}").region.height >= 5]

        stations = [seen()]
        for _ in range(4):
            await pilot.press("v")
            await pilot.pause()
            stations.append(seen())
        assert stations == [["runs-table"], ["curves-pane"], ["settings"], ["log"], ["runs-table"]]
        assert app.focused is screen.query_one("#runs-table")
        await pilot.press("2")
        form = app.screen.query_one(Table)
        await tools.until(pilot, lambda: form.rows)
        assert form.region.height >= 3
        for key in ("question_mark", "escape", "f1", "escape", "ctrl+o", "escape", "p", "escape"):
            await pilot.press(key)
            await pilot.pause()
        assert not app.screen.is_modal
