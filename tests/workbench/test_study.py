"""The study view: one's own study, the reference study on a first start, and the plot of gaps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.evaluation.study_cache import load_study
from engine.results import reference
from workbench.app import Workbench
from workbench.results.study import draw_gaps
from workbench.results.study_screen import REFERENCE, StudyScreen
from workbench.widgets.table import Cell, Table


def words(table: Table) -> list[list[str]]:
    return [[str(cell.text if isinstance(cell, Cell) else cell) for cell in row] for row in table.rows]


def heading(app: Any) -> str:
    return str(app.screen.query_one("#heading").render())


async def test_a_study_among_the_runs_is_shown_by_its_own_view(
    planted_study: SimpleNamespace, tools: SimpleNamespace
) -> None:
    app = Workbench(planted_study.results)
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None and app.context.snapshot.revision)
        app.context.show_results(["study"])
        await tools.until(pilot, lambda: isinstance(app.screen, StudyScreen) and app.screen.loaded)
        table = app.screen.query_one(Table)
        assert [row[0] for row in words(table)] == ["alpha-1", "alpha-0"]
        assert "study study" in heading(app) and "REFERENCE" not in heading(app)
        plot = str(app.screen.query_one("#gaps").render())
        assert "gap by resource level: de fr minus so sw" in plot and "gap by text size" in plot
        await pilot.press("v")
        assert [row[0] for row in words(table)] == ["German", "French", "Swahili", "Somali", "mean"]
        await pilot.press("w")
        said = str(app.screen.query_one("#sentences").render())
        assert "After distillation no arm's mean over languages" in said and not table.display
        await pilot.press("escape")
        await tools.until(pilot, lambda: not isinstance(app.screen, StudyScreen))


async def test_a_first_start_shows_the_reference_study_and_says_so(
    planted_study: SimpleNamespace, tools: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped"
    reference.save_reference(planted_study.results, "study", {"bitext": "RR"}, shipped)
    monkeypatch.setattr(reference, "reference_folder", lambda: shipped)
    empty = tmp_path / "empty" / "results.duckdb"
    empty.parent.mkdir()
    app = Workbench(empty)
    async with app.run_test(size=(100, 30)) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None)
        await pilot.press("3")
        await tools.until(pilot, lambda: isinstance(app.screen, StudyScreen) and app.screen.loaded)
        assert REFERENCE in heading(app)
        assert [row[0] for row in words(app.screen.query_one(Table))] == ["alpha-1", "alpha-0"]
    assert not empty.exists()  # nothing of it became the user's


async def test_without_any_study_the_view_says_what_makes_one(
    tools: SimpleNamespace, app: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "reference_folder", lambda: tmp_path / "nothing")
    async with app.run_test(size=(80, 24)) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None and app.context.snapshot.revision)
        await pilot.press("3")
        await tools.until(pilot, lambda: app.screen.query("#results-table"))
        await pilot.press("y")
        await tools.until(pilot, lambda: isinstance(app.screen, StudyScreen))
        await tools.until(pilot, lambda: "run a study of your own" in tools.status(pilot))


def test_the_plot_has_its_marks_where_the_gaps_are(planted_study: SimpleNamespace) -> None:
    study = load_study(planted_study.results, "study", resamples=99)
    table = study.tables[0]
    lines = draw_gaps(table, table.groups[0], 71).plain.splitlines()
    # gaps of .35 before and after in the first arm, of .15 and .125 in the second, on 44 cells from 0 to .35
    assert [line.split("│")[0].strip() for line in lines[1:]] == ["alpha-1", "alpha-0"]
    first, second = (line.split("│")[1] for line in lines[1:])
    assert first.index("●") == 42 and "○" not in first  # the same gap: the later mark is seen
    assert (
        second.index("○") == round(0.15 / 0.35 * 43) - 1 and second.index("●") == round(0.125 / 0.35 * 43) - 1
    )
