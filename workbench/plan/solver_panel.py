"""The panel with the settings of the solver. Each change is reported, so that the plan is solved again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message

from workbench.actions import bindings
from workbench.widgets.dialogs import ChoiceDialog, TextDialog
from workbench.widgets.table import Cell, Column, Table
from workbench.widgets.text import plain
from workbench.widgets.text_view import TextView

if TYPE_CHECKING:
    from workbench.data.fields import SettingRow
    from workbench.plan.solver_form import SolverForm


class SolverTable(Table):
    """The settings of the solver; left and right change the one under the cursor."""

    HELP = (
        "**Solver.** Left and right change the setting under the cursor, Enter types or chooses its value, "
        "Backspace resets it to the run's value. Each change solves the plan again. • marks settings that "
        "differ from the run's."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("solver")

    class Changed(Message):
        """A setting changed, or the new value is not valid (`problem`)."""

        def __init__(self, settings: dict[str, Any], problem: str) -> None:
            super().__init__()
            self.settings, self.problem = settings, problem

    def __init__(self) -> None:
        super().__init__(empty="no plan yet")
        self.form: SolverForm | None = None

    def show_form(self, form: SolverForm) -> None:
        """Show the settings of `form`."""
        from workbench.data.fields import value_text

        self.form = form
        settings = form.rows()
        rows = []
        for setting in settings:
            text = value_text(setting.value)
            value = Cell(f"‹ {text} ›" if setting.choices else text, "marked" if setting.changed else "")
            mark = Cell("•" if setting.changed else "", "marked")
            rows.append((mark, setting.name.replace("_", " "), value))
        columns = [Column("", 1), Column("Solver", 13), Column("Value")]
        self.show(columns, rows, [setting.name for setting in settings])

    @property
    def setting(self) -> SettingRow | None:
        """The setting under the cursor."""
        return self.form.row(self.key) if self.form is not None and self.key is not None else None

    def _report(self, problem: str = "") -> None:
        if self.form is not None:
            self.show_form(self.form)
            self.post_message(self.Changed(dict(self.form.settings), problem))

    def action_step(self, step: int) -> None:
        """Set the next (1) or previous (-1) value of the setting under the cursor."""
        setting = self.setting
        if self.form is not None and setting is not None:
            before = self.form.settings
            problem = self.form.step(setting.name, step)
            if problem or self.form.settings != before:
                self._report(problem)

    def action_restore(self) -> None:
        """Reset the setting under the cursor to the run's value."""
        setting = self.setting
        if self.form is not None and setting is not None and setting.changed:
            self.form.restore(setting.name)
            self._report()

    @on(Table.Chosen)
    def action_edit(self) -> None:
        """Type or choose the value of the setting under the cursor."""
        form, setting = self.form, self.setting
        if form is None or setting is None:
            return
        from workbench.data.fields import value_text

        name = setting.name

        def choose(value: Any) -> None:
            if value is not None:
                self._report(form.set_value(name, value))

        def take(text: str | None) -> None:
            if text is not None:
                self._report(form.set_value(name, form.parse(name, text)))

        if setting.choices:
            rows = [(value_text(value),) for value in setting.choices]
            dialog = ChoiceDialog(name, ("",), rows, setting.choices, chosen=[setting.value])
            self.app.push_screen(dialog, choose)
            return
        value = "" if setting.value is None else value_text(setting.value)
        self.app.push_screen(
            TextDialog(name, value, hint=setting.meaning, check=lambda text: form.check(name, text)), take
        )


class SolverPanel(Vertical):
    """The name of the run, the settings, and the meaning of one or why its value is not valid."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back", key_display="Esc")]

    class Closed(Message):
        """The user closed the panel."""

    def compose(self) -> ComposeResult:
        """Yield the name, the table and the sentence."""
        yield TextView(classes="name")
        yield SolverTable()
        yield TextView(classes="meaning")

    def show_form(self, name: str, form: SolverForm) -> None:
        """Show the settings of `form`, which belong to a plan of the run called `name`."""
        self.query_one(".name", TextView).update(Text(plain(name), no_wrap=True, overflow="ellipsis"))
        self.query_one(SolverTable).show_form(form)
        self._explain()

    def action_leave(self) -> None:
        """Report that the user closed the panel."""
        self.post_message(self.Closed())

    @on(Table.Moved)
    def _cursor_moved(self) -> None:
        self._explain()

    @on(SolverTable.Changed)
    def _setting_changed(self, message: SolverTable.Changed) -> None:
        self._explain(message.problem)

    def _explain(self, problem: str = "") -> None:
        """Show why a value is not valid, or the meaning of the setting under the cursor."""
        setting = self.query_one(SolverTable).setting
        sentence = self.query_one(".meaning", TextView)
        sentence.set_class(bool(problem), "wrong")
        sentence.update(Text(problem or (setting.meaning if setting else "")))
