"""A matrix with a label for each row: as large as fits, in half blocks where there is little room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from workbench.actions import bindings
from workbench.text import fit, plain, right_to_left
from workbench.themes import BINS, GLYPHS, RAMPS, ramp

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

GUTTER = 14
RULER = 1
MAGNIFIED = 4
WORD = 6  # columns that a cell needs before tokens are written above it
THRESHOLDS = (0.0, 0.01, 0.05, 0.1)
LAYERS = ("mass", "cost", "product")


class Heatmap(ScrollView, can_focus=True):
    """A transport plan and its cost, with a cursor. Rows are source tokens, columns target tokens."""

    HELP = (
        "**Heatmap.** Arrows or hjkl move the cursor, n and N go through the cells from the largest on. "
        "The line below tells the two tokens, their mass and its share of the row, rank, cost and "
        "product."
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
        self.row = self.column = 0
        self.norm, self.logarithmic, self.limit = "all", False, 0
        self.view, self.marked, self.colours = "mass", True, 0
        self._bins: Any = None

    def show(
        self,
        mass: npt.NDArray[np.float64],
        cost: npt.NDArray[np.float64],
        sources: list[str],
        targets: list[str],
    ) -> None:
        """Show a plan of shape (Q, D) with the tokens of its rows and columns."""
        self.mass, self.cost, self.sources, self.targets = mass, cost, sources, targets
        self.row = self.column = 0
        if mass.size:
            self.row, self.column = divmod(int(mass.argmax()), mass.shape[1])
        self.scroll_to(0, 0, animate=False)
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
        return not self.magnified and self.size.width < 100 and not self.glyphs

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
        ways = ("norm", "logarithmic", "limit", "view", "marked", "colours")
        changed = [name for name in ways if getattr(self, name) != getattr(other, name)]
        for name in changed:
            setattr(self, name, getattr(other, name))
        if changed:
            self._changed()
        if (self.row, self.column) != (other.row, other.column):
            self.go_to(other.row, other.column)

    def values(self) -> npt.NDArray[np.float64]:
        """Return what is shown, (Q, D), before it is scaled: mass, cost, or their product."""
        assert self.mass is not None and self.cost is not None
        layers = {"mass": self.mass, "cost": self.cost, "product": self.mass * self.cost}
        return layers[self.view]

    def scale(self) -> str:
        """Return in words how values became colours."""
        if self.mass is None or not self.mass.size:
            return ""
        values = self.values()
        parts = [f"{self.view} {values.min():.3g} to {values.max():.3g}", f"per {self.norm}"]
        parts += ["log"] * self.logarithmic
        parts += [f"≥ {THRESHOLDS[self.limit]:.0%}"] * bool(self.limit)
        return ", ".join(parts).replace("per all", "whole")

    def on_resize(self) -> None:
        """Choose the geometry that fits."""
        self._measure()

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
        self.post_message(self.Inspected(self))

    def _measure(self) -> None:
        rows, columns = (0, 0) if self.mass is None else self.mass.shape
        lines = -(-rows // 2) if self.half else rows * self.cell_height
        self.virtual_size = Size(GUTTER + columns * self.cell_width, lines + RULER)
        self.refresh()

    def _binned(self) -> Any:
        import numpy as np

        if self.mass is None or not self.mass.size:
            return None
        values = np.nan_to_num(np.abs(self.values()))
        axis = {"row": 1, "column": 0, "all": None}[self.norm]
        if self.view == "cost":
            # Mass begins at nothing; costs differ among themselves.
            values = values - values.min(axis=axis, keepdims=True)
        largest = values.max(axis=axis, keepdims=True)
        share = values / np.where(largest > 0, largest, 1)
        hidden = share < THRESHOLDS[self.limit]
        if self.logarithmic:
            # Three decades; below them is as good as nothing.
            share = np.clip(1 + np.log10(np.maximum(share, 1e-12)) / 3, 0, 1)
        bins = np.minimum((share * BINS).astype(int), BINS - 1)
        bins[hidden] = -1
        return bins

    def render_line(self, y: int) -> Strip:
        """Draw the ruler, or a line of one row or two."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        if self._bins is None:
            return Strip.blank(width, base)
        cells = self.cell_width
        first = self.scroll_offset.x // cells
        count = min((width - GUTTER) // cells, self._bins.shape[1] - first)
        if y == 0:
            return self._ruler(first, count).crop_extend(0, width, base)
        line = y - RULER + self.scroll_offset.y
        inner = line % self.cell_height
        rows = [line * 2, line * 2 + 1] if self.half else [line // self.cell_height]
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
        if self.marked and self.mass is not None and middle:
            best = {row: int(self.mass[row].argmax()) for row in rows}
        for column in range(first, first + count):
            segments.append(self._cell(rows, column, best, base, middle))
        return Strip(segments).crop_extend(0, width, base)

    def _cell(self, rows: list[int], column: int, best: dict[int, int], base: Style, middle: bool) -> Segment:
        cursor = self.row in rows and column == self.column and middle
        bins = [int(self._bins[row, column]) for row in rows]
        if self.glyphs:
            shade = GLYPHS[max(0, -(-bins[0] * (len(GLYPHS) - 1) // (BINS - 1)))]
            text = shade * self.cell_width
            if best.get(rows[0]) == column:
                text = text[:-1] + "•"
            return Segment(text, base + Style(reverse=True) if cursor else base)
        colours = ramp_of(RAMPS[self.colours], self.app.current_theme.dark, self.app.console.color_system)
        ground = self.background_colors[1].hex
        shown = [colours[value] if value >= 0 else ground for value in bins]
        if self.half:
            top, bottom = shown[0], shown[1] if len(shown) > 1 else ground
            if cursor:
                mark = "▲" if self.row == rows[0] else "▼"
                under = shown[0] if self.row == rows[0] else bottom
                return Segment(mark, Style(color=_contrast(under), bgcolor=under, bold=True))
            return Segment("▀", Style(color=top, bgcolor=bottom))
        mark = "◆" * cursor + "•" * (best.get(rows[0]) == column)
        text = mark[: self.cell_width].center(self.cell_width)
        return Segment(text, Style(color=_contrast(shown[0]), bgcolor=shown[0], bold=cursor))

    def _ruler(self, first: int, count: int) -> Strip:
        """Return the target tokens where they fit, else every fifth column's number; and the cursor."""
        if self.cell_width >= WORD and not any(map(right_to_left, self.targets)):
            return self._words(first, count)
        marks = [" "] * (count * self.cell_width)
        for column in range(first, first + count):
            text = str(column + 1)
            place = (column - first) * self.cell_width
            if ((column + 1) % 5 == 0 or column == 0) and place + len(text) <= len(marks):
                marks[place : place + len(text)] = text
        style = self.rich_style + self.get_component_rich_style("heatmap--ruler", partial=True)
        here = self.rich_style + self.get_component_rich_style("heatmap--here", partial=True)
        place = (self.column - first) * self.cell_width
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
        self.row, self.column = min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)
        line = self.row // 2 if self.half else self.row * self.cell_height
        if self.magnified:
            self.refresh()
            self.post_message(self.Inspected(self))
            return
        region = Region(GUTTER + self.column * self.cell_width, line + RULER, self.cell_width, 1)
        view = self.scrollable_content_region
        left, top = self.scroll_offset
        if region.x - GUTTER < left or region.right > left + view.width:
            self.scroll_to(x=max(region.x - view.width // 2, 0), animate=False, immediate=True)
        if line < top or line + RULER >= top + view.height:
            self.scroll_to(y=max(line - view.height // 2, 0), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Inspected(self))

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

    def action_normalise(self, by: str) -> None:
        """Divide by the largest of the row, the column or all."""
        self.norm = by
        self._changed()

    def action_log_scale(self) -> None:
        """Switch the logarithmic scale."""
        self.logarithmic = not self.logarithmic
        self._changed()

    def action_threshold(self) -> None:
        """Take the next threshold."""
        self.limit = (self.limit + 1) % len(THRESHOLDS)
        self._changed()

    def action_layer(self) -> None:
        """Show the next of mass, cost and product."""
        self.view = LAYERS[(LAYERS.index(self.view) + 1) % len(LAYERS)]
        self._changed()

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

        order = np.argsort(-self.values(), axis=None, kind="stable")
        place = int(np.flatnonzero(order == self.row * self.mass.shape[1] + self.column)[0]) + way
        row, column = divmod(int(order[place % len(order)]), self.mass.shape[1])
        self.go_to(row, column)

    def action_previous_cell(self) -> None:
        """Go to the cell that comes before."""
        self.action_next_cell(-1)


def ramp_of(name: str, dark: bool, system: str | None) -> tuple[str, ...]:
    """Return the colours of a ramp; with 256 colours only grey is monotone, so grey is what they get."""
    return ramp(name if system == "truecolor" else "grey", dark)


def _contrast(colour: str) -> str:
    red, green, blue = bytes.fromhex(colour[1:7])
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else "#ffffff"
