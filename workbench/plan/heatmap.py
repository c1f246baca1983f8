"""A matrix with a label for each row: as large as fits, in half blocks where there is little room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.pictures.shading import LAYERS, By, Shading
from workbench.actions import bindings
from workbench.plan.cells import halves, ramp_of, shade, whole
from workbench.themes import BINS, RAMPS
from workbench.widgets.text import fit, plain, right_to_left

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

GUTTER = 14
RULER = 1
MAGNIFIED = 4
WORD = 6  # columns that a cell needs before tokens are written above it
THRESHOLDS = (0.0, 0.01, 0.05, 0.1)


class Heatmap(ScrollView, can_focus=True):
    """A transport plan and its cost, with a cursor. Rows are source tokens, columns target tokens."""

    HELP = (
        "**Heatmap.** Arrows or a click move the cursor, n and N go through the cells from the largest on. "
        "The line below tells the two tokens, their mass and its share of the row, rank, cost and what the "
        "cell contributes to the transport cost. • marks each row's largest mass; where two rows share a "
        "line, ' marks the upper one's and . the lower one's. Among differences, + and − are their signs."
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
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "step(-1,0)", "Up", show=False),
        Binding("down,j", "step(1,0)", "Down", show=False),
        Binding("left,h", "step(0,-1)", "Left", show=False),
        Binding("right", "step(0,1)", "Right", show=False),
        *bindings("heatmap"),
    ]

    class Inspected(Message):
        """The cursor or the way of showing changed."""

        def __init__(self, heatmap: Heatmap) -> None:
            super().__init__()
            self.heatmap = heatmap

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.mass: npt.NDArray[np.float64] | None = None
        self.cost: npt.NDArray[np.float64] | None = None
        self.sources: list[str] = []
        self.targets: list[str] = []
        self.against: tuple[Any, Any] | None = None
        """Mass and cost of the plan that this one is shown as a difference from."""
        self.listener: Callable[[], None] | None = None
        """Called before `Inspected` is sent: what it changes is painted in the same frame as the cursor."""
        self.row = self.column = 0
        self.shading, self.marked, self.colours = Shading(), True, 0
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

        Among the same tokens the cursor stays; else it goes to the largest mass.
        """
        same = self.mass is not None and (sources, targets) == (self.sources, self.targets)
        self.mass, self.cost, self.sources, self.targets = mass, cost, sources, targets
        if self.against is not None and self.against[0].shape != mass.shape:
            self.against = None
        if not same:
            self.row = self.column = 0
            if mass.size:
                self.row, self.column = divmod(int(mass.argmax()), mass.shape[1])
        self._changed()
        self.call_after_refresh(self._reveal)  # once there is a layout to scroll in

    def differ(self, against: tuple[Any, Any] | None) -> None:
        """Show the difference from another plan of the same shape (its mass and cost), or the plan itself."""
        self.against = against
        self._changed()

    @property
    def magnified(self) -> int:
        """Lines of a cell, which is twice as many columns wide; 0 where not all cells fit even so."""
        rows, columns = self.mass.shape if self.mass is not None else (1, 1)
        fit_across = (self.size.width - GUTTER - 1) // (2 * max(columns, 1))
        fit_down = (self.size.height - RULER) // max(rows, 1)
        return int(max(min(fit_across, fit_down, MAGNIFIED), 0))

    @property
    def half(self) -> bool:
        """Whether two rows share a line."""
        roomy = self.magnified or self.size.width >= 100
        return not roomy and not self.glyphs and self.against is None

    @property
    def glyphs(self) -> bool:
        """Whether shades of characters stand for values, since there are no colours."""
        return self.app.no_color or self.app.console.color_system not in ("truecolor", "256")

    @property
    def cell_width(self) -> int:
        """Columns of a cell."""
        return 2 * self.magnified or (1 if self.size.width < 100 else 2)

    @property
    def cell_height(self) -> int:
        """Lines of a cell, where it has whole ones."""
        return max(self.magnified, 1)

    def like(self, other: Heatmap) -> None:
        """Show values in the way `other` does, with the cursor on the same cell."""
        ways = ("shading", "marked", "colours")
        changed = [name for name in ways if getattr(self, name) != getattr(other, name)]
        for name in changed:
            setattr(self, name, getattr(other, name))
        if changed:
            self._changed()
        if (self.row, self.column) != (other.row, other.column):
            self.go_to(other.row, other.column)

    def values(self) -> npt.NDArray[np.float64]:
        """Return what is shown, (Q, D), before it is scaled: mass, cost, product, or a difference of them."""
        assert self.mass is not None and self.cost is not None
        values: npt.NDArray[np.float64] = self.shading.values(self.mass, self.cost)
        if self.against is not None:
            values = values - self.shading.values(*self.against)
        return values

    def scale(self) -> str:
        """Return in words how values became colours."""
        if self.mass is None or not self.mass.size:
            return ""
        values = self.values()
        what = self.shading.layer + " difference" * (self.against is not None)
        parts = [f"{what} {values.min():.3g} to {values.max():.3g}", f"per {self.shading.by}"]
        parts += ["log"] * self.shading.logarithmic
        parts += [f"≥ {self.shading.threshold:.0%}"] * bool(self.shading.threshold)
        return ", ".join(parts).replace("per all", "whole")

    def on_resize(self) -> None:
        """Take in the new size."""
        self.fit()

    def fit(self) -> None:
        """Choose the geometry that fits, and keep the cursor in view."""
        self._measure()
        self._reveal()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Draw all anew: the ruler does not scroll."""
        super().watch_scroll_y(old_value, new_value)
        self.refresh()

    def watch_scroll_x(self, old_value: float, new_value: float) -> None:
        """Draw all anew: the labels do not scroll."""
        super().watch_scroll_x(old_value, new_value)
        self.refresh()

    def _changed(self) -> None:
        self._bins = self._binned()
        self._measure()
        self._tell()

    def _measure(self) -> None:
        rows, columns = (0, 0) if self.mass is None else self.mass.shape
        lines = -(-rows // 2) if self.half else rows * self.cell_height
        self.virtual_size = Size(GUTTER + columns * self.cell_width, lines + RULER)
        self.refresh()

    def _binned(self) -> Any:
        import numpy as np

        self._signs = None
        if self.mass is None or not self.mass.size:
            return None
        values = self.values()
        shading = self.shading
        if self.against is not None:
            # A difference of costs begins at nothing, unlike costs.
            shading = replace(shading, layer="mass")
            self._signs = np.sign(values).astype(int)
        shares = shading.shares(values)
        bins = np.minimum(np.nan_to_num(shares) * BINS, BINS - 1).astype(int)
        bins[np.isnan(shares)] = -1
        return bins

    def render_line(self, y: int) -> Strip:
        """Draw the ruler, or a line of one row or two."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        if self._bins is None:
            return Strip.blank(width, base)
        cells, half, glyphs = self.cell_width, self.half, self.glyphs
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
        if self.marked and self.mass is not None and middle and self.against is None:
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
                segments.append(halves(shown[0], lower, marks, rows.index(self.row) if cursor else None))
                continue
            mark = "•" * (best.get(rows[0]) == column)
            if self._signs is not None and middle and bins[0] >= BINS // 8:
                mark = "+" if self._signs[rows[0], column] > 0 else "−"
            if glyphs:
                segments.append(shade(bins[0], cells, mark, cursor, base))
            else:
                segments.append(whole(shown[0], cells, mark, cursor))
        return Strip(segments).crop_extend(0, width, base)

    def _ruler(self, first: int, count: int) -> Strip:
        """Return the target tokens where they fit, else every fifth column's number; and the cursor."""
        cells = self.cell_width
        if cells >= WORD and not any(map(right_to_left, self.targets)):
            return self._words(first, count)
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

    def _words(self, first: int, count: int) -> Strip:
        segments = [Segment(" " * GUTTER, self.rich_style)]
        for column in range(first, first + count):
            look = "heatmap--here" if column == self.column else "heatmap--ruler"
            style = self.rich_style + self.get_component_rich_style(look, partial=True)
            segments.append(Segment(fit(plain(self.targets[column]), self.cell_width - 1) + " ", style))
        return Strip(segments)

    def go_to(self, row: int, column: int) -> None:
        """Put the cursor on a cell and bring it into view."""
        if self.mass is None or not self.mass.size:
            return
        rows, columns = self.mass.shape
        before = self._line
        self.row, self.column = min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)
        self._reveal()
        self._tell()
        self._repaint(before, self._line)

    def _tell(self) -> None:
        if self.listener is not None:
            self.listener()
        self.post_message(self.Inspected(self))

    def _repaint(self, *lines: int) -> None:
        """Draw the ruler and the rows that begin on `lines` anew."""
        height, width = 1 if self.half else self.cell_height, self.size.width
        top = RULER - self.scroll_offset.y
        self.refresh(Region(0, 0, width, RULER), *(Region(0, line + top, width, height) for line in lines))

    @property
    def _line(self) -> int:
        """The first line of the cursor's row, counted from below the ruler."""
        return self.row // 2 if self.half else self.row * self.cell_height

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
        """Put the cursor on the cell under the mouse."""
        self._follow(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Inspect the cell under a dragged mouse."""
        if event.button:
            self._follow(event)

    def _follow(self, event: events.MouseEvent) -> None:
        if event.x < GUTTER or event.y < RULER:
            return
        line = event.y - RULER + self.scroll_offset.y
        column = (event.x - GUTTER) // self.cell_width + self.scroll_offset.x // self.cell_width
        self.go_to(line * 2 if self.half else line // self.cell_height, column)

    def action_step(self, down: int, right: int) -> None:
        """Move the cursor by one cell."""
        self.go_to(self.row + down, self.column + right)

    def _shaded(self, **changes: Any) -> None:
        self.shading = replace(self.shading, **changes)
        self._changed()

    def action_normalise(self, by: By) -> None:
        """Divide by the largest of the row, the column or all."""
        self._shaded(by=by)

    def action_log_scale(self) -> None:
        """Switch the logarithmic scale."""
        self._shaded(logarithmic=not self.shading.logarithmic)

    def action_threshold(self) -> None:
        """Take the next threshold."""
        place = THRESHOLDS.index(self.shading.threshold)
        self._shaded(threshold=THRESHOLDS[(place + 1) % len(THRESHOLDS)])

    def action_layer(self) -> None:
        """Show the next of mass, cost and product."""
        self._shaded(layer=LAYERS[(LAYERS.index(self.shading.layer) + 1) % len(LAYERS)])

    def action_marks(self) -> None:
        """Mark each row's largest mass, or not."""
        self.marked = not self.marked
        self._changed()

    def action_ramp(self) -> None:
        """Take the next colours."""
        self.colours = (self.colours + 1) % len(RAMPS)
        self._changed()

    def action_next_cell(self, way: int = 1) -> None:
        """Go to the cell that comes next when cells are sorted from the largest on."""
        if self.mass is None or not self.mass.size:
            return
        import numpy as np

        values = self.values() if self.against is None else np.abs(self.values())
        order = np.argsort(-values, axis=None, kind="stable")
        place = int(np.flatnonzero(order == self.row * self.mass.shape[1] + self.column)[0]) + way
        row, column = divmod(int(order[place % len(order)]), self.mass.shape[1])
        self.go_to(row, column)

    def action_previous_cell(self) -> None:
        """Go to the cell that comes before."""
        self.action_next_cell(-1)
