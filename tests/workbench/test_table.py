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


def line(table: Table, y: int) -> str:
    return "".join(segment.text for segment in table.render_line(y))


async def test_pinned_columns_stay_in_view() -> None:
    table = Table(fixed=1)
    columns = [Column("name"), *(Column(title, 30) for title in ("one", "two ▼", "three", "two"))]
    async with OneWidget(table).run_test(size=(60, 10)) as pilot:
        table.show(columns, [("n", "1", "2", "3", "4")])
        table.focus()
        await pilot.pause()
        assert line(table, 0).split() == ["name", "one", "two", "▼", "›"]
        await pilot.press("right", "f")  # "two" is the first that scrolls and is in view
        await pilot.press("home", "left", "left")
        assert line(table, 0).split() == ["name", "two", "▼", "one", "›"]
        assert line(table, 1).split() == ["n", "2", "1"]
        await pilot.press("right")
        assert line(table, 0).split() == ["name", "two", "▼", "three", "›"]
        assert [table._column_at(x) for x in (0, 6, 37)] == [0, 2, 3]
        # another content with the same column, at another place and with another mark
        table.show([columns[0], columns[3], Column("two", 20)], [("n", "3", "2")])
        await pilot.press("left", "left")
        assert line(table, 0).split() == ["name", "two", "three"]
        assert line(table, 1).split() == ["n", "2", "3"]
        await pilot.press("F")
        assert line(table, 0).split() == ["name", "three", "two"]
        await pilot.press("F", "f", "f", "f", "f")  # no more than there are
        assert line(table, 0).split() == ["name", "three", "two"]
