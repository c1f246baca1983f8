"""Actions on all marked runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbench.app import Workbench
from workbench.widgets.dialogs import ConfirmDialog
from workbench.widgets.text_view import TextView


def told(app: Workbench) -> str:
    return " ".join(str(view.render()) for view in app.screen.query(TextView))


@pytest.fixture
def five(tmp_path: Path, tools: Any) -> Path:
    """Three runs that ended, one that is running and one that is queued, held by this process."""
    for number, name in enumerate(("first", "second", "third", "busy", "waiting")):
        run = tools.make_run(tmp_path / "runs", number, name, scored=False)
        if name in ("busy", "waiting"):
            run.resume([], queued=name == "waiting")
    return tmp_path


@pytest.mark.slow
async def test_marked_runs_are_deleted_and_the_others_stay(five: Path, tools: Any) -> None:
    app = Workbench(five / "results.duckdb")
    async with app.run_test(size=(120, 30)) as pilot:
        await tools.until(pilot, lambda: len(app.context.runs) == 5)
        await pilot.press("slash", *"name=second OR name=third OR name=busy", "enter")
        await tools.until(pilot, lambda: len(app.screen.shown) == 3)  # type: ignore[attr-defined]
        await pilot.press("asterisk", "D")
        await tools.until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert "Delete 2 marked runs?" in str(app.screen.query_one(".dialog").border_title)
        assert "third, second." in told(app) and "Not deleted, because running or queued: busy." in told(app)
        await pilot.press("enter")  # no
        await tools.until(pilot, lambda: not app.screen.is_modal)
        assert len(list((five / "runs").glob("2026*"))) == 5
        await pilot.press("D")
        await tools.until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("y")
        await tools.until(pilot, lambda: len(app.context.runs) == 3)
        assert {run["name"] for run in app.context.runs} == {"first", "busy", "waiting"}


@pytest.mark.slow
async def test_marked_runs_are_stopped_the_queue_from_its_end(
    five: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    monkeypatch.setattr("workbench.runs.edit._stop", lambda folder: stopped.append(folder.name[16:]) or "")
    monkeypatch.setattr("engine.jobs.queue.places", lambda folder: {"20260504-100004-waiting": 1})
    app = Workbench(five / "results.duckdb")
    async with app.run_test(size=(120, 30)) as pilot:
        await tools.until(pilot, lambda: len(app.context.runs) == 5)
        await pilot.press("end", "space", "s")
        assert "of 1 marked run, none is running or queued" in tools.status(pilot)
        await pilot.press("asterisk", "s")
        await tools.until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert "Stop 2 marked runs?" in str(app.screen.query_one(".dialog").border_title)
        await pilot.press("y")
        await tools.until(pilot, lambda: len(stopped) == 2)
    assert stopped == ["waiting", "busy"]
