"""The tour at the first start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbench.app import Workbench
from workbench.results.study_screen import StudyScreen
from workbench.shell.tour import STEPS, TourStep, is_first_start, remember_tour


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "cache"))


def test_a_start_is_the_first_once() -> None:
    assert is_first_start()
    remember_tour()
    assert not is_first_start()


@pytest.mark.slow
async def test_the_tour_goes_through_the_screens_and_back(tmp_path: Path, tools: Any) -> None:
    app = Workbench(tmp_path / "results.duckdb", first_start=True)
    async with app.run_test(size=(80, 24)) as pilot:
        seen = []
        for place, step in enumerate(STEPS):
            await tools.until(
                pilot, lambda place=place: isinstance(app.screen, TourStep) and app.screen.place == place
            )
            assert app.current_mode == step.mode
            below = app.screen_stack[-2]
            assert isinstance(below, StudyScreen) == step.study
            region = app.screen.query_one(".dialog").region
            assert region.bottom <= 24 and region.y > 8, "it covers the screen that it explains"
            seen.append(step.mode)
            if place == 2:
                await pilot.press("backspace")
                await tools.until(pilot, lambda: getattr(app.screen, "place", None) == 1)
                await pilot.press("enter")
                await tools.until(pilot, lambda: getattr(app.screen, "place", None) == 2)
                assert sum(isinstance(screen, StudyScreen) for screen in app.screen_stack) == 1
            await pilot.press("enter")
        await tools.until(pilot, lambda: not app.screen.is_modal)
        assert app.current_mode == "runs" and not is_first_start()
        assert set(seen) == {"runs", "results", "launch", "plan", "sql"}


async def test_the_tour_is_skipped_by_one_key_and_shown_again_by_another(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await tools.settled(pilot)
        assert not app.screen.is_modal
        await pilot.press("T")
        await tools.until(pilot, lambda: isinstance(app.screen, TourStep))
        await pilot.press("escape")
        await tools.until(pilot, lambda: not app.screen.is_modal)
        assert app.screen.query_one("#runs-table").has_focus
