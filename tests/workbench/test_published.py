"""Published scores of other models stand beside a run's own in Results, where the task is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.results.ingest import ingest
from workbench.app import Workbench
from workbench.widgets.table import Cell, Table

OURS = {"so": 0.905, "sw": 0.981}


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tools: Any) -> Workbench:
    """The app on two runs that were evaluated on NTREX-128, one of them also on a sample of it."""
    for number, name in enumerate(("zero-shot", "student")):
        run = tools.make_run(tmp_path / "runs", number, name, scored=False)
        revisions = ["2bc7acfa122b", *["2bc7acfa122b, sample of 100"] * number]
        common = {"collection": "ntrex", "protocol": "ntrex-128", "scoring": "dense", "direction": "xx-en"}
        rows = [
            {**common, "revision": revision, "query_language": code, "document_language": "en", "low": None,
             "measure": measure, "value": value + number / 100, "high": None, "queries": 1997}
            for revision in revisions for code, value in OURS.items() for measure in ("Success@1", "RR")
        ]  # fmt: skip
        run.write_table("scores", rows)
    ingest(tmp_path / "results.duckdb", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return Workbench(Path("results.duckdb"))


async def shown(pilot: Pilot[None], tools: Any, *names: str) -> Table:
    """Show runs in Results and return the table."""
    await tools.until(pilot, lambda: pilot.app.context.snapshot is not None and pilot.app.context.runs)
    pilot.app.context.show_results([run["id"] for run in pilot.app.context.runs if run["name"] in names])
    await tools.until(pilot, lambda: pilot.app.screen.query("#results-table"))
    table = pilot.app.screen.query_one("#results-table", Table)
    await tools.until(pilot, lambda: table.rows)
    return table


def texts(table: Table, key: str) -> dict[str, str]:
    """Return the cells of a row by the title of their column."""
    row = table.rows[table.keys.index(key)]
    return {
        column.title: cell.text if isinstance(cell, Cell) else str(cell)
        for column, cell in zip(table.columns, row, strict=True)
    }


@pytest.mark.parametrize("names", [("zero-shot",), ("zero-shot", "student")])
async def test_published_scores_of_the_task_are_columns(
    app: Workbench, tools: Any, names: tuple[str, ...]
) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        table = await shown(pilot, tools, *names)
        # MTEB's results of multilingual-e5-small on NTREXBitextMining, som_Latn-eng_Latn
        assert texts(table, "so")["† multilingual-e5-small"] == "0.918"
        mean = float(texts(table, "mean")["† multilingual-e5-small"])
        own = [float(texts(table, code)["† multilingual-e5-small"]) for code in OURS]
        assert mean == pytest.approx(sum(own) / 2, abs=1e-3)
        assert "MTEB" in str(app.screen.query_one("#heading").render())


async def test_a_sample_and_another_measure_have_none(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(160, 40)) as pilot:
        table = await shown(pilot, tools, "student")
        screen: Any = app.screen
        whole = screen.setting
        (sample,) = [one for one in screen.figures.table if "sample" in one.revision]
        assert any("†" in column.title for column in table.columns)
        for setting, measure in ((sample, "Success@1"), (whole, "RR")):
            screen.setting, screen.measure = setting, measure
            screen._fill()
            await pilot.pause()
            assert not any("†" in column.title for column in table.columns)


@pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["120x40", "80x24"])
def test_picture(
    app: Workbench, size: tuple[int, int], snap_compare: Callable[..., bool], tools: Any
) -> None:
    async def open_results(pilot: Pilot[None]) -> None:
        await shown(pilot, tools, "zero-shot")

    assert snap_compare(app, terminal_size=size, run_before=open_results)
