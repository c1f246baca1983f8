"""Runs: what runs and ran, and the curves, settings and log of the run under the cursor."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.message import Message
from textual.widgets import ContentSwitcher, Input, Static

from engine.durations import age_text, duration_text
from engine.errors import OpticalError
from engine.flatten import flatten
from workbench.actions import bindings
from workbench.context import Context
from workbench.data.log import last_lines
from workbench.data.runs import Run, Snapshot, differing_settings, encoder_of, headline, languages_of
from workbench.runs.curves_model import Curves, Follower
from workbench.runs.edit import Editing
from workbench.shell.screen import ModeScreen
from workbench.themes import curve_colours
from workbench.widgets.table import Cell, Column, Table
from workbench.widgets.text import number, score
from workbench.widgets.text_input import TextInput

LOOKS = {"running": "head", "finished": "good", "failed": "bad", "crashed": "bad", "stopped": "warn"}
SIGNS = {"running": "▶", "finished": "✓", "failed": "✗", "crashed": "✗", "stopped": "■"}
PANES = ("curves-place", "settings", "log")
READING_SECONDS = 4.0
GREETING = """\
[b]There are no runs here yet.[/]

  [b]optical-workbench demo[/]        runs the main job on packaged encoders; no network, a few minutes
  [b]optical-workbench run FILE[/]    starts a run of your own; its name appears here at once
  key [b]2[/]                         opens a form that starts one
  key [b]3[/]                         shows a study that ships with Optical Workbench

Runs are looked for in [b]{folder}[/]; OPTICAL_RESULTS names another results database.
"""


class RunsScreen(Editing, ModeScreen):
    """The runs."""

    HELP = (
        "**Runs.** Each row is a run; ▶ marks one under way. Space marks runs, whose curves are then "
        "drawn over each other and whose settings can be compared. The filter takes words, `field=value`, "
        "comparisons such as `RR>0.8` or `training.steps<200`, and AND, OR, NOT."
    )
    # The curves' keys work from the table too.
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("runs"), *bindings("curves")]
    scope = "runs"

    class Followed(Message):
        """The curves and the log of the shown runs were read."""

        def __init__(self, curves: dict[str, Curves], log: list[str]) -> None:
            super().__init__()
            self.curves, self.log_lines = curves, log

    class PlotsReady(Message):
        """The plotting library was imported."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.runs: list[Run] = []
        self.shown: list[Run] = []
        self.marked: dict[str, int] = {}
        self.expression = self.refusal = ""
        self.follower = Follower()
        self.curves: dict[str, Curves] = {}

    def compose_body(self) -> ComposeResult:
        """The filter, the table and the details."""
        yield TextInput(placeholder="filter: tico RR>0.8 AND NOT state=failed", id="filter")
        yield Static(id="greeting")
        with Container(id="runs-body"):
            yield Table(id="runs-table", fixed=3, empty="reading runs …")
            with ContentSwitcher(id="detail", initial=PANES[0]):
                yield Container(id="curves-place")
                yield Table(id="settings", empty="no settings are recorded")
                yield Table(id="log", fixed=0, empty="no log.txt: what it said went to its terminal")

    def on_mount(self) -> None:
        """Begin with the table; plots come when their library is there."""
        super().on_mount()
        self.query_one("#greeting").display = False
        self.query_one("#runs-table").focus()
        if self.context.snapshot is None:
            self.show_status("reading runs …")
        self.call_after_refresh(self._import_plots)

    @work(thread=True, group="plots", exit_on_error=False)
    def _import_plots(self) -> None:
        import workbench.runs.curves  # noqa: F401

        self.post_message(self.PlotsReady())

    @on(PlotsReady)
    async def _mount_plots(self) -> None:
        from workbench.runs.curves import CurveGrid

        await self.query_one("#curves-place").mount(CurveGrid())
        self._draw()

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Show the runs anew."""
        self.runs = snapshot.runs
        self.query_one("#runs-table", Table).empty = "no run fits the filter; Esc in it clears it"
        self.query_one("#greeting").display = not self.runs
        self.query_one("#runs-body").display = bool(self.runs)
        if not self.runs:
            greeting = GREETING.format(folder=self.context.store.folder)
            self.query_one("#greeting", Static).update(greeting)
        known = {run["id"] for run in self.runs}
        self.marked = {run: colour for run, colour in self.marked.items() if run in known}
        self._fill()
        self._follow()

    def _fill(self) -> None:
        try:
            self.shown = self._filtered()
            self.refusal = ""
        except OpticalError as error:
            self.refusal = str(error)
            self._describe()
            return
        palette = curve_colours(self.app.current_theme.dark)
        rows = []
        for run in self.shown:
            colour = self.marked.get(run["id"])
            best = headline(run)
            languages = languages_of(run)
            rows.append(
                (
                    Cell("●", palette[colour % len(palette)]) if colour is not None else "",
                    Cell(SIGNS.get(run["state"], "?"), LOOKS.get(run["state"], "dim")),
                    run["name"],
                    Cell(run["state"], LOOKS.get(run["state"], "dim")),
                    f"{best[0]} {score(best[1])}" if best else "",
                    Cell(age_text(run["created"]), "dim"),
                    f"{len(languages)}: {' '.join(languages)}" if len(languages) > 6 else " ".join(languages),
                    run["kind"],
                    encoder_of(run),
                    Cell(" ".join(run["tags"] or ()), "warn"),
                    Cell(run["note"] or "", "dim"),
                )
            )
        titles = ("", "", "Run", "State", "Measure", "Age", "Languages", "Kind", "Encoder", "Tags", "Note")
        columns = [Column(title, 1 if not title else None) for title in titles]
        self.query_one("#runs-table", Table).show(columns, rows, [run["id"] for run in self.shown])
        self._describe()

    def _filtered(self) -> list[Run]:
        if not self.expression.strip():
            return self.runs
        from engine.results.filters import parse_filter

        selected = parse_filter(self.expression)
        selected.check_fields(self.runs)
        return [run for run in self.runs if selected.matches(run)]

    def _describe(self) -> None:
        """Say what is wrong, else what is known of the run under the cursor."""
        if time.monotonic() - self.refused < READING_SECONDS:
            return
        problems = self.context.snapshot.problems if self.context.snapshot else []
        if self.refusal:
            self.show_status(self.refusal, "warn")
            return
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            self.show_status(problems[0] + more, "warn")
            return
        run = self.run_here
        if run is None:
            self.show_status()
            return
        way_out = " (r resumes it)" if run["state"] in ("stopped", "failed", "crashed") else ""
        if run["failure"]:
            self.show_status(f"{run['id']}: {run['failure']}{way_out}", "bad")
            return
        parts = [f"{run['state']}{way_out}"] if way_out else []
        if run["started"] and run["ended"]:
            parts.append(f"took {duration_text((run['ended'] - run['started']).total_seconds())}")
        shown = self.curves.get(run["id"])
        speed = shown.values.get("pairs_per_second") if shown else None
        if speed:
            parts.append(f"{number(speed[2][-1], 3)} pairs/s")
        steps = (run["config"] or {}).get("training", {}).get("steps")
        loss = shown.values.get("loss") if shown else None
        if steps and loss:
            parts.append(f"step {loss[0][-1]} of {steps}")
        if shown and shown.corrupt:
            parts.append(f"{shown.corrupt} corrupt lines in metrics.jsonl were left out")
        hidden = len(self.runs) - len(self.shown)
        if hidden:
            parts.append(f"{hidden} runs filtered out")
        self.show_status(" · ".join([*parts, run["id"]]))

    @property
    def run_here(self) -> Run | None:
        """The run under the cursor."""
        key = self.query_one("#runs-table", Table).key
        return next((run for run in self.shown if run["id"] == key), None)

    def chosen(self) -> list[Run]:
        """Return the marked runs, else the one under the cursor."""
        marked = [run for run in self.runs if run["id"] in self.marked]
        here = self.run_here
        return marked or ([here] if here else [])

    def _drawn(self) -> list[Run]:
        here = self.run_here
        return [run for run in self.runs if run["id"] in self.marked or run is here]

    @on(Table.Moved, "#runs-table")
    def _moved(self) -> None:
        self.refused = -math.inf
        self._describe()
        self._show_settings()
        self._draw()
        self._follow()

    @on(Table.Chosen, "#runs-table")
    def action_results(self) -> None:
        """Go to the results of the marked runs, else of this one."""
        self.context.show_results([run["id"] for run in self.chosen()])

    def _follow(self) -> None:
        here = self.run_here
        if here is not None:
            self._read({run["id"]: run["folder"] for run in self._drawn()}, here["folder"])

    @work(thread=True, exclusive=True, group="follow", exit_on_error=False)
    def _read(self, folders: dict[str, Path], here: Path) -> None:
        curves: dict[str, Curves] = {}
        for run, folder in folders.items():
            try:
                curves[run] = self.follower.read(folder)
            except OSError:
                continue
        self.post_message(self.Followed(curves, last_lines(here / "log.txt")))

    @on(Followed)
    def _followed(self, message: Followed) -> None:
        changed = message.curves != {run: self.curves.get(run) for run in message.curves}
        self.curves.update(message.curves)
        if changed:
            self._draw()
        table = self.query_one("#log", Table)
        if [row[0] for row in table.rows] != message.log_lines:
            width = max(map(len, message.log_lines), default=10)
            table.show([Column("log.txt", min(width, 500))], [(line,) for line in message.log_lines])
            table.go_to(len(message.log_lines) - 1)
        self._describe()

    def _draw(self) -> None:
        grids = self.query("CurveGrid")
        if not grids:
            return
        runs = [
            (run["name"], self.marked.get(run["id"], 7), self.curves[run["id"]])
            for run in self._drawn()
            if run["id"] in self.curves
        ]
        grids.first().show(runs)  # type: ignore[attr-defined]

    def _show_settings(self) -> None:
        run = self.run_here
        if run is None:
            return
        rows: list[tuple[Any, Any]] = [
            (name, _setting(value)) for name, value in flatten(run["config"] or {}, first_item=1).items()
        ]
        about = {name: run[name] for name in ("id", "host", "device", "commit", "argv")}
        for name, value in {
            **about,
            **flatten(run["summary"] or {}, "summary"),
            **flatten(run["versions"] or {}),
        }.items():
            if value not in (None, {}, []):
                rows.append((Cell(name, "dim"), _setting(value)))
        self.query_one("#settings", Table).show([Column("Setting"), Column("Value", 120)], rows)

    def action_filter(self) -> None:
        """Type a filter."""
        entry = self.query_one("#filter", Input)
        entry.add_class("open")
        entry.focus()

    @on(Input.Changed, "#filter")
    def _preview(self, event: Input.Changed) -> None:
        self.expression = event.value
        self._fill()

    @on(Input.Submitted, "#filter")
    def _commit(self, event: Input.Submitted) -> None:
        event.input.set_class(bool(event.value.strip()), "open")
        self.query_one("#runs-table").focus()

    def key_escape(self) -> None:
        """Clear the filter."""
        entry = self.query_one("#filter", Input)
        entry.value = ""
        entry.remove_class("open")
        self.query_one("#runs-table").focus()

    def action_mark(self) -> None:
        """Mark this run, or unmark it; its colour is the first that is free."""
        run = self.run_here
        if run is None:
            return
        if self.marked.pop(run["id"], None) is None:
            taken = set(self.marked.values())
            self.marked[run["id"]] = next(place for place in range(len(taken) + 1) if place not in taken)
        self._fill()
        self._draw()

    def action_unmark(self) -> None:
        """Unmark all."""
        self.marked.clear()
        self._fill()
        self._draw()

    def action_pane(self) -> None:
        """Show the next of curves, settings and log."""
        switcher, body = self.query_one("#detail", ContentSwitcher), self.query_one("#runs-body")
        place = PANES.index(switcher.current or PANES[0]) + 1
        if self.has_class("-tiny"):
            # There is room for one thing: the runs, then each pane, then the runs again.
            if not body.has_class("details"):
                place = 0
            body.set_class(place < len(PANES), "details")
            if place == len(PANES):
                self.query_one("#runs-table").focus()
        switcher.current = PANES[place % len(PANES)]

    def _curves(self, action: str) -> None:
        switcher = self.query_one("#detail", ContentSwitcher)
        switcher.current = PANES[0]
        for grid in self.query("CurveGrid"):
            getattr(grid, f"action_{action}")()

    def action_next_curve(self) -> None:
        """Show the next plot."""
        self._curves("next_curve")

    def action_log_axis(self) -> None:
        """Switch the loss's axis."""
        self._curves("log_axis")

    def action_smooth(self) -> None:
        """Smooth the curves more, then not at all."""
        self._curves("smooth")

    def action_x_axis(self) -> None:
        """Switch between steps and minutes."""
        self._curves("x_axis")

    def action_diff(self) -> None:
        """Show the settings in which the marked runs differ."""
        from workbench.widgets.dialogs import TableDialog

        runs = self._drawn()
        if len(runs) < 2:
            self.refuse("mark a second run with Space; the difference of two or more is shown")
            return
        columns = [Column("Setting"), *(Column(run["name"]) for run in runs)]
        rows = [(name, *(_setting(value) for value in values)) for name, values in differing_settings(runs)]
        note = "" if rows else "They have the same settings."
        self.app.push_screen(TableDialog("Settings that differ", columns, rows, note))

    def action_plans(self) -> None:
        """Go to this run's plans."""
        run = self.run_here
        if run is not None:
            self.context.show_plans([run["id"]])


def _setting(value: Any) -> Any:
    return (
        Cell("none", "dim")
        if value is None
        else json.dumps(value, ensure_ascii=False, default=str).strip('"')
    )
