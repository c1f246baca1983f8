"""Plots of the curves of one run or several: loss, held-out retrieval, plan, learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Grid
from textual.strip import Strip
from textual_hires_canvas import Canvas
from textual_plot import HiResMode, NumericAxisFormatter, PlotWidget
from textual_plot.plot_widget import Legend

from workbench.actions import bindings
from workbench.runs.curves_model import GROUPS, Curves, group_metrics, metric_label, smooth
from workbench.themes import curve_colours
from workbench.widgets.text import number, plain
from workbench.widgets.text_view import set_border

SMOOTHING = (0.0, 0.6, 0.9)
_MOST_DIGITS = 6
_LEAST_MARGIN = 1e-3
"""The least margin of the y axis above and below the data, in shares of the values."""


class TickFormatter(NumericAxisFormatter):  # type: ignore[misc]
    """Short tick labels; on a logarithmic axis they are the values, not their logarithms."""

    log = False
    most = 8

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Return the positions of the ticks, at most `most` of them."""
        ticks: list[float] = super().get_ticks(min_, max_, max_ticks)
        return ticks[:: -(-len(ticks) // max(self.most, 1))] if ticks else ticks

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """Return a label for each tick, with as many digits as make the labels differ."""
        values = [10**tick if self.log else round(tick, 12) for tick in ticks]
        labels: list[str] = []
        for digits in range(3, _MOST_DIGITS + 1):
            labels = [number(value, digits) for value in values]
            if len(set(labels)) == len(labels):
                return labels
        return ["" if label in labels[:place] else label for place, label in enumerate(labels)]


class PlotCanvas(Canvas):
    """A canvas whose lines are valid before it knows its size; the filter for NO_COLOR needs them."""

    def render_line(self, y: int) -> Strip:
        """Return a line."""
        strip: Strip = super().render_line(y)
        return strip if strip.cell_length else Strip([], 0)


class Plot(PlotWidget):  # type: ignore[misc]
    """One plot, with its name in the border above and its legend in the border below."""

    HELP = "**Curve.** + and - zoom, arrows pan, r shows all; l, m and x change axes and smoothing."
    margin_top = 0
    margin_bottom = 1
    margin_left = 8
    right_edge = 1.0
    fitted = (0.0, 1.0)

    def compose(self) -> ComposeResult:
        """Yield the parts that `PlotWidget` draws on."""
        with Grid():
            for name in ("margin-top", "margin-left", "plot", "margin-bottom"):
                yield PlotCanvas(1, 1, id=name)
        yield Legend(id="legend")


class CurveGrid(Container):
    """The plots: all of them where they fit, otherwise one at a time."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("curves")
    DEFAULT_CSS = """
    CurveGrid {
        layout: grid;
        grid-size: 2 2;
        & Plot { border: round $secondary 40%; border-title-color: $primary; }
        & Plot { border-subtitle-color: $foreground; }
        & Plot:focus { border: round $primary; }
    }
    CurveGrid.column { grid-size: 1 4; }
    CurveGrid.single { grid-size: 1 1; & Plot { display: none; } & Plot.current { display: block; } }
    """

    def __init__(self) -> None:
        super().__init__(id="curves")
        self.runs: list[tuple[str, int, Curves]] = []
        self.current = self.smoothing = 0
        self.log_loss = self.minutes = False

    def compose(self) -> ComposeResult:
        """Yield a plot for each group of metrics."""
        for place, group in enumerate(GROUPS):
            plot = Plot(id=f"plot-{place}", classes="current" if place == 0 else "")
            set_border(plot, title=group)
            yield plot

    def on_resize(self) -> None:
        """Show four plots where each is large enough, otherwise one."""
        narrow = self.size.width < 100
        self.set_class(narrow and self.size.height >= 28, "column")
        self.set_class(self.size.height < 14 or (narrow and self.size.height < 28), "single")
        self.draw()

    def show(self, runs: list[tuple[str, int, Curves]]) -> None:
        """Show the curves of runs; each has a name and the number of its colour."""
        self.runs = runs
        self.draw()

    def draw(self) -> None:
        """Draw all plots."""
        palette = curve_colours(self.app.current_theme.dark)
        right = self._right_edge()
        for place, group in enumerate(GROUPS):
            plot = self.query_one(f"#plot-{place}", Plot)
            plot.clear()
            log = group == "loss" and self.log_loss
            ticks = TickFormatter()
            ticks.log, ticks.most = log, max(2, plot.size.height // 2)
            plot.set_y_formatter(ticks)
            plot.set_x_formatter(TickFormatter())
            if plot.right_edge != right:
                plot.right_edge = right
                plot.set_xlimits(0, right)
            legend = Text()
            alone = len(self.runs) == 1
            for name, colour, curves in self.runs:
                metrics = group_metrics(group, curves, alone)
                for offset, metric in enumerate(metrics):
                    style = palette[(offset if alone else colour) % len(palette)]
                    self._draw_line(plot, curves.values[metric], style, log)
                    label = metric_label(metric) if alone else name
                    last = curves.values[metric][2][-1]
                    legend.append("━ ", style).append(f"{plain(label)} {number(last, 3)}  ")
            _set_height(plot)
            legend.truncate(max(plot.size.width - 4, 20), overflow="ellipsis")
            set_border(plot, subtitle=legend or Text("no curve", "dim"))
            smoothing = f", smoothed {SMOOTHING[self.smoothing]}" if self.smoothing else ""
            more = f"  {place + 1}/{len(GROUPS)}, c: next" if self.has_class("single") else ""
            set_border(plot, title=group + (", log" if log else "") + smoothing + more)

    def _right_edge(self) -> float:
        """Return the last step or minute of all curves, which is the end of the x axis of all plots."""
        lines = [series for _, _, curves in self.runs for series in curves.values.values()]
        if self.minutes:
            return max((seconds[-1] / 60 for _, seconds, _ in lines), default=1.0) or 1.0
        return float(max((steps[-1] for steps, _, _ in lines), default=1) or 1)

    def _draw_line(self, plot: Plot, series: Any, style: str, log: bool) -> None:
        steps, seconds, values = series
        x = [second / 60 for second in seconds] if self.minutes else steps
        y = smooth(values, SMOOTHING[self.smoothing])
        if log:
            y = [math.log10(value) if value > 0 else math.nan for value in y]
        points = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)]
        if len(points) == 1:
            plot.scatter(*zip(*points, strict=True), marker="●", marker_style=style)
        elif points:
            first, second = zip(*_thinned(points), strict=True)
            plot.plot(first, second, line_style=style, hires_mode=HiResMode.BRAILLE)

    def action_next_curve(self) -> None:
        """Show the next plot."""
        self.current = (self.current + 1) % len(GROUPS)
        for place, plot in enumerate(self.query(Plot)):
            plot.set_class(place == self.current, "current")
        if self.has_class("single") and self.has_focus_within:
            self.query_one(f"#plot-{self.current}").focus()
        self.draw()

    def action_log_axis(self) -> None:
        """Switch the axis of the loss between linear and logarithmic."""
        self.log_loss = not self.log_loss
        self.draw()

    def action_smooth(self) -> None:
        """Smooth the curves more, then not at all."""
        self.smoothing = (self.smoothing + 1) % len(SMOOTHING)
        self.draw()

    def action_x_axis(self) -> None:
        """Switch between steps and minutes."""
        self.minutes = not self.minutes
        self.draw()


def _set_height(plot: Plot) -> None:
    """Fit the y axis to the data, with a margin, unless the plot was zoomed; the key r then fits it again.

    Without the margin the frame would hide the lowest and highest parts of a curve.
    """
    values = [float(value) for data in plot._datasets for value in data.y]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    least = _LEAST_MARGIN * max(abs(low), abs(high))
    margin = (max(0.05 * (high - low), least) if high > low else abs(low) * 0.1 or 1.0) if values else 0.0
    zoomed = (plot._y_min, plot._y_max) != plot.fitted
    plot.fitted = low - margin, high + margin
    if zoomed:
        plot._user_y_min, plot._user_y_max = plot.fitted
    else:
        plot.set_ylimits(*plot.fitted)


def _thinned(points: list[tuple[float, float]], most: int = 800) -> list[tuple[float, float]]:
    """Return the lowest and the highest point of each of `most` / 2 stretches of points."""
    if len(points) <= most:
        return points
    size = -(-len(points) // (most // 2))
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        low = min(stretch, key=lambda point: point[1])
        high = max(stretch, key=lambda point: point[1])
        kept += sorted({low, high})
    return kept
