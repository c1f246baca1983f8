"""Keys that arrive faster than they are handled, such as pasted text, are handled in their order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from workbench.app import Workbench
from workbench.sql.editor import SqlEditor
from workbench.widgets.table import Table


def burst(pilot: Pilot[None], *keys: str) -> None:
    """Send all keys before the first one is handled."""
    driver: Any = pilot.app._driver
    for key in keys:
        driver.process_message(events.Key({" ": "space"}.get(key, key), key if len(key) == 1 else None))


async def test_a_statement_and_the_key_that_runs_it(app: Workbench, tools: SimpleNamespace) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.settled(pilot)
        await pilot.press("6")
        answer = app.screen.query_one("#sql-rows", Table)
        await tools.until(pilot, lambda: app.screen.query_one(SqlEditor).has_focus)
        await pilot.press(*["down"] * 4, "end")
        cleared = ["ctrl+u", "backspace"] * 8
        burst(pilot, *cleared, *"SELECT 7 AS n", "f5", *"0")
        await tools.until(pilot, lambda: answer.rows)
        assert answer.rows == [(7,)]
        assert app.screen.query_one(SqlEditor).text == "SELECT 7 AS n0"
        assert tools.status(pilot).startswith("1 row, 1 column")


@pytest.mark.parametrize("key", ["tab", "enter"])
async def test_typed_text_replaces_a_line(app: Workbench, key: str, tools: SimpleNamespace) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.settled(pilot)
        await pilot.press("slash")
        line = app.screen.query_one("#filter", Input)
        await tools.until(pilot, lambda: line.has_focus)
        burst(pilot, *"newest", "ctrl+u", *"optimal", "backspace", "backspace", "backspace", *"cal", key)
        await tools.until(pilot, lambda: not line.has_focus)
        assert line.value == "optical"
        assert [row[2] for row in app.screen.query_one("#runs-table", Table).rows] == ["optical"]
