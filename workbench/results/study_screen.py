"""A study: arms before and after distillation, gaps, differences, and what they allow to say."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Footer, Static

from engine.errors import OpticalError
from workbench.actions import bindings
from workbench.context import Context
from workbench.results import study as studies
from workbench.shell.screen import BaseScreen
from workbench.widgets.table import Cell, Column, Table

_TEXT = ("arm", "language", "of", "when")
OWN = "study"
REFERENCE = "REFERENCE STUDY, shipped with Optical Workbench; none of it is your own"


class StudyScreen(BaseScreen):
    """What a study found, one collection and one table at a time."""

    HELP = (
        "**Study.** Each arm was pre-trained, transferred and distilled with every seed; scores are means "
        "over seeds. *Before* is after the English transfer, *after* is after distillation too. Gaps are "
        "rich minus poor languages: by resource level in the world, and by the study's own amount of text. "
        "v shows the next table, c the next collection, w what the figures allow to say."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("study")
    scope = "study"

    class Loaded(Message):
        """The study was read, or why it was not."""

        def __init__(self, loaded: studies.Loaded | None, problem: str = "") -> None:
            super().__init__()
            self.loaded, self.problem = loaded, problem

    def __init__(self, context: Context, run: str | None) -> None:
        super().__init__(context)
        self.run = run
        self.loaded: studies.Loaded | None = None
        self.place, self.shown, self.speaking = 0, 0, False

    def compose(self) -> ComposeResult:
        """A heading, the table, the plot of gaps, or the sentences."""
        yield Static(id="heading")
        yield Table(id="study-table", fixed=1, empty="reading the study …")
        yield Static(id="gaps")
        with VerticalScroll(id="words", can_focus=True):
            yield Static(id="sentences")
        yield Static(id="status")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Read the study."""
        self.query_one("#words").display = False
        self.query_one(Table).focus()
        self._load()

    @work(thread=True, exclusive=True, group="study", exit_on_error=False)
    def _load(self) -> None:
        try:
            self.post_message(self.Loaded(studies.load(self.context.results, self.run)))
        except OpticalError as error:
            self.post_message(self.Loaded(None, str(error)))

    @on(Loaded)
    def _loaded(self, message: Loaded) -> None:
        self.loaded = message.loaded
        if message.problem:
            table = self.query_one(Table)
            table.empty = ""
            table.show([], [])
            self.query_one("#status", Static).update(Text(message.problem))
        self._fill()

    def _fill(self) -> None:
        if self.loaded is None:
            return
        study = self.loaded.study
        table = study.tables[self.place]
        title, columns, rows = studies.sheet(table, study, studies.SHEETS[self.shown])
        heading = Text(REFERENCE if self.loaded.reference else f"{OWN} {study.run}", "bold")
        heading.append(
            f"\n{study.name}: {', '.join(study.arms)}; seeds {', '.join(map(str, study.seeds))}\n", ""
        )
        heading.append(title, "")
        self.query_one("#heading", Static).update(heading)
        made = [Column(name, right=name not in _TEXT) for name in columns]
        cells = [
            [Cell(text, "head") if place == 0 else text for place, text in enumerate(row)] for row in rows
        ]
        self.query_one(Table).show(made, cells)
        gaps = Text("\n").join(studies.gap_lines(table, group, self.size.width - 4) for group in table.groups)
        plot = self.query_one("#gaps", Static)
        plot.update(gaps)
        plot.display = bool(table.groups) and not self.speaking and self.size.height >= 20
        self.query_one("#sentences", Static).update(Text(studies.sentences(table, study)))
        self.query_one(Table).display = not self.speaking
        self.query_one("#words").display = self.speaking
        left_out = f"; seeds {', '.join(map(str, study.left_out))} unfinished" if study.left_out else ""
        said = f"collection {self.place + 1} of {len(study.tables)}, table {studies.SHEETS[self.shown]}"
        self.query_one("#status", Static).update(Text(said + left_out))

    def on_resize(self) -> None:
        """Draw the gaps as wide as there is room."""
        self._fill()

    def action_next_sheet(self) -> None:
        """Show the next table."""
        self.shown = (self.shown + 1) % len(studies.SHEETS)
        self._fill()

    def action_next_collection(self) -> None:
        """Show the next collection."""
        if self.loaded is not None:
            self.place = (self.place + 1) % len(self.loaded.study.tables)
            self._fill()

    def action_words(self) -> None:
        """Show what the figures allow to say, or the figures."""
        self.speaking = not self.speaking
        self._fill()
        self.query_one("#words" if self.speaking else Table).focus()

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss()
