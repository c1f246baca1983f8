"""The table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.app import App, ComposeResult

from workbench.widgets.table import Column, Table


class OneWidget(App[None]):
    """An app with one widget."""

    def __init__(self, widget: Any) -> None:
        super().__init__()
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget


class Counting(Sequence[Any]):
    """Many rows that count how often they are read."""

    def __init__(self, count: int) -> None:
        self.count, self.looked = count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: Any) -> Any:
        if place >= self.count:
            raise IndexError(place)
        self.looked += 1
        return (place, f"row {place}")


async def test_most_of_half_a_million_rows_are_not_read() -> None:
    table, rows = Table(fixed=0), Counting(538_121)
    async with OneWidget(table).run_test(size=(80, 24)) as pilot:
        table.show([Column("n", right=True), Column("text")], rows)
        table.focus()
        await pilot.press("end")
        await pilot.pause()
        await pilot.pause()
        assert table.key == 538_120
        assert "row 538120" in "".join(segment.text for segment in table.render_line(23))
        assert rows.looked < 2000
