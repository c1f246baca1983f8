"""The Launch screen: a form of the settings of a run, the command that starts it, and its start."""

from __future__ import annotations

import platform
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.counted import counted
from engine.durations import age_text
from engine.errors import OpticalError
from workbench.actions import bindings
from workbench.context import Context
from workbench.data.runs import Snapshot
from workbench.data.start import place_in_queue, start, start_failure
from workbench.launch.editors import SettingEditor
from workbench.shell.screen import ModeScreen
from workbench.widgets.dialogs import ChoiceDialog, ConfirmDialog
from workbench.widgets.table import Cell, Column, Table
from workbench.widgets.text_view import TextView

if TYPE_CHECKING:
    from workbench.data.fields import SettingRow
    from workbench.launch.form import Form

CONFIG_FOLDER = "configs"
"""Configurations are written to this folder next to the results database."""


class FormTable(Table):
    """The rows of the form; the left and right keys change a choice."""

    HELP = (
        "**Form.** Enter changes the setting under the cursor, Space and arrows go through choices, "
        "Backspace restores the default. • marks settings that differ from the default, ✗ settings that are "
        "not valid, with the reason."
    )

    def action_slide(self, way: int) -> None:
        """Select the next or the previous value of a choice; the form has no columns to scroll to."""
        self.call_next(self.screen.run_action, "next_value" if way > 0 else "previous_value")


class LaunchScreen(ModeScreen):
    """The form of a run that is being configured."""

    HELP = (
        "**Launch.** The settings are those of the TOML files and of `optical-workbench run`; the meaning of "
        "the one under the cursor is shown below. Ctrl+S writes the file and starts exactly the command that "
        "is shown. The run appears in the table of runs. It waits until the runs that were started before "
        "it have ended, and continues when the app or the terminal is closed."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("launch"),
        Binding("enter", "edit", "Change", tooltip="Change this setting", key_display="Enter"),
    ]
    CSS_PATH = "launch.tcss"
    scope = "launch"

    class Opened(Message):
        """A form was read, or could not be read."""

        def __init__(self, form: Form | None, problem: str = "") -> None:
            super().__init__()
            self.form, self.problem = form, problem

    class Started(Message):
        """A run was started, or could not be started."""

        def __init__(self, sentence: str, failed: bool) -> None:
            super().__init__()
            self.sentence, self.failed = sentence, failed

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.editor = SettingEditor(self, context, self._fill)
        self.form: Form | None = None
        self.rows: list[SettingRow] = []
        self.only_changed = False

    def compose_body(self) -> ComposeResult:
        """Yield the form, the meaning of the setting under the cursor, and the command."""
        yield FormTable(id="launch-table", empty="reading …")
        yield TextView(id="meaning")
        yield TextView(id="command")

    def on_mount(self) -> None:
        """Open the form of an empty run."""
        super().on_mount()
        self.query_one(FormTable).focus()
        self._open(None)

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Estimate again how long the run will take."""
        self._fill_command()

    @work(thread=True, exclusive=True, group="form", exit_on_error=False)
    def _open(self, source: Any) -> None:
        from workbench.launch.form import Form

        try:
            form = Form.from_config(source) if isinstance(source, dict) else Form.from_preset(source)
            self.post_message(self.Opened(form))
        except OpticalError as error:
            self.post_message(self.Opened(None, str(error)))

    @on(Opened)
    def _opened(self, message: Opened) -> None:
        if message.form is None:
            self.show_status(message.problem, "bad")
            return
        self.form = message.form
        self._fill()

    def _fill(self) -> None:
        """Show the form, the command, and whether the settings are valid."""
        if self.form is None:
            return
        self.rows = self.form.rows()
        if self.only_changed:
            kept = [row.path for row in self.rows if row.changed or row.error]
            self.rows = [
                row
                for row in self.rows
                if row.item or any(path[: len(row.path)] == row.path for path in kept)
            ]
        width = 24 if self.size.width < 100 else 36
        columns = [Column("", 1), Column("Setting", 24), Column("Value", width), Column("Meaning", 120)]
        cells = [_cells(row, narrow=self.size.width < 60) for row in self.rows]
        self.query_one(FormTable).show(columns, cells, [row.path for row in self.rows])
        self._explain()
        self._fill_command()
        errors = len(self.form.errors)
        if errors:
            settings = counted(errors, "setting is", "settings are")
            self.show_status(f"{settings} not valid yet (✗)", "warn")
        else:
            self.show_status("ready; Ctrl+S starts it, y copies the command")

    def _fill_command(self) -> None:
        text = Text(f"$ {shlex.join(self._command())}")
        estimate = self._estimate()
        if estimate:
            text.append(f"\n{estimate}", "dim")
        self.query_one("#command", TextView).update(text)

    def _estimate(self) -> str:
        config = self.form.validate() if self.form else None
        if config is None or self.context.snapshot is None:
            return ""
        from workbench.launch.estimate import estimate

        return estimate(config.model_dump(mode="json"), self.context.snapshot.runs, platform.node())

    @property
    def row_here(self) -> SettingRow | None:
        """The row under the cursor."""
        key = self.query_one(FormTable).key
        return next((row for row in self.rows if row.path == key), None)

    @on(Table.Moved)
    def _explain(self) -> None:
        row = self.row_here
        meaning = self.query_one("#meaning", TextView)
        if row is None:
            meaning.update("")
            return
        from workbench.data.fields import value_text

        meaning.set_class(bool(row.error), "wrong")
        text = Text(".".join(str(part + 1 if isinstance(part, int) else part) for part in row.path), "bold")
        text.append(f"  {row.error or row.meaning}", "not bold")
        values = row.choices or row.allowed
        if values and not row.error:
            text.append(f"  ({', '.join(map(value_text, values))})", "dim")
        meaning.update(text)

    def _config_path(self) -> Path:
        from engine.results.run_folder import new_run_id

        name = str((self.form.settings.get("name") if self.form else None) or "run")
        slug = new_run_id(name).split("-", 2)[2].rpartition("-")[0]
        folder = self.context.results.parent / CONFIG_FOLDER
        place = 1
        while (path := folder / f"{slug}{f'-{place}' if place > 1 else ''}.toml").exists():
            place += 1
        return path

    def _command(self, config: Path | None = None) -> list[str]:
        return [
            "optical-workbench",
            "run",
            str(config or self._config_path()),
            "--detach",
            "--results",
            str(self.context.results),
        ]

    def _step(self, way: int) -> None:
        row = self.row_here
        if self.form is None or row is None or not row.choices:
            return
        place = row.choices.index(row.value) if row.value in row.choices else -way
        self.form.set_value(row.path, row.choices[(place + way) % len(row.choices)])
        self._fill()

    @on(Table.Chosen)
    def action_edit(self) -> None:
        """Change the setting under the cursor."""
        row, form = self.row_here, self.form
        if row is None or form is None:
            return
        if not row.heading:
            self.editor.edit(form, row)
        elif row.item:
            self.action_add()
        elif row.value is not None:  # a group that is not set
            form.set_value(row.path, {})
            self._fill()

    def action_next_value(self) -> None:
        """Take the next value of the choice under the cursor."""
        self._step(1)

    def action_previous_value(self) -> None:
        """Take the previous value of the choice under the cursor."""
        self._step(-1)

    def action_restore(self) -> None:
        """Restore the default of the setting under the cursor."""
        row = self.row_here
        if self.form is not None and row is not None and not (row.heading and row.item):
            self.form.restore(row.path)
            self._fill()

    def action_add(self) -> None:
        """Add an item to the list under the cursor."""
        row = self.row_here
        if self.form is None or row is None:
            return
        path = self.form.add_item(row.path)
        if path is None:
            self.show_status("move the cursor into [[bitext]] or [[collections]] to add one", "warn")
            return
        self._fill()
        keys = [row.path for row in self.rows]
        if path in keys:
            self.query_one(FormTable).go_to(keys.index(path))

    def action_remove(self) -> None:
        """Remove the item under the cursor."""
        row = self.row_here
        if self.form is not None and row is not None and self.form.remove_item(row.path):
            self._fill()

    def action_changed(self) -> None:
        """Show all settings, or only those that differ from the default."""
        self.only_changed = not self.only_changed
        self._fill()

    def action_preset(self) -> None:
        """Choose a preset or an earlier run to start from."""
        from engine.config import presets

        rows: list[tuple[str, str, str]] = []
        keys: list[Any] = []
        for name in presets():
            rows.append(("preset", name, ""))
            keys.append(name)
        runs = self.context.runs
        for place, run in enumerate(runs):
            rows.append(("run", run["name"], age_text(run["created"])))
            keys.append(place)
        rows.append(("empty", "an empty run", ""))
        keys.append("")

        def answered(key: Any) -> None:
            if key is not None:
                self._open((runs[key]["config"] or {}) if isinstance(key, int) else key or None)

        self.app.push_screen(ChoiceDialog("Start from", ("", "Name", "Age"), rows, keys), answered)

    def action_copy(self) -> None:
        """Write the configuration and copy the command that runs it."""
        written = self._write()
        if written is not None:
            self.app.copy_to_clipboard(shlex.join(self._command(written)))
            self.show_status(f"the command is copied; {written} is written")

    def _write(self) -> Path | None:
        if self.form is None:
            return None
        path = self._config_path()
        try:
            self.form.save(path)
        except OpticalError as error:
            self.show_status(str(error), "bad")
            return None
        return path

    def action_start(self) -> None:
        """Ask, then write the configuration and start the run."""
        form = self.form
        if form is None:
            return
        if form.validate() is None:
            self._fill()
            wrong = [row.path for row in self.rows if row.error and not row.heading]
            if wrong:
                self.query_one(FormTable).go_to([row.path for row in self.rows].index(wrong[0]))
            return

        def answered(yes: bool | None) -> None:
            if yes and (path := self._write()) is not None:
                self.show_status("starting …")
                self._start(self._command(path))

        self.app.push_screen(ConfirmDialog("Start this run?", shlex.join(self._command())), answered)

    @work(thread=True, group="start", exit_on_error=False)
    def _start(self, command: list[str]) -> None:
        try:
            identity = start(command)
        except OpticalError as error:
            self.post_message(self.Started(str(error), True))
            return
        folder = self.context.store.folder / identity
        place = place_in_queue(folder)
        how = f"queued as {identity}, place {place}" if place else f"started as {identity}"
        self.post_message(self.Started(f"{how}; key 1 shows it among the runs", False))
        failure = start_failure(folder, None, lambda: self.app.is_running)
        if failure is not None:
            self.post_message(self.Started(f"{identity} ended: {failure}", True))

    @on(Started)
    def _started(self, message: Started) -> None:
        self.show_status(message.sentence, "bad" if message.failed else "")
        severity = "error" if message.failed else "information"
        self.app.notify(message.sentence, severity=severity)  # type: ignore[arg-type]
        self.context.poll()
        self._fill_command()


def _cells(row: SettingRow, *, narrow: bool) -> tuple[Any, ...]:
    """Return the cells of a row of the form."""
    from workbench.data.fields import value_text

    depth = sum(isinstance(part, str) for part in row.path) - 1
    note = Cell(row.error, "bad") if row.error else Cell(row.meaning, "dim")
    sign = Cell("✗", "bad") if row.error else Cell("•" if row.changed else "", "marked")
    if row.heading:
        value = "" if row.value is None else Cell(str(row.value), "dim")
        return sign, Cell("  " * depth + row.name, "head"), value, note
    text = value_text(row.value)
    if row.choices and not narrow:
        text = f"‹ {text} ›"
    return sign, "  " * depth + row.name, Cell(text, "marked" if row.changed else ""), note
