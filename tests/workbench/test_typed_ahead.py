"""Keys typed faster than the app follows are handled in their order, also across dialogs and screens."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.widgets import Input

from workbench.app import Workbench
from workbench.launch.screen import LaunchScreen
from workbench.widgets.dialogs import ChoiceDialog, TextDialog
from workbench.widgets.table import Table


def type_ahead(app: Workbench, *keys: str) -> None:
    """Send keys without waiting for what they do, as a terminal does when someone types fast."""
    for key in keys:
        driver = app._driver
        assert driver is not None
        driver.send_message(events.Key(key, key if len(key) == 1 else None))


async def test_letters_typed_after_a_key_that_opens_a_dialog_reach_the_dialog(
    app: Workbench, tools: Any
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.settled(pilot)
        type_ahead(app, "n", *"dont")  # n opens the note; d, o and t are commands of the screen
        await tools.until(pilot, lambda: isinstance(app.screen, TextDialog))
        await tools.until(pilot, lambda: app.screen.query_one(Input).value == "dont")
        type_ahead(app, "backspace", "left", "X", "escape", "down")
        table = app.screen_stack[0].query_one("#runs-table", Table)
        await tools.until(pilot, lambda: not app.screen.is_modal and table.cursor == 1)


async def test_keys_typed_after_the_key_of_a_screen_reach_that_screen(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.settled(pilot)
        type_ahead(app, "2", "p", *"demo")
        await tools.until(pilot, lambda: isinstance(app.screen, ChoiceDialog))
        await tools.until(pilot, lambda: app.screen.query_one(Input).value == "demo")
        type_ahead(app, "enter", "1", "down", "space", "3")
        await tools.until(pilot, lambda: app.screen.query("#results-table"))
        assert len(app.context.chosen_runs) == 1
        assert not app.screen_stack[0].is_modal
        type_ahead(app, "2")
        await tools.until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen.form is not None)
        assert app.screen.form.preset == "demo"


async def test_the_filter_takes_what_is_typed_with_its_enter(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.settled(pilot)
        type_ahead(app, "slash", *"optical", "enter", "space")
        await tools.until(pilot, lambda: app.screen.marked)
        assert app.screen.expression == "optical"
        assert app.screen.run_here["name"] == "optical"
