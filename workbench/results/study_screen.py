"""The Study screen: arms before and after distillation, gaps, differences, and the findings in sentences."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Footer

from engine.errors import OpticalError
from workbench.actions import bindings
from workbench.context import Context
from workbench.results.study import SHEETS, LoadedStudy, describe_findings, draw_gaps, load_study, make_sheet
from workbench.shell.screen import BaseScreen
from workbench.widgets.table import Cell, Column, Table
from workbench.widgets.text_view import TextView

_TEXT_COLUMNS = ("arm", "language", "of", "when", "document")
REFERENCE = "REFERENCE STUDY, shipped with Optical Workbench; it is not one of your runs"


class StudyScreen(BaseScreen):
    """A study, one collection and one sheet at a time."""

    CSS_PATH = "results.tcss"
    HELP = (
        "**Study.** Each arm was pre-trained, transferred and distilled with every seed; scores are means "
        "over seeds. *Before* is after the transfer from English, *after* is after distillation too. A gap "
        "is the mean of languages with much data minus the mean of languages with little, by resource level "
        "or by the amount of text in the study. v shows the next sheet, c the next collection, w the "
        "findings in sentences."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("study")
    scope = "study"

    class Loaded(Message):
        """The study was read, or could not be read."""

        def __init__(self, loaded: LoadedStudy | None, problem: str = "") -> None:
            super().__init__()
            self.loaded, self.problem = loaded, problem

    def __init__(self, context: Context, run: str | None) -> None:
        super().__init__(context)
        self.run = run
        self.loaded: LoadedStudy | None = None
        self.collection, self.sheet, self.show_findings = 0, 0, False

    def compose(self) -> ComposeResult:
        """Yield a heading, the sheet, the plot of the gaps, and the findings."""
        yield TextView(id="heading")
        yield Table(id="study-table", fixed=1, empty="reading the study …")
        yield TextView(id="gaps")
        with VerticalScroll(id="findings", can_focus=True):
            yield TextView(id="sentences")
        yield TextView(id="status")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Read the study."""
        self.query_one("#findings").display = False
        self.query_one(Table).focus()
        self._load()

    @work(thread=True, exclusive=True, group="study", exit_on_error=False)
    def _load(self) -> None:
        try:
            self.post_message(self.Loaded(load_study(self.context.results, self.run)))
        except OpticalError as error:
            self.post_message(self.Loaded(None, str(error)))

    @on(Loaded)
    def _show_study(self, message: Loaded) -> None:
        self.loaded = message.loaded
        if message.problem:
            table = self.query_one(Table)
            table.empty = ""
            table.show([], [])
            self.query_one("#status", TextView).update(Text(message.problem))
        self._fill()

    def _fill(self) -> None:
        if self.loaded is None:
            return
        study, name = self.loaded.study, SHEETS[self.sheet]
        table = study.tables[self.collection]
        sheet = make_sheet(table, study, name)
        heading = Text(REFERENCE if self.loaded.reference else f"study {study.run}", "bold")
        arms, seeds = ", ".join(study.arms), ", ".join(map(str, study.seeds))
        heading.append(f"\n{study.name}: {arms}; seeds {seeds}\n{sheet.title}")
        self.query_one("#heading", TextView).update(heading)
        columns = [Column(title, right=title not in _TEXT_COLUMNS) for title in sheet.columns]
        rows = [[Cell(first, "head"), *others] for first, *others in sheet.rows]
        self.query_one(Table).show(columns, rows)
        gaps = Text("\n").join(draw_gaps(table, group, self.size.width - 4) for group in table.groups)
        plot = self.query_one("#gaps", TextView)
        plot.update(gaps)
        plot.display = bool(table.groups) and not self.show_findings and self.size.height >= 20
        self.query_one("#sentences", TextView).update(Text(describe_findings(table, study)))
        self.query_one(Table).display = not self.show_findings
        self.query_one("#findings").display = self.show_findings
        left_out = f"; seeds {', '.join(map(str, study.left_out))} unfinished" if study.left_out else ""
        place = f"collection {self.collection + 1} of {len(study.tables)}, sheet {name}"
        self.query_one("#status", TextView).update(Text(place + left_out))

    def on_resize(self) -> None:
        """Draw the gaps in the new width."""
        self._fill()

    def action_next_sheet(self) -> None:
        """Show the next sheet."""
        self.sheet = (self.sheet + 1) % len(SHEETS)
        self._fill()

    def action_next_collection(self) -> None:
        """Show the next collection."""
        if self.loaded is not None:
            self.collection = (self.collection + 1) % len(self.loaded.study.tables)
            self._fill()

    def action_findings(self) -> None:
        """Show the findings in sentences, or the sheets."""
        self.show_findings = not self.show_findings
        self._fill()
        self.query_one("#findings" if self.show_findings else Table).focus()

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss()
