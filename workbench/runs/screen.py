"""The Runs screen: a table of the runs, and curves, settings and log of the run under the cursor."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widgets import Input

from engine.counted import counted
from engine.durations import age_text, duration_text
from engine.errors import OpticalError
from engine.paths import DEFAULT_RESULTS
from engine.results.record import known_settings
from engine.results.run_facts import encoder_of, is_unchanged, state_of_record
from workbench.actions import bindings
from workbench.context import Context
from workbench.data.runs import Run, Snapshot, differing_settings, headline, languages_of
from workbench.runs.details import PANES, RunDetails, setting_cell
from workbench.runs.edit import RunEditor
from workbench.shell.screen import ModeScreen
from workbench.themes import curve_colours
from workbench.widgets.dialogs import TableDialog
from workbench.widgets.table import Cell, Column, Table
from workbench.widgets.text import number, plain, score
from workbench.widgets.text_input import TextInput
from workbench.widgets.text_view import TextView

STYLES = {
    "queued": "head",
    "running": "head",
    "finished": "good",
    "failed": "bad",
    "crashed": "bad",
    "stopped": "warn",
}
SIGNS = {"queued": "…", "running": "▶", "finished": "✓", "failed": "✗", "crashed": "✗", "stopped": "■"}
REFUSAL_SECONDS = 4.0
"""How long the reason why something is not possible stays on the status line."""

_TITLES = ("", "", "Run", "State", "Measure", "Age", "Languages", "Kind", "Encoder", "Tags", "Note")
_SORT_KEYS: dict[str, Callable[[Run], Any]] = {
    "Run": lambda run: str(run["name"]).casefold(),
    "State": lambda run: (run["state"], run.get("place") or 0),
    "Measure": lambda run: -figure[1] if (figure := headline(run)) else None,  # the best first
    "Age": lambda run: -run["created"].timestamp() if run["created"] else None,  # the youngest first
    "Languages": lambda run: (len(languages_of(run)), languages_of(run)) if languages_of(run) else None,
    "Kind": lambda run: run["kind"],
    "Encoder": encoder_of,
    "Tags": lambda run: " ".join(run["tags"] or ()),
    "Note": lambda run: run["note"],
}
"""What the runs are sorted by, for each column."""
_GREETING = """\
There are no runs here yet.

  optical-workbench demo        runs a distillation on packaged encoders; no network, a few minutes
  optical-workbench run FILE    starts a run of your own; its name appears here at once
  key 2                         opens a form that starts one
  key 3                         shows a study that ships with Optical Workbench
"""
_BOLD = r"^There are.*|optical-workbench \w+( FILE)?|key \d"


class RunsScreen(ModeScreen):
    """The runs."""

    HELP = (
        "**Runs.** Each row is a run; ▶ marks one that is running, … one that waits in the queue, with its "
        "place. Space marks runs: their curves are drawn "
        "in the same plots and their settings can be compared. The filter takes words, `field=value`, "
        "comparisons such as `RR>0.8` or `training.steps<200`, and AND, OR, NOT."
    )
    # The curves' keys work from the table too.
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("runs"), *bindings("curves")]
    CSS_PATH = "runs.tcss"
    scope = "runs"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.editor = RunEditor(self, context, self.refuse)
        self.runs: list[Run] = []
        self.shown: list[Run] = []
        self.marked: dict[str, int] = {}
        self.expression = self.filter_error = ""
        self.sorted_by, self.reversed = 0, False
        self._refused_at = -math.inf

    def compose_body(self) -> ComposeResult:
        """Yield the filter, the table and the details."""
        yield TextInput(placeholder="filter: tico RR>0.8 AND NOT state=failed", id="filter")
        yield TextView(id="greeting")
        with Container(id="runs-body"):
            yield Table(id="runs-table", fixed=3, empty="reading runs …")
            yield RunDetails(id="detail")

    def on_mount(self) -> None:
        """Focus the table."""
        super().on_mount()
        self.query_one("#greeting").display = False
        self.query_one("#runs-table").focus()
        if self.context.snapshot is None:
            self.show_status("reading runs …")

    @property
    def details(self) -> RunDetails:
        """The details of the run under the cursor."""
        return self.query_one(RunDetails)

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Show the runs as they are now."""
        self.runs = snapshot.runs
        self.query_one("#runs-table", Table).empty = "no run matches the filter; Esc in the filter clears it"
        self.query_one("#greeting").display = not self.runs
        self.query_one("#runs-body").display = bool(self.runs)
        if not self.runs:
            self.query_one("#greeting", TextView).update(self._greeting())
        known = {run["id"] for run in self.runs}
        self.marked = {run: colour for run, colour in self.marked.items() if run in known}
        self._fill()
        self._read_details()

    def _greeting(self) -> Text:
        from engine.results.missing import missing_results

        results = self.context.results
        missing = missing_results(results) if results != DEFAULT_RESULTS else ""
        greeting = Text(f"{plain(missing)}.\n\n" if missing else "", "yellow").append(_GREETING, "default")
        greeting.highlight_regex(_BOLD, "bold")
        greeting.append("\nRuns are looked for in ").append(plain(str(self.context.store.folder)), "bold")
        return greeting.append("; OPTICAL_RESULTS names another results database.")

    def _fill(self) -> None:
        try:
            self.shown = self._filtered()
            self.filter_error = ""
        except OpticalError as error:
            self.filter_error = str(error)
            self._describe()
            return
        palette = curve_colours(self.app.current_theme.dark)
        if self.sorted_by:
            self.shown = self._sorted(self.shown)
        rows = [_row(run, self.marked.get(run["id"]), palette) for run in self.shown]
        titles = [
            title + (" ▲" if self.reversed else " ▼") * (place == self.sorted_by > 0)
            for place, title in enumerate(_TITLES)
        ]
        columns = [Column(title, 1 if not title else None) for title in titles]
        self.query_one("#runs-table", Table).show(columns, rows, [run["id"] for run in self.shown])
        self._describe()

    def _sorted(self, runs: list[Run]) -> list[Run]:
        """Return `runs` in the order of a column; runs without a value come last."""
        value_of = _SORT_KEYS[_TITLES[self.sorted_by]]
        values = {run["id"]: value_of(run) for run in runs}
        having = [run for run in runs if values[run["id"]] not in (None, "")]
        having.sort(key=lambda run: values[run["id"]], reverse=self.reversed)
        return having + [run for run in runs if values[run["id"]] in (None, "")]

    def _sort_by(self, column: int) -> None:
        """Sort by a column, or reverse its order if it is the same; 0 restores the order."""
        self.reversed = not self.reversed if column == self.sorted_by else False
        self.sorted_by = column
        self._fill()
        order = ", reversed" if self.reversed else ""
        self._explain_order(f"sorted by {_TITLES[column].lower()}{order}" if column else "newest first")

    def _explain_order(self, sentence: str) -> None:
        self._refused_at = time.monotonic()
        self.show_status(f"{sentence}; o sorts by the next column, O reverses")

    def action_sort(self) -> None:
        """Sort by the next column; after the last, the newest run is first again."""
        places = [0, *(place for place, title in enumerate(_TITLES) if title)]
        self._sort_by(places[(places.index(self.sorted_by) + 1) % len(places)])

    def action_reverse(self) -> None:
        """Reverse the order of the column by which the runs are sorted."""
        self.sorted_by = self.sorted_by or _TITLES.index("Age")
        self._sort_by(self.sorted_by)

    @on(Table.HeadingClicked, "#runs-table")
    def _heading_clicked(self, message: Table.HeadingClicked) -> None:
        if _TITLES[message.column]:
            self._sort_by(message.column)

    def _filtered(self) -> list[Run]:
        if not self.expression.strip():
            return self.runs
        from engine.results.filters import parse_filter

        selected = parse_filter(self.expression)
        selected.check_fields(self.runs)
        return [run for run in self.runs if selected.matches(run)]

    def _describe(self) -> None:
        """Show what is wrong on the status line, or facts on the run under the cursor."""
        if time.monotonic() - self._refused_at < REFUSAL_SECONDS:
            return
        problems = self.context.snapshot.problems if self.context.snapshot else []
        if self.filter_error:
            self.show_status(self.filter_error, "warn")
            return
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            self.show_status(problems[0] + more, "warn")
            return
        run = self.run_here
        if run is None:
            self.show_status()
            return
        hint = " (r resumes it)" if run["state"] in ("stopped", "failed", "crashed") else ""
        if run["failure"]:
            self.show_status(f"{run['id']}: {run['failure']}{hint}", "bad")
            return
        parts = [f"{run['state']}{hint}"] if hint else []
        if run["started"] and run["ended"]:
            parts.append(f"took {duration_text((run['ended'] - run['started']).total_seconds())}")
        curves = self.details.curves.get(run["id"])
        speed = curves.values.get("pairs_per_second") if curves else None
        if speed:
            parts.append(f"{number(speed[2][-1], 3)} pairs/s")
        steps = known_settings(run).get("training", {}).get("steps")
        loss = curves.values.get("loss") if curves else None
        if steps and loss:
            parts.append(f"step {loss[0][-1]} of {steps}")
        if curves and curves.corrupt:
            parts.append(
                f"{counted(curves.corrupt, 'corrupt line')} in metrics.jsonl "
                f"{'was' if curves.corrupt == 1 else 'were'} skipped"
            )
        hidden = len(self.runs) - len(self.shown)
        if hidden:
            parts.append(f"{counted(hidden, 'run')} filtered out")
        self.show_status(" · ".join([*parts, run["id"]]))

    @property
    def run_here(self) -> Run | None:
        """The run under the cursor."""
        key = self.query_one("#runs-table", Table).key
        return next((run for run in self.shown if run["id"] == key), None)

    def chosen(self) -> list[Run]:
        """Return the marked runs; without any, the one under the cursor."""
        marked = [run for run in self.runs if run["id"] in self.marked]
        here = self.run_here
        return marked or ([here] if here else [])

    def _drawn(self) -> list[Run]:
        """Return the marked runs and the one under the cursor."""
        here = self.run_here
        return [run for run in self.runs if run["id"] in self.marked or run is here]

    @on(Table.Moved, "#runs-table")
    def _moved(self) -> None:
        self._refused_at = -math.inf
        self._describe()
        run = self.run_here
        if run is not None:
            self.details.show_settings(run)
        self._draw()
        self._read_details()

    @on(Table.Chosen, "#runs-table")
    def action_results(self) -> None:
        """Show the results of the marked runs; without any, of the one under the cursor."""
        self.context.show_results([run["id"] for run in self.chosen()])

    def _read_details(self) -> None:
        """Read the curves of the runs that are drawn, and the log of the run under the cursor."""
        here = self.run_here
        if here is not None:
            self.details.read(here, self._drawn(), self.marked)

    @on(RunDetails.Read)
    def _details_read(self) -> None:
        self._describe()

    def _draw(self) -> None:
        self.details.show_curves(self._drawn(), self.marked)

    def action_filter(self) -> None:
        """Open the filter."""
        field = self.query_one("#filter", Input)
        field.add_class("open")
        field.focus()

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
        field = self.query_one("#filter", Input)
        field.value = ""
        field.remove_class("open")
        self.query_one("#runs-table").focus()

    def action_mark(self) -> None:
        """Mark the run under the cursor with the first free colour, or unmark it."""
        run = self.run_here
        if run is None:
            return
        if self.marked.pop(run["id"], None) is None:
            self.marked[run["id"]] = self._free_colour()
        self._marks_changed()

    def action_mark_all(self) -> None:
        """Mark all runs that the filter selects."""
        for run in self.shown:
            if run["id"] not in self.marked:
                self.marked[run["id"]] = self._free_colour()
        self._marks_changed()

    def _free_colour(self) -> int:
        """Return the number of the first colour that no marked run has."""
        taken = set(self.marked.values())
        return next(place for place in range(len(taken) + 1) if place not in taken)

    def action_unmark(self) -> None:
        """Unmark all runs."""
        self.marked.clear()
        self._marks_changed()

    def _marks_changed(self) -> None:
        """Show the marks, and choose the marked runs for the other screens."""
        self.context.chosen_runs = [run["id"] for run in self.runs if run["id"] in self.marked]
        self._fill()
        self._draw()

    def action_pane(self) -> None:
        """Show the next of curves, settings and log."""
        details, body = self.details, self.query_one("#runs-body")
        if self.has_class("-tiny"):
            # Only one thing fits: the runs, then each pane, then the runs again.
            if not body.has_class("details"):
                body.add_class("details")
                details.current = PANES[0]
                return
            if details.pane == len(PANES) - 1:
                body.remove_class("details")
                self.query_one("#runs-table").focus()
        details.next_pane()

    def refuse(self, sentence: str) -> None:
        """Show why something is not possible, for as long as it takes to read."""
        self._refused_at = time.monotonic()
        self.show_status(sentence, "warn")

    def _edit(self, change: Callable[[Run], None]) -> None:
        """Make a change to the run under the cursor, if there is one."""
        run = self.run_here
        if run is not None:
            change(run)

    def action_stop(self) -> None:
        """Ask, then stop the marked runs; without any, the run under the cursor."""
        if self.marked:
            self.editor.stop_all(self.chosen())
        else:
            self._edit(self.editor.stop)

    def action_queue_up(self) -> None:
        """Move the run under the cursor up one place in the queue."""
        self._edit(self.editor.queue_up)

    def action_resume(self) -> None:
        """Ask, then resume the run under the cursor."""
        self._edit(self.editor.resume)

    def action_tag(self) -> None:
        """Ask for the tags of the run under the cursor."""
        self._edit(self.editor.edit_tags)

    def action_note(self) -> None:
        """Ask for the note of the run under the cursor."""
        self._edit(self.editor.edit_note)

    def action_rename(self) -> None:
        """Ask for the name of the run under the cursor."""
        self._edit(self.editor.rename)

    def action_delete(self) -> None:
        """Ask, then delete the marked runs, or the one under the cursor; forget those without a folder."""
        if self.marked:
            self.editor.delete_all(self.chosen())
        else:
            self._edit(self.editor.delete)

    def action_next_curve(self) -> None:
        """Show the next plot."""
        self.details.run_curves_action("next_curve")

    def action_log_axis(self) -> None:
        """Switch the axis of the loss between linear and logarithmic."""
        self.details.run_curves_action("log_axis")

    def action_smooth(self) -> None:
        """Smooth the curves more, then not at all."""
        self.details.run_curves_action("smooth")

    def action_x_axis(self) -> None:
        """Switch between steps and minutes."""
        self.details.run_curves_action("x_axis")

    def action_diff(self) -> None:
        """Show the settings in which the marked runs differ."""
        runs = self._drawn()
        if len(runs) < 2:
            self.refuse("mark a second run with Space to compare the settings of two runs or more")
            return
        columns = [Column("Setting"), *(Column(run["name"]) for run in runs)]
        rows = [
            (name, *(setting_cell(value) for value in values)) for name, values in differing_settings(runs)
        ]
        note = "" if rows else "They have the same settings."
        self.app.push_screen(TableDialog("Settings that differ", columns, rows, note))

    def action_plans(self) -> None:
        """Show the transport plans of the run under the cursor."""
        run = self.run_here
        if run is not None:
            self.context.show_plans([run["id"]])


def _row(run: Run, colour: int | None, palette: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the row of a run; `colour` is the number of its colour if it is marked."""
    measure, languages = headline(run), languages_of(run)
    style = STYLES.get(run["state"], "dim")
    return (
        Cell("●", palette[colour % len(palette)]) if colour is not None else "",
        Cell(SIGNS.get(run["state"], "?"), style),
        run["name"],
        Cell(
            f"queued {run['place']}" if run.get("place") else state_of_record(run),
            "warn" if is_unchanged(run) else style,
        ),
        f"{measure[0]} {score(measure[1])}" if measure else "",
        Cell(age_text(run["created"]), "dim"),
        f"{len(languages)}: {' '.join(languages)}" if len(languages) > 6 else " ".join(languages),
        run["kind"],
        encoder_of(run),
        Cell(" ".join(run["tags"] or ()), "warn"),
        Cell(run["note"] or "", "dim"),
    )
