"""SVG snapshots of the plan screen with all that can stand on it: dark, light, 256 colours and none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from engine.results.ingest import ingest
from workbench.app import Workbench
from workbench.plan.side import NARROW, Side
from workbench.plan.solver_panel import SolverTable

SOURCES = ["المكتبة", "ขอบคุณ", "क्षत्रिय", "机器翻译", "👩‍🔬", *(f"erey{n}" for n in range(1, 12))]
TARGETS = [f"word{n}" for n in range(1, 19)]
SMALL, LARGE = (80, 24), (120, 40)


async def alone(pilot: Pilot[None], tools: Any) -> None:
    await tools.settled(pilot)
    await pilot.press("4")
    await tools.until(pilot, lambda: pilot.app.screen.query_one("#left").plan)


async def settings(pilot: Pilot[None], tools: Any) -> None:
    await alone(pilot, tools)
    await pilot.press("s", "down", "down", "down")
    await tools.until(pilot, lambda: pilot.app.screen.query_one(SolverTable).key == "epsilon")
    await laid_out(pilot, tools)


async def laid_out(pilot: Pilot[None], tools: Any) -> None:
    """Wait until every side that is shown has taken notice of its width."""

    def done() -> bool:
        sides = [side for side in pilot.app.screen.query(Side) if side.size.width]
        lines = [side.query_one(".cell").size.height for side in sides]
        return lines == [3 if side.size.width < NARROW else 2 for side in sides]

    await tools.until(pilot, done)


async def typing(pilot: Pilot[None], tools: Any) -> None:
    await alone(pilot, tools)
    await pilot.press("t")
    await tools.until(pilot, lambda: pilot.app.screen.query_one("#pair-source").has_focus)


async def difference(pilot: Pilot[None], tools: Any) -> None:
    await alone(pilot, tools)
    await pilot.press("w")
    await tools.until(pilot, lambda: pilot.app.screen.is_modal)
    await pilot.press("enter")
    await tools.until(pilot, lambda: pilot.app.screen.query_one("#right").plan)
    await pilot.press("d", "down")
    await laid_out(pilot, tools)


def _row(seed: int) -> dict[str, Any]:
    mass = np.random.default_rng(seed).dirichlet(np.full(len(TARGETS), 0.2), len(SOURCES)) / len(SOURCES)
    return {
        "pair": "p1", "source_language": "ar", "source_text": " ".join(SOURCES), "source_tokens": SOURCES,
        "target_text": " ".join(TARGETS), "target_tokens": TARGETS, "plan": mass, "cost": 1 - mass,
        "solver": "sinkhorn", "epsilon": 0.05, "iterations": 50, "marginal_error": 1e-5, "value": 0.4,
        "converged": not seed, "entropy": 0.7,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Input, "cursor_blink", False)


@pytest.fixture
def compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snap_compare: Callable[..., bool], tools: Any
) -> Callable[..., bool]:
    """Compare the picture of a state of the screen, in a theme, with the one kept."""
    # A second run that differs, so that there is something to see.
    for number, name in enumerate(("baseline", "optical")):
        run = tools.make_run(tmp_path / "runs", number, name, scored=False)
        run.write_table("plans", [_row(number)])
    ingest(tmp_path / "results.duckdb", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)

    def compare(state: Any, size: tuple[int, int], theme: str = "workbench-dark") -> bool:
        app = Workbench(Path("results.duckdb"))
        app.theme = theme
        return snap_compare(app, terminal_size=size, run_before=lambda pilot: state(pilot, tools))

    return compare


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "120x40"])
@pytest.mark.parametrize("state", [settings, typing, difference], ids=lambda state: state.__name__)
def test_dark(state: Any, size: tuple[int, int], compare: Callable[..., bool]) -> None:
    assert compare(state, size)


@pytest.mark.slow
@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "120x40"])
def test_light(size: tuple[int, int], compare: Callable[..., bool]) -> None:
    assert compare(difference if size == LARGE else alone, size, "workbench-light")


def test_256_colours(compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLORTERM")
    assert compare(alone, SMALL)


@pytest.mark.slow
def test_no_colours(compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert compare(difference, LARGE)
