"""The details of a run: its curves, its settings and the end of its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message
from textual.widgets import ContentSwitcher
from textual.worker import Worker

from engine.flatten import flatten
from engine.paths import run_log
from engine.results.run_facts import UNCHANGED, cut_of, is_unchanged
from workbench.data.log import read_log_end
from workbench.data.machine import Load, LoadMeter
from workbench.data.runs import Run
from workbench.runs.curves_model import Curves, CurvesReader
from workbench.runs.system import SystemPanel
from workbench.shell.screen import report_worker_error
from workbench.widgets.table import Cell, Column, Table

PANES = ("curves-pane", "settings", "log")
UNMARKED_COLOUR = 7
_WIDEST_LOG = 500


class RunDetails(ContentSwitcher):
    """Three panes: the curves of one run or several, the settings of one, and its log.

    Attributes
    ----------
    curves : dict
        The curves that were read, by run id.
    """

    class Read(Message):
        """The curves and the log of the runs that are shown were read, and the load of a running one."""

        def __init__(self, curves: dict[str, Curves], log: list[str], run: str, load: Load | None) -> None:
            super().__init__()
            self.curves, self.log_lines, self.run, self.load = curves, log, run, load

    class PlotsImported(Message):
        """The plotting library was imported."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, initial=PANES[0])
        self.curves: dict[str, Curves] = {}
        self._reader = CurvesReader()
        self._meter = LoadMeter()
        self._runs: list[Run] = []
        self._colours: dict[str, int] = {}

    def compose(self) -> ComposeResult:
        """Yield the panes; the curves come when the plotting library is imported."""
        with Container(id=PANES[0]):
            yield SystemPanel()
        yield Table(id=PANES[1], empty="no settings are recorded")
        yield Table(id=PANES[2], fixed=0, empty="no log.txt: the run wrote its messages to a terminal")

    def on_mount(self) -> None:
        """Import the plotting library once the screen is painted."""
        self.call_after_refresh(self._import_plots)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Report the error that ended a worker."""
        report_worker_error(self.app, event)

    @work(thread=True, group="plots", exit_on_error=False)
    def _import_plots(self) -> None:
        import workbench.runs.curves  # noqa: F401

        self.post_message(self.PlotsImported())

    @on(PlotsImported)
    async def _mount_plots(self) -> None:
        from workbench.runs.curves import CurveGrid

        await self.query_one(f"#{PANES[0]}").mount(CurveGrid())
        self._draw()

    def show_curves(self, runs: list[Run], colours: dict[str, int]) -> None:
        """Draw the curves of `runs`; `colours` holds the number of the colour of each marked run."""
        self._runs, self._colours = runs, colours
        self._draw()

    def show_settings(self, run: Run) -> None:
        """Show the settings of `run`, and what else its record holds."""
        rows: list[tuple[Any, Any]] = [
            (name, setting_cell(value)) for name, value in flatten(run["config"] or {}).items()
        ]
        recorded = {name: run[name] for name in ("id", "host", "device", "commit", "argv")}
        recorded["best step"] = f"0{UNCHANGED}" if is_unchanged(run) else None
        recorded["cut texts"] = cut_of(run)
        told = ("cut", "cut_in_training", "weights")
        summary = {name: value for name, value in (run["summary"] or {}).items() if name not in told}
        recorded |= flatten(summary, "summary")
        recorded |= flatten(run["versions"] or {})
        rows += [
            (Cell(name, "dim"), setting_cell(value))
            for name, value in recorded.items()
            if value not in (None, {}, [])
        ]
        self.query_one("#settings", Table).show([Column("Setting"), Column("Value", 120)], rows)

    def read(self, here: Run, runs: list[Run], colours: dict[str, int]) -> None:
        """Read the curves of `runs` and the log of `here`, and post `Read` when that is done."""
        self._runs, self._colours = runs, colours
        self._read({run["id"]: run["folder"] for run in runs}, here)

    @work(thread=True, exclusive=True, group="curves", exit_on_error=False)
    def _read(self, folders: dict[str, Path], here: Run) -> None:
        curves: dict[str, Curves] = {}
        for run, folder in folders.items():
            try:
                curves[run] = self._reader.read(folder)
            except OSError:
                continue
        log = read_log_end(run_log(here["folder"]))
        self.post_message(self.Read(curves, log, here["id"], self._meter.measure(here)))

    @on(Read)
    def _show_read(self, message: Read) -> None:
        changed = message.curves != {run: self.curves.get(run) for run in message.curves}
        self.curves.update(message.curves)
        self.query_one(SystemPanel).show(message.run, message.load)
        if changed:
            self._draw()
        table = self.query_one("#log", Table)
        if [row[0] for row in table.rows] != message.log_lines:
            width = max(map(len, message.log_lines), default=10)
            column = Column("log.txt", min(width, _WIDEST_LOG))
            table.show([column], [(line,) for line in message.log_lines])
            table.go_to(len(message.log_lines) - 1)

    def _draw(self) -> None:
        for grid in self.query("CurveGrid"):
            drawn = [run for run in self._runs if run["id"] in self.curves]
            grid.show(  # type: ignore[attr-defined]
                [
                    (run["name"], self._colours.get(run["id"], UNMARKED_COLOUR), self.curves[run["id"]])
                    for run in drawn
                ]
            )

    def next_pane(self) -> None:
        """Show the next pane."""
        self.current = PANES[(self.pane + 1) % len(PANES)]

    @property
    def pane(self) -> int:
        """The number of the pane that is shown."""
        return PANES.index(self.current or PANES[0])

    def run_curves_action(self, action: str) -> None:
        """Show the curves and run one of their actions."""
        self.current = PANES[0]
        for grid in self.query("CurveGrid"):
            getattr(grid, f"action_{action}")()


def setting_cell(value: Any) -> Any:
    """Return the value of a setting as a cell."""
    if value is None:
        return Cell("none", "dim")
    return json.dumps(value, ensure_ascii=False, default=str).strip('"')
