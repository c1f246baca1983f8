"""The heatmap of a transport plan: cells as large as fit, two rows a line where there is little room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.pictures.shading import LAYERS, By, Shading
from workbench.actions import bindings
from workbench.plan.cells import full_cell, glyph_cell, half_cells, ramp_of
from workbench.themes import BINS, RAMPS
from workbench.widgets.text import fit, plain, right_to_left

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

GUTTER = 14
"""Width of the labels of the rows."""
RULER = 1
"""Height of the ruler above the columns."""
MAX_CELL_HEIGHT = 4
TOKEN_WIDTH = 6
"""Width of a cell from which long target tokens are written above the columns, cut; short ones need less."""
MAX_TOKEN_WIDTH = 14
"""Cells are not made wider than this for the sake of the tokens."""
THRESHOLDS = (0.0, 0.01, 0.05, 0.1)


class Geometry(NamedTuple):
    """The layout of a plan.

    Attributes
    ----------
    magnified : int
        Height of a cell if all cells fit, else 0.
    token_width : int
        Width of a cell above which the target tokens fit, else 0.
    two_rows_a_line : bool
        Whether a line shows two rows, as half blocks.
    cell_width, cell_height : int
        Size of a cell; the height in whole lines.
    """

    magnified: int
    token_width: int
    two_rows_a_line: bool
    cell_width: int
    cell_height: int


class Heatmap(ScrollView, can_focus=True):
    """A transport plan and its cost, with a cursor. Rows are source tokens, columns target tokens."""

    HELP = (
        "**Heatmap.** Arrows or a click move the cursor; n and N go through the cells in the order of their "
        "values. The line below shows the two tokens, their mass and its share of the row, rank, cost, and "
        "the contribution of the cell to the transport cost. • marks the largest mass of each row. Where two "
        "rows share a line, ' marks that of the upper row and . that of the lower row. + and − are the signs "
        "of differences."
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {"heatmap--label", "heatmap--here", "heatmap--ruler"}
    DEFAULT_CSS = """
    Heatmap {
        scrollbar-size: 1 1;
        & > .heatmap--label { color: $foreground; }
        & > .heatmap--here { color: $accent; text-style: bold; }
        & > .heatmap--ruler { color: $secondary; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings("heatmap")

    class Inspected(Message):
        """The cursor, the plan or the way of showing it changed."""

        def __init__(self, heatmap: Heatmap) -> None:
            super().__init__()
            self.heatmap = heatmap

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.mass: npt.NDArray[np.float64] | None = None
        self.cost: npt.NDArray[np.float64] | None = None
        self.sources: list[str] = []
        self.targets: list[str] = []
        self.subtracted: tuple[Any, Any] | None = None
        """Mass and cost of the plan that is subtracted from this one."""
        self.on_inspect: Callable[[], None] | None = None
        """Called before `Inspected` is sent; what it changes is painted in the same frame as the cursor."""
        self.row = self.column = 0
        self.shading, self.marked, self.colours = Shading(), True, 0
        self._longest = 0
        self._geometry: tuple[Size, Geometry] | None = None
        self._bins: Any = None
        self._signs: Any = None

    def show(
        self,
        mass: npt.NDArray[np.float64],
        cost: npt.NDArray[np.float64],
        sources: list[str],
        targets: list[str],
    ) -> None:
        """Show a plan of shape (Q, D) with the tokens of its rows and columns.

        The cursor stays if the tokens are the same; else it moves to the largest mass.
        """
        same = self.mass is not None and (sources, targets) == (self.sources, self.targets)
        self.mass, self.cost, self.sources, self.targets = mass, cost, sources, targets
        # A terminal would reorder a line of words that are written from right to left.
        written = not any(map(right_to_left, targets))
        self._longest = max((cell_len(plain(token)) for token in targets), default=0) * written
        if self.subtracted is not None and self.subtracted[0].shape != mass.shape:
            self.subtracted = None
        if not same:
            self.row = self.column = 0
            if mass.size:
                self.row, self.column = divmod(int(mass.argmax()), mass.shape[1])
        self._changed()
        self.call_after_refresh(self._reveal)  # scrolling needs a layout

    def subtract(self, subtracted: tuple[Any, Any] | None) -> None:
        """Show the difference from another plan of the same shape, or the plan itself.

        Parameters
        ----------
        subtracted : tuple of ndarray of shape (Q, D), optional
            Mass and cost of the other plan; None shows the plan itself.
        """
        self.subtracted = subtracted
        self._changed()

    @property
    def geometry(self) -> Geometry:
        """How the plan is laid out, computed once for each plan and size."""
        size = self.size
        if self._geometry is None or self._geometry[0] != size:
            self._geometry = size, self._laid_out(size)
        return self._geometry[1]

    def _laid_out(self, size: Size) -> Geometry:
        rows, columns = self.mass.shape if self.mass is not None else (1, 1)
        width = size.width - GUTTER - 1
        fit_across = width // (2 * max(columns, 1))
        fit_down = (size.height - RULER) // max(rows, 1)
        magnified = int(max(min(fit_across, fit_down, MAX_CELL_HEIGHT), 0))
        roomy = magnified or size.width >= 100
        two_rows = not roomy and not self.glyphs and self.subtracted is None
        token_width = 0
        if self._longest and not two_rows:
            across, wanted = width // len(self.targets), self._longest + 1
            if across >= min(wanted, TOKEN_WIDTH):
                token_width = min(across, wanted, MAX_TOKEN_WIDTH)
        cell_width = max(2 * magnified or (1 if size.width < 100 else 2), token_width)
        return Geometry(magnified, token_width, two_rows, cell_width, max(magnified, 1))

    @property
    def magnified(self) -> int:
        """Height of a cell if all cells fit, else 0. A cell is at least twice as wide as it is high."""
        return self.geometry.magnified

    @property
    def token_width(self) -> int:
        """Width of a cell above which the target tokens fit, else 0."""
        return self.geometry.token_width

    @property
    def two_rows_a_line(self) -> bool:
        """Whether a line shows two rows, as half blocks."""
        return self.geometry.two_rows_a_line

    @property
    def glyphs(self) -> bool:
        """Whether values are shown as characters, because the terminal has no colours."""
        return self.app.no_color or self.app.console.color_system not in ("truecolor", "256")

    @property
    def cell_width(self) -> int:
        """Width of a cell."""
        return self.geometry.cell_width

    @property
    def cell_height(self) -> int:
        """Height of a cell in whole lines."""
        return self.geometry.cell_height

    def follow(self, other: Heatmap) -> None:
        """Show values in the same way as `other`, with the cursor on the same cell."""
        names = ("shading", "marked", "colours")
        changed = [name for name in names if getattr(self, name) != getattr(other, name)]
        for name in changed:
            setattr(self, name, getattr(other, name))
        if changed:
            self._changed()
        if (self.row, self.column) != (other.row, other.column):
            self.go_to(other.row, other.column)

    def values(self) -> npt.NDArray[np.float64]:
        """Return the values before scaling, (Q, D): mass, cost or their product, or differences of them."""
        assert self.mass is not None and self.cost is not None
        values: npt.NDArray[np.float64] = self.shading.values(self.mass, self.cost)
        if self.subtracted is not None:
            values = values - self.shading.values(*self.subtracted)
        return values

    def describe_scale(self) -> str:
        """Return in words how values are mapped to colours."""
        if self.mass is None or not self.mass.size:
            return ""
        values = self.values()
        what = self.shading.layer + " difference" * (self.subtracted is not None)
        parts = [f"{what} {values.min():.3g} to {values.max():.3g}", f"per {self.shading.by}"]
        parts += ["log"] * self.shading.logarithmic
        parts += [f"≥ {self.shading.threshold:.0%}"] * bool(self.shading.threshold)
        return ", ".join(parts).replace("per all", "whole")

    def on_resize(self) -> None:
        """Adapt to the new size."""
        self.fit()

    def fit(self) -> None:
        """Choose the cell size that fits, and keep the cursor in view."""
        self._measure()
        self._reveal()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Draw everything again, because the ruler does not scroll."""
        super().watch_scroll_y(old_value, new_value)
        self.refresh()

    def watch_scroll_x(self, old_value: float, new_value: float) -> None:
        """Draw everything again, because the labels do not scroll."""
        super().watch_scroll_x(old_value, new_value)
        self.refresh()

    def _changed(self) -> None:
        self._bins = self._binned()
        self._measure()
        self._notify()

    def _measure(self) -> None:
        self._geometry = None
        rows, columns = (0, 0) if self.mass is None else self.mass.shape
        lines = -(-rows // 2) if self.two_rows_a_line else rows * self.cell_height
        self.virtual_size = Size(GUTTER + columns * self.cell_width, lines + RULER)
        self.refresh()

    def _binned(self) -> Any:
        import numpy as np

        self._signs = None
        if self.mass is None or not self.mass.size:
            return None
        values = self.values()
        shading = self.shading
        if self.subtracted is not None:
            # Differences are shaded by magnitude from zero, as masses are; costs are not.
            shading = replace(shading, layer="mass")
            self._signs = np.sign(values).astype(int)
        shares = shading.shares(values)
        bins = np.minimum(np.nan_to_num(shares) * BINS, BINS - 1).astype(int)
        bins[np.isnan(shares)] = -1
        return bins

    def render_line(self, y: int) -> Strip:
        """Draw the ruler, or a line with one row or two."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        if self._bins is None:
            return Strip.blank(width, base)
        cells, half, glyphs = self.cell_width, self.two_rows_a_line, self.glyphs
        first = self.scroll_offset.x // cells
        count = min((width - GUTTER) // cells, self._bins.shape[1] - first)
        if y == 0:
            return self._ruler(first, count).crop_extend(0, width, base)
        line = y - RULER + self.scroll_offset.y
        inner = line % self.cell_height
        rows = [line * 2, line * 2 + 1] if half else [line // self.cell_height]
        rows = [row for row in rows if row < self._bins.shape[0]]
        if not rows:
            return Strip.blank(width, base)
        here = self.row in rows
        label = plain(self.sources[self.row if here else rows[0]])
        look = "heatmap--here" if here else "heatmap--label"
        style = base + self.get_component_rich_style(look, partial=True)
        middle = inner == (self.cell_height - 1) // 2
        label = fit(label if middle else "", GUTTER - 2, right=True)
        segments = [Segment(label + ("▸ " if here and middle else "  "), style)]
        best = {}
        if self.marked and self.mass is not None and middle and self.subtracted is None:
            best = {row: int(self.mass[row].argmax()) for row in rows}
        ground = self.background_colors[1].hex
        colours = ramp_of(RAMPS[self.colours], self.app.current_theme.dark, self.app.console.color_system)
        for column in range(first, first + count):
            cursor = here and column == self.column and middle
            bins = [int(self._bins[row, column]) for row in rows]
            shown = [colours[value] if value >= 0 else ground for value in bins]
            if half:
                marks = (best.get(rows[0]) == column, best.get(rows[-1], -1) == column and len(rows) > 1)
                lower = shown[1] if len(rows) > 1 else ground
                segments.append(half_cells(shown[0], lower, marks, rows.index(self.row) if cursor else None))
                continue
            mark = "•" * (best.get(rows[0]) == column)
            if self._signs is not None and middle and bins[0] >= BINS // 8:
                mark = "+" if self._signs[rows[0], column] > 0 else "−"
            if glyphs:
                segments.append(glyph_cell(bins[0], cells, mark, cursor, base))
            else:
                segments.append(full_cell(shown[0], cells, mark, cursor))
        return Strip(segments).crop_extend(0, width, base)

    def _ruler(self, first: int, count: int) -> Strip:
        """Return the target tokens if they fit, else the number of every fifth column; ▾ shows the cursor."""
        cells = self.cell_width
        if self.token_width:
            return self._token_ruler(first, count)
        marks = [" "] * (count * cells)
        for column in range(first, first + count):
            text = str(column + 1)
            place = (column - first) * cells
            if ((column + 1) % 5 == 0 or column == 0) and place + len(text) <= len(marks):
                marks[place : place + len(text)] = text
        style = self.rich_style + self.get_component_rich_style("heatmap--ruler", partial=True)
        here = self.rich_style + self.get_component_rich_style("heatmap--here", partial=True)
        place = (self.column - first) * cells
        text = "".join(marks)
        if not 0 <= place < len(text):
            return Strip([Segment(" " * GUTTER + text, style)])
        return Strip(
            [
                Segment(" " * GUTTER + text[:place], style),
                Segment("▾", here),
                Segment(text[place + 1 :], style),
            ]
        )

    def _token_ruler(self, first: int, count: int) -> Strip:
        segments = [Segment(" " * GUTTER, self.rich_style)]
        for column in range(first, first + count):
            look = "heatmap--here" if column == self.column else "heatmap--ruler"
            style = self.rich_style + self.get_component_rich_style(look, partial=True)
            segments.append(Segment(fit(plain(self.targets[column]), self.cell_width - 1) + " ", style))
        return Strip(segments)

    def go_to(self, row: int, column: int) -> None:
        """Move the cursor to a cell and scroll it into view."""
        if self.mass is None or not self.mass.size:
            return
        rows, columns = self.mass.shape
        before = self._line
        self.row, self.column = min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)
        self._reveal()
        self._notify()
        self._repaint(before, self._line)

    def _notify(self) -> None:
        if self.on_inspect is not None:
            self.on_inspect()
        self.post_message(self.Inspected(self))

    def _repaint(self, *lines: int) -> None:
        """Draw the ruler and the rows that begin on `lines` again."""
        height, width = 1 if self.two_rows_a_line else self.cell_height, self.size.width
        top = RULER - self.scroll_offset.y
        self.refresh(Region(0, 0, width, RULER), *(Region(0, line + top, width, height) for line in lines))

    @property
    def _line(self) -> int:
        """The first line of the cursor's row, counted from below the ruler."""
        return self.row // 2 if self.two_rows_a_line else self.row * self.cell_height

    def _reveal(self) -> None:
        """Scroll until the cursor is in view."""
        if self.magnified or self.mass is None:
            return
        line, view = self._line, self.scrollable_content_region
        region = Region(GUTTER + self.column * self.cell_width, line + RULER, self.cell_width, 1)
        left, top = self.scroll_offset
        if region.x - GUTTER < left or region.right > left + view.width:
            self.scroll_to(x=max(region.x - view.width // 2, 0), animate=False, immediate=True)
        if line < top or line + RULER >= top + view.height:
            self.scroll_to(y=max(line - view.height // 2, 0), animate=False, immediate=True)

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the cell under the mouse."""
        self._go_to_mouse(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Move the cursor to the cell under the mouse while a button is pressed."""
        if event.button:
            self._go_to_mouse(event)

    def _go_to_mouse(self, event: events.MouseEvent) -> None:
        if event.x < GUTTER or event.y < RULER:
            return
        line = event.y - RULER + self.scroll_offset.y
        column = (event.x - GUTTER) // self.cell_width + self.scroll_offset.x // self.cell_width
        self.go_to(line * 2 if self.two_rows_a_line else line // self.cell_height, column)

    def action_step(self, down: int, right: int) -> None:
        """Move the cursor by one cell."""
        self.go_to(self.row + down, self.column + right)

    def _change_shading(self, **changes: Any) -> None:
        self.shading = replace(self.shading, **changes)
        self._changed()

    def action_normalise(self, by: By) -> None:
        """Divide values by the largest of their row, of their column, or of all."""
        self._change_shading(by=by)

    def action_log_scale(self) -> None:
        """Switch the logarithmic scale."""
        self._change_shading(logarithmic=not self.shading.logarithmic)

    def action_threshold(self) -> None:
        """Use the next threshold."""
        place = THRESHOLDS.index(self.shading.threshold)
        self._change_shading(threshold=THRESHOLDS[(place + 1) % len(THRESHOLDS)])

    def action_layer(self) -> None:
        """Show the next of mass, cost and their product."""
        self._change_shading(layer=LAYERS[(LAYERS.index(self.shading.layer) + 1) % len(LAYERS)])

    def action_marks(self) -> None:
        """Mark the largest mass of each row, or do not."""
        self.marked = not self.marked
        self._changed()

    def action_ramp(self) -> None:
        """Use the next palette."""
        self.colours = (self.colours + 1) % len(RAMPS)
        self._changed()

    def action_next_cell(self, step: int = 1) -> None:
        """Move the cursor to the cell with the next smaller value."""
        if self.mass is None or not self.mass.size:
            return
        import numpy as np

        values = self.values() if self.subtracted is None else np.abs(self.values())
        order = np.argsort(-values, axis=None, kind="stable")
        place = int(np.flatnonzero(order == self.row * self.mass.shape[1] + self.column)[0]) + step
        row, column = divmod(int(order[place % len(order)]), self.mass.shape[1])
        self.go_to(row, column)

    def action_previous_cell(self) -> None:
        """Move the cursor to the cell with the next larger value."""
        self.action_next_cell(-1)
