"""A table that draws only its visible rows, so that half a million rows scroll as fast as ten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.visible import visible
from workbench.actions import bindings
from workbench.widgets.bars import BarDrawing
from workbench.widgets.text import fit, plain

_SAMPLE = 200  # rows from which the width of a column is computed
_WIDEST = 60


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    title : str
        The heading.
    width : int or None
        The width in cells; None fits the content.
    right : bool
        Whether values are aligned on the right.
    """

    title: str
    width: int | None = None
    right: bool = False


class Cell(NamedTuple):
    """A text with a style.

    Attributes
    ----------
    text : str
        The text.
    style : str
        ``good``, ``bad``, ``warn``, ``dim``, ``head``, ``marked``, a colour (``#rrggbb``), or empty.
    """

    text: str
    style: str


def rank_change(rank: int, before: int | None) -> Cell:
    """Return how far a document moved up (↑) or down (↓) from its rank `before`; None means it is new."""
    if before is None:
        return Cell("new", "dim")
    change = before - rank
    sign = f"↑{change}" if change > 0 else f"↓{-change}" if change < 0 else "="
    return Cell(sign, "good" if change > 0 else "bad" if change < 0 else "dim")


def _column_names(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Return a name for each column: its title without a mark of the order, and its number among equals."""
    names: list[tuple[str, int]] = []
    for column in columns:
        title = column.title.rstrip(" ▲▼")
        names.append((title, sum(other == title for other, _ in names)))
    return names


def cell_text(value: Any) -> str:
    """Return the whole text of a cell, numbers with all their digits."""
    if isinstance(value, Cell):
        return value.text
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return "" if value is None else str(value)


class Table(ScrollView, can_focus=True):
    """Rows under a heading, with a cursor on one row. The first columns and the heading do not scroll.

    Parameters
    ----------
    id : str, optional
        The id of the widget.
    fixed : int
        The number of columns that do not scroll.
    empty : str
        The text that is shown if there are no rows.
    """

    HELP = (
        "**Table.** Up and down move the cursor, left and right scroll the columns that do not fit. Ctrl+C "
        "copies the row, C one of its cells. f pins the first column in view that scrolls, F unpins it."
    )

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *("table--heading", "table--cursor", "table--good", "table--bad", "table--warn", "table--dim"),
        *("table--head", "table--marked"),
    }
    DEFAULT_CSS = """
    Table {
        scrollbar-size: 0 1;
        scrollbar-color: $secondary 50%;
        scrollbar-background: $surface;
        & > .table--heading { color: $secondary; text-style: bold; }
        & > .table--cursor { background: $panel; }
        &:focus > .table--cursor { background: $primary-muted; text-style: bold; }
        & > .table--good { color: $success; }
        & > .table--bad { color: $error; }
        & > .table--warn { color: $warning; }
        & > .table--dim { color: $secondary; }
        & > .table--head { color: $primary; text-style: bold; }
        & > .table--marked { color: $accent; text-style: bold; }
        &:nocolor > .table--cursor { text-style: reverse; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings("table")

    class Moved(Message):
        """The cursor moved to another row."""

        def __init__(self, table: Table) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> Table:
            """The table; selectors of `on` refer to it."""
            return self.table

    class Chosen(Moved):
        """The row under the cursor was double-clicked, or chosen by a key."""

    class HeadingClicked(Moved):
        """The heading of a column was clicked."""

        def __init__(self, table: Table, column: int) -> None:
            super().__init__(table)
            self.column = column

    class CellWanted(Moved):
        """A cell of the row under the cursor is to be chosen and copied."""

    def __init__(self, *, id: str | None = None, fixed: int = 1, empty: str = "") -> None:
        super().__init__(id=id)
        self.columns: Sequence[Column] = ()
        self.rows: Sequence[Sequence[Any]] = ()
        self.keys: Sequence[Any] | None = None
        self.cursor = 0
        self.fixed = fixed
        self.empty = empty
        self._pinned: list[tuple[str, int]] = []
        self._order: list[int] = []
        self._still = 0  # number of columns that do not scroll: the fixed ones and those that are pinned
        self._widths: list[int] = []

    def show(
        self, columns: Sequence[Column], rows: Sequence[Sequence[Any]], keys: Sequence[Any] | None = None
    ) -> None:
        """Replace the content. The cursor stays on the row with the same key, or with the same number."""
        if rows and (list(columns), rows, keys) == (list(self.columns), self.rows, self.keys):
            return  # the app polls every two seconds, mostly without a change
        before = self.key
        self.columns, self.rows, self.keys = columns, rows, keys
        if keys is not None and before is not None and before in keys:
            self.cursor = list(keys).index(before)
        self.cursor = max(0, min(self.cursor, len(rows) - 1))
        self._lay_out()
        if self.key != before:
            self.post_message(self.Moved(self))

    def _lay_out(self) -> None:
        """Compute the order of the columns and their widths: fixed, pinned, then those that scroll."""
        names = _column_names(self.columns)
        pinned = [names.index(name) for name in self._pinned if name in names[self.fixed :]]
        fixed = list(range(min(self.fixed, len(names))))
        self._order, self._still = fixed + pinned, len(fixed) + len(pinned)
        self._order += [place for place in range(len(names)) if place not in self._order]
        self._widths = [self._width(place, self.columns[place]) for place in self._order]
        self.virtual_size = Size(sum(self._widths) + len(self._widths), len(self.rows) + 1)
        self.refresh()

    def action_pin(self) -> None:
        """Pin the first column in view that scrolls, so that it stays in view."""
        first = self._still + self._starts().index(self._first_start())
        if first < len(self._order):
            self._pinned.append(_column_names(self.columns)[self._order[first]])
            self._lay_out()

    def action_unpin(self) -> None:
        """Let the column that was pinned last scroll again."""
        if self._pinned:
            self._pinned.pop()
            self._lay_out()

    @property
    def key(self) -> Any:
        """The key of the row under the cursor; None in an empty table."""
        if not self.rows or self.cursor >= len(self.rows):
            return None
        return self.keys[self.cursor] if self.keys is not None else self.cursor

    def go_to(self, row: int) -> None:
        """Move the cursor to `row` and scroll it into view."""
        row = max(0, min(row, len(self.rows) - 1))
        if row == self.cursor or not self.rows:
            return
        old, self.cursor = self.cursor, row
        height = max(self.scrollable_content_region.height - 1, 1)
        top = self.scroll_offset.y
        if row < top:
            self.scroll_to(y=row, animate=False, immediate=True)
        elif row >= top + height:
            target = row - height + 1
            if self.allow_vertical_scroll and target <= self.max_scroll_y:
                self.scroll_to(y=target, animate=False, immediate=True)
            else:
                # The rows were just replaced, and the view does not know its new height yet.
                self.call_after_refresh(self.scroll_to, y=target, animate=False)
        for line in (old, row):
            self.refresh(Region(0, line + 1 - self.scroll_offset.y, self.size.width, 1))
        self.post_message(self.Moved(self))

    def on_show(self) -> None:
        """Scroll the cursor into view; a hidden table has no height."""
        self.call_after_refresh(self._reveal)

    def _reveal(self) -> None:
        height = max(self.scrollable_content_region.height - 1, 1)
        if not self.scroll_offset.y <= self.cursor < self.scroll_offset.y + height:
            self.scroll_to(y=max(self.cursor - height + 1, 0), animate=False)

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self.go_to(self.cursor + rows)

    def action_page(self, where: str) -> None:
        """Move the cursor by a page, or to the first or last row."""
        page = max(self.scrollable_content_region.height - 2, 1)
        place = {"up": self.cursor - page, "down": self.cursor + page, "top": 0}
        self.go_to(place.get(where, len(self.rows) - 1))

    def row_texts(self) -> list[tuple[str, str]]:
        """Return heading and whole text of each cell of the row under the cursor; bars have no text."""
        if not self.rows or self.cursor >= len(self.rows):
            return []
        cells = zip(self.columns, self.rows[self.cursor], strict=False)
        return [(column.title, cell_text(cell)) for column, cell in cells if not isinstance(cell, BarDrawing)]

    def action_copy_row(self) -> None:
        """Copy the text that is selected with the mouse, or the row, with tabs between its cells."""
        selected = self.screen.get_selected_text()
        row = "\t".join(visible(text) for _, text in self.row_texts())
        if selected or row.strip():
            self.app.copy_to_clipboard(selected or row)

    def action_copy_cell(self) -> None:
        """Ask for a cell of the row under the cursor, and copy its text."""
        if self.row_texts():
            self.post_message(self.CellWanted(self))

    def action_slide(self, way: int) -> None:
        """Scroll to the next or to the previous column."""
        starts, here = self._starts(), self.scroll_offset.x
        if way > 0:
            place = next((start for start in starts if start > here), here)
        else:
            place = max((start for start in starts if start < here), default=0)
        self.scroll_to(x=place, animate=False, immediate=True)

    def _starts(self) -> list[int]:
        """Return where each column that scrolls begins, in cells from the first of them."""
        starts = [0]
        for width in self._widths[self._still :]:
            starts.append(starts[-1] + width + 1)
        return starts

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the clicked row, or report a clicked heading; a double click chooses the row."""
        row = event.y - 1 + self.scroll_offset.y
        if event.y == 0 and (column := self._column_at(event.x)) is not None:
            self.post_message(self.HeadingClicked(self, column))
        if event.y < 1 or row >= len(self.rows):
            return
        if row == self.cursor and event.chain > 1:
            self.post_message(self.Chosen(self))
        self.go_to(row)

    def _column_at(self, x: int) -> int | None:
        """Return the column that is drawn at `x` cells from the left edge, or None."""
        if x >= sum(self._widths[: self._still]) + self._still:
            x += self._first_start()
        end = 0
        for place, width in zip(self._order, self._widths, strict=True):
            end += width + 1
            if x < end:
                return place
        return None

    def _first_start(self) -> int:
        """Return where the first column that scrolls and is in view begins.

        Scrolling stops at columns, because a number without its first digits would be misread.
        """
        return next((place for place in self._starts() if place >= self.scroll_offset.x), 0)

    def watch_scroll_x(self, old_value: float, new_value: float) -> None:
        """Redraw the fixed columns, which do not scroll."""
        super().watch_scroll_x(old_value, new_value)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line of the view: the heading, or a row."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        row = y - 1 + self.scroll_offset.y
        if y == 0:
            style = base + self.get_component_rich_style("table--heading", partial=True)
            cells: Sequence[Any] = [column.title for column in self.columns]
        elif row < len(self.rows):
            cells = self.rows[row]
            style = base
            if row == self.cursor:
                style = base + self.get_component_rich_style("table--cursor", partial=True)
        else:
            empty = self.empty if y == 1 and not self.rows else ""
            style = base + self.get_component_rich_style("table--dim", partial=True)
            return Strip([Segment(fit(empty, width), style)], width)
        places = zip(self._order, self._widths, strict=True)
        parts = [self._segment(place, cells[place], width, style) for place, width in places]
        edge = sum(self._widths[: self._still]) + self._still
        whole = Strip([segment for part in parts for segment in part])
        start = self._first_start()
        if start and edge < width:
            left = whole.crop(0, edge)
            rest = whole.crop(edge + start, start + width)
            whole = Strip.join([left, rest])
        line = whole.crop_extend(0, width, style)
        if y == 0 and self.virtual_size.width - start > width:
            line = Strip.join([line.crop(0, width - 1), Strip([Segment("›", style)])])
        return line

    def _segment(self, place: int, value: Any, width: int, style: Style) -> list[Segment]:
        if isinstance(value, BarDrawing):
            drawn = [
                Segment(text, style + Style(color=colour or None, bgcolor=ground or None))
                for text, colour, ground in value.parts
            ]
            return [*drawn, Segment(" ", style)]
        if isinstance(value, Cell):
            name = value.style
            text = plain(value.text)
            if name.startswith("#"):
                style = style + Style(color=name)
            elif name:
                style = style + self.get_component_rich_style(f"table--{name}", partial=True)
        else:
            text = plain(value)
        right = self.columns[place].right
        return [Segment(fit(text, width, right=right) + " ", style)]

    def _width(self, place: int, column: Column) -> int:
        if column.width is not None:
            return column.width
        step = max(1, len(self.rows) // _SAMPLE)
        widest = cell_len(plain(column.title))
        for row in range(0, len(self.rows), step):
            value = self.rows[row][place]
            widest = max(widest, cell_len(plain(value.text if isinstance(value, Cell) else value)))
        return min(widest, _WIDEST)
