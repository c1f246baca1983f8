"""SVG snapshots of every screen, at both sizes that the app supports, and without colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from workbench.app import Workbench
from workbench.data.machine import Gpu, Load
from workbench.runs.system import SystemPanel
from workbench.widgets.table import Table


async def runs(pilot: Pilot[None], tools: Any) -> None:
    await tools.settled(pilot)
    await pilot.press("space", "down", "space")
    await pilot.pause()


async def launch(pilot: Pilot[None], tools: Any) -> None:
    await tools.settled(pilot)
    await pilot.press("2")
    await tools.until(pilot, lambda: pilot.app.screen.query_one(Table).rows)


async def results(pilot: Pilot[None], tools: Any) -> None:
    await tools.settled(pilot)
    ids = [run["id"] for run in pilot.app.context.snapshot.runs if run["name"] != "newest"]
    pilot.app.context.show_results(ids)
    await tools.until(pilot, lambda: getattr(pilot.app.screen, "comparisons", None))


async def plan(pilot: Pilot[None], tools: Any) -> None:
    await tools.settled(pilot)
    await pilot.press("4")
    await tools.until(pilot, lambda: pilot.app.screen.query_one("#left").plan)


async def sql(pilot: Pilot[None], tools: Any) -> None:
    await tools.settled(pilot)
    await pilot.press("6")
    pilot.app.screen.query_one(TextArea).cursor_blink = False
    await tools.until(pilot, lambda: pilot.app.screen.tables)
    await pilot.press("f5")
    await tools.until(pilot, lambda: pilot.app.screen.query_one("#sql-rows", Table).rows)


async def completions(pilot: Pilot[None], tools: Any) -> None:
    """Two tabs, and the list of completions over the editor."""
    await sql(pilot, tools)
    await pilot.press("ctrl+t", *"SELECT p.v FROM per_language AS p")
    await pilot.press(*["left"] * len(" FROM per_language AS p"), "backspace", "v")
    await tools.until(pilot, lambda: pilot.app.screen.query_one("#sql-completions").display)


async def system(pilot: Pilot[None], tools: Any) -> None:
    """The load below the curves, as if the newest run were running."""
    await tools.settled(pilot)
    gpus = (Gpu(0, 87, 12 * 2**30, 140 * 2**30, 61), Gpu(1, None, None, None, 30))
    panel = pilot.app.screen.query_one(SystemPanel)
    # the app reads the runs every two seconds, and none of them is running
    show, panel.show = panel.show, lambda run, load: None  # type: ignore[method-assign]
    for share in range(0, 101, 10):
        show("run", Load(16, share, share * 2**28, 100 * 2**28, 16.0 * share, 2**31, gpus))
    await pilot.pause()


SCREENS = (runs, launch, results, plan, sql)


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.sql.screen.time", SimpleNamespace(perf_counter=lambda: 0.0))
    monkeypatch.setattr(Input, "cursor_blink", False)


SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
EVERY = pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.__name__)


@SIZES
@EVERY
def test_screen(
    app: Workbench, screen: Any, size: tuple[int, int], snap_compare: Callable[..., bool], tools: Any
) -> None:
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: screen(pilot, tools))


@pytest.mark.slow
@SIZES
@pytest.mark.parametrize("screen", (completions, system), ids=lambda screen: screen.__name__)
def test_part(
    app: Workbench, screen: Any, size: tuple[int, int], snap_compare: Callable[..., bool], tools: Any
) -> None:
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: screen(pilot, tools))


@pytest.mark.slow
@SIZES
@EVERY
def test_light(
    app: Workbench, screen: Any, size: tuple[int, int], snap_compare: Callable[..., bool], tools: Any
) -> None:
    app.theme = "workbench-light"
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: screen(pilot, tools))


@pytest.mark.slow
@SIZES
@EVERY
def test_without_colours(
    made: Path,
    screen: Any,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    snap_compare: Callable[..., bool],
    tools: Any,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(made)
    app = Workbench(Path("results.duckdb"))
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: screen(pilot, tools))
