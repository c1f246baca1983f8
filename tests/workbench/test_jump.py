"""Jump mode, help, and keys of the curves."""

from __future__ import annotations

from typing import Any

import pytest
from textual.widgets import Static

from workbench.app import Workbench
from workbench.shell.help import FocusHelp
from workbench.shell.jump import JumpScreen
from workbench.themes import THEMES


async def test_each_part_has_a_letter_that_moves_the_focus_to_it(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.settled(pilot)
        screen = app.screen
        await pilot.press("ctrl+o")
        await tools.until(pilot, lambda: isinstance(app.screen, JumpScreen))
        letters = {str(label.render()).strip(): label for label in app.screen.query(Static)}
        assert [app.screen.targets[letter].id for letter in letters] == [
            "runs-table",
            *(f"plot-{n}" for n in range(4)),
        ]
        for letter, label in letters.items():
            assert label.region.offset == app.screen.targets[letter].region.offset
        await pilot.press("f")
        await tools.until(pilot, lambda: app.screen is screen)
        assert app.focused is screen.query_one("#plot-2")
        await pilot.press("f10", "0")  # no letter
        assert isinstance(app.screen, JumpScreen)
        await pilot.press("escape")
        await tools.until(pilot, lambda: app.screen is screen)
        assert app.focused is screen.query_one("#plot-2")


async def test_jump_works_while_text_is_typed(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await tools.settled(pilot)
        await pilot.press("slash", *"tico", "ctrl+o")
        await tools.until(pilot, lambda: isinstance(app.screen, JumpScreen))
        table = next(key for key, widget in app.screen.targets.items() if widget.id == "runs-table")
        await pilot.press(table)
        await tools.until(pilot, lambda: not app.screen.is_modal)
        assert app.focused is app.screen.query_one("#runs-table")
        assert app.screen.expression == "tico"


async def test_keys_of_the_curves_work_from_the_table_and_help_is_on_the_focused_widget(
    app: Workbench, tools: Any
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.settled(pilot)
        grid = app.screen.query_one("CurveGrid")
        await pilot.press("l", "m", "x")
        assert (grid.log_loss, grid.smoothing, grid.minutes) == (True, 1, True)
        await pilot.press("f1")
        await tools.until(pilot, lambda: isinstance(app.screen, FocusHelp))
        assert app.screen.text.startswith("**Table.**") and "**Runs.**" in app.screen.text
        await pilot.press("escape")
        await pilot.press("ctrl+o", "s", "f1")
        await tools.until(pilot, lambda: isinstance(app.screen, FocusHelp))
        assert app.screen.text.startswith("**Curve.**")


@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
def test_text_has_enough_contrast(theme: str) -> None:
    """WCAG 2.1 requires a contrast of 4.5 to 1, and of 7 to 1 for enhanced contrast."""
    colours = next(found for found in THEMES if found.name == theme)
    least = 7.0 if "contrast" in theme else 4.5

    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ink in ("foreground", "primary", "secondary", "accent", "warning", "error", "success"):
        for ground in ("background", "surface"):
            pair = sorted(luminance(str(getattr(colours, name))) for name in (ink, ground))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= least, (ink, ground)
