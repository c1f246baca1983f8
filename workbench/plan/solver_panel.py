"""The solver's settings beside a plan: every change is announced, so that the plan can be solved again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from workbench.actions import bindings
from workbench.widgets.dialogs import ChoiceDialog, TextDialog
from workbench.widgets.table import Cell, Column, Table
from workbench.widgets.text import plain

if TYPE_CHECKING:
    from workbench.data.fields import SettingRow
    from workbench.plan.solver_form import SolverForm


class SolverTable(Table):
    """The settings; left and right change the one under the cursor."""

    HELP = (
        "**Solver.** Left and right change the setting under the cursor, Enter types or chooses its value, "
        "Backspace puts back the run's. The plan is solved again at once. • marks what differs from the run."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("solver")

    class Changed(Message):
        """A setting changed, or would not (`problem`)."""

        def __init__(self, settings: dict[str, Any], problem: str) -> None:
            super().__init__()
            self.settings, self.problem = settings, problem

    def __init__(self) -> None:
        super().__init__(empty="no plan yet")
        self.form: SolverForm | None = None

    def take(self, form: SolverForm) -> None:
        """Show the settings of `form`."""
        from workbench.data.fields import value_text

        self.form = form
        lines = form.lines()
        rows = []
        for line in lines:
            text = value_text(line.value)
            value = Cell(f"‹ {text} ›" if line.choices else text, "marked" if line.changed else "")
            rows.append((Cell("•" if line.changed else "", "marked"), line.name.replace("_", " "), value))
        columns = [Column("", 1), Column("Solver", 13), Column("Value")]
        self.show(columns, rows, [line.name for line in lines])

    @property
    def line(self) -> SettingRow | None:
        """The setting under the cursor."""
        return self.form.line(self.key) if self.form is not None and self.key is not None else None

    def _tell(self, problem: str = "") -> None:
        if self.form is not None:
            self.take(self.form)
            self.post_message(self.Changed(dict(self.form.settings), problem))

    def action_step(self, way: int) -> None:
        """Take the next (1) or previous (-1) value of the setting under the cursor."""
        line = self.line
        if self.form is not None and line is not None:
            before = self.form.settings
            problem = self.form.step(line.name, way)
            if problem or self.form.settings != before:
                self._tell(problem)

    def action_restore(self) -> None:
        """Put the setting under the cursor back to the run's."""
        line = self.line
        if self.form is not None and line is not None and line.changed:
            self.form.restore(line.name)
            self._tell()

    @on(Table.Chosen)
    def action_edit(self) -> None:
        """Type or choose the value of the setting under the cursor."""
        form, line = self.form, self.line
        if form is None or line is None:
            return
        from workbench.data.fields import value_text

        name = line.name

        def chosen(value: Any) -> None:
            if value is not None:
                self._tell(form.put(name, value))

        def typed(text: str | None) -> None:
            if text is not None:
                self._tell(form.put(name, form.parsed(name, text)))

        if line.choices:
            rows = [(value_text(value),) for value in line.choices]
            self.app.push_screen(ChoiceDialog(name, ("",), rows, line.choices, chosen=[line.value]), chosen)
            return
        value = "" if line.value is None else value_text(line.value)
        dialog = TextDialog(name, value, hint=line.meaning, check=lambda text: form.check(name, text))
        self.app.push_screen(dialog, typed)


class SolverPanel(Vertical):
    """Whose settings they are, the settings, and what one means or why it would not do."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back")]

    class Left(Message):
        """The user is done."""

    def compose(self) -> ComposeResult:
        """The name, the table and the sentence."""
        yield Static(classes="name")
        yield SolverTable()
        yield Static(classes="meaning")

    def take(self, name: str, form: SolverForm) -> None:
        """Show the settings of `form`, which are those of the plan of run `name`."""
        self.query_one(".name", Static).update(Text(plain(name), no_wrap=True, overflow="ellipsis"))
        self.query_one(SolverTable).take(form)
        self._explain()

    def action_leave(self) -> None:
        """Go back to the plan."""
        self.post_message(self.Left())

    @on(Table.Moved)
    def _moved(self) -> None:
        self._explain()

    @on(SolverTable.Changed)
    def _changed(self, message: SolverTable.Changed) -> None:
        self._explain(message.problem)

    def _explain(self, problem: str = "") -> None:
        line = self.query_one(SolverTable).line
        meaning = self.query_one(".meaning", Static)
        meaning.set_class(bool(problem), "wrong")
        meaning.update(Text(problem or (line.meaning if line else "")))
