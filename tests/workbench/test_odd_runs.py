"""The app with run folders that are damaged, odd or missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.results.ingest import ingest
from engine.results.queries import ask
from engine.results.run_folder import read_record
from tests.odd_runs import write_odd_files, write_odd_values
from workbench.app import Workbench
from workbench.widgets.table import Cell, Table


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


def is_read(folder: Path) -> bool:
    try:
        read_record(folder)
    except InputError:
        return False
    return True


def text(cell: Any) -> str:
    return str(cell.text if isinstance(cell, Cell) else cell)


@pytest.mark.slow
async def test_odd_runs_are_told_or_shown_on_every_screen(home: Path, tools: Any) -> None:
    (good,) = (home / "runs").glob("*-optical")
    folders = [
        *write_odd_files(home / "runs", good).values(), *write_odd_values(home / "runs", good, every=67)
    ]  # fmt: skip
    shown = {folder.name for folder in folders if is_read(folder)}
    app = Workbench(home / "results.duckdb")
    async with app.run_test(size=(150, 45)) as pilot:
        await tools.settled(pilot)
        await tools.until(pilot, lambda: len(app.context.snapshot.runs) == 3 + len(shown))
        # One sentence for each run that is left out, and no second one by ingest.
        problems = app.context.snapshot.problems
        left_out = [folder.name for folder in folders if folder.name not in shown]
        assert sorted(name for text in problems for name in left_out if name in text) == sorted(left_out)
        assert len(problems) == len(left_out)
        screen = app.screen
        for _ in range(len(app.context.snapshot.runs)):  # each run's curves, settings and log
            await pilot.press("down")
        for key in [*"vvvoooooooo", "space", "up", "space", "up", "d", "escape"]:
            await pilot.press(key)
        for mode in ("launch", "results", "plan", "ask", "sql", "runs"):
            app.context.open_mode(mode)
            await pilot.pause()
        await tools.until(pilot, lambda: app.screen is screen)
    assert app.return_code == 0 or app.return_code is None


async def test_a_run_whose_folder_is_missing_stays_until_it_is_forgotten(home: Path, tools: Any) -> None:
    ingest(home / "results.duckdb", home / "runs")
    (away,) = (home / "runs").glob("*-optical")
    (mean,) = ask(home / "results.duckdb", "SELECT avg(value) FROM scores WHERE run = ?", [away.name]).rows[0]
    shutil.move(away, home / "elsewhere")
    app = Workbench(home / "results.duckdb")
    async with app.run_test(size=(150, 45)) as pilot:
        await tools.settled(pilot)
        await tools.until(pilot, lambda: len(app.context.snapshot.runs) == 3)
        table = app.screen.query_one("#runs-table", Table)
        rows = {row[2]: [text(cell) for cell in row] for row in table.rows}
        assert "finished, folder missing" in rows["optical"] and f"RR {mean:.3f}" in rows["optical"]
        table.go_to(next(place for place, row in enumerate(table.rows) if row[2] == "optical"))
        await pilot.press("s")
        await tools.until(pilot, lambda: "the folder of optical is missing" in tools.status(pilot))
        app.context.show_results([away.name])
        await tools.until(pilot, lambda: app.screen.query("#heading"))
        await tools.until(
            pilot, lambda: "folder missing: optical" in str(app.screen.query_one("#heading").render())
        )
        app.context.open_mode("runs")
        await tools.until(pilot, lambda: app.screen.query("#runs-table"))
        await pilot.press("delete")
        await tools.until(pilot, lambda: app.screen.is_modal)
        await pilot.press("y")
        await tools.until(pilot, lambda: len(app.context.snapshot.runs) == 2)
    shutil.move(home / "elsewhere", away)
    assert ingest(home / "results.duckdb", home / "runs").added == [away.name]


async def test_a_deleted_run_goes_at_once(home: Path, tools: Any) -> None:
    app = Workbench(home / "results.duckdb")
    async with app.run_test(size=(150, 45)) as pilot:
        await tools.settled(pilot)
        gone = app.screen.run_here
        await pilot.press("delete")
        await tools.until(pilot, lambda: app.screen.is_modal)
        await pilot.press("y")
        await tools.until(pilot, lambda: len(app.context.snapshot.runs) == 2)
        assert gone["id"] not in {run["id"] for run in app.context.runs}
    assert not list((home / "runs").glob(".*"))
    json.loads((home / "runs" / app.context.runs[0]["id"] / "run.json").read_text())
