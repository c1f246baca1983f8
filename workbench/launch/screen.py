"""Launch: a form made from the run configurations, the command it comes to, and a start that outlives us."""

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
from textual.widgets import Static

from engine.durations import age_text
from engine.errors import OpticalError
from workbench.actions import bindings
from workbench.context import Context
from workbench.data.runs import Snapshot
from workbench.data.start import start, start_failure
from workbench.launch.editors import Filling
from workbench.widgets.dialogs import ChoiceDialog, ConfirmDialog
from workbench.widgets.table import Cell, Column, Table

if TYPE_CHECKING:
    from workbench.data.fields import SettingRow
    from workbench.launch.form import Form

FOLDER = "configs"


class FormTable(Table):
    """The lines of the form; left and right change a choice."""

    HELP = (
        "**Form.** Enter changes the setting under the cursor, Space and arrows go through choices, "
        "Backspace restores the default. • marks what differs from the default, ✗ what will not do, with "
        "the reason."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "screen.previous_value", show=False),
        Binding("right", "screen.next_value", show=False),
    ]


class LaunchScreen(Filling):
    """The form of a run to be."""

    HELP = (
        "**Launch.** The settings are those of the TOML files and of `optical-workbench run`; their "
        "meaning stands below. Ctrl+S writes the file and starts exactly the command that is shown. The "
        "run goes on when the app or the terminal is closed; it appears among the runs."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("launch"),
        Binding("enter", "edit", "Change", tooltip="Change this setting"),
    ]
    scope = "launch"

    class Opened(Message):
        """A form was read."""

        def __init__(self, form: Form | None, problem: str = "") -> None:
            super().__init__()
            self.form, self.problem = form, problem

    class Started(Message):
        """A run was started, or why it was not."""

        def __init__(self, sentence: str, failed: bool) -> None:
            super().__init__()
            self.sentence, self.failed = sentence, failed

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.form: Form | None = None
        self.lines: list[SettingRow] = []
        self.only_changed = False

    def compose_body(self) -> ComposeResult:
        """The lines, the meaning of the one under the cursor, and the command."""
        yield FormTable(id="launch-table", empty="reading …")
        yield Static(id="meaning")
        yield Static(id="command")

    def on_mount(self) -> None:
        """Begin with an empty run."""
        super().on_mount()
        self.query_one(FormTable).focus()
        self._open(None)

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Estimate anew how long it will take."""
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
        self.fill()

    def fill(self) -> None:
        """Show the form, what it comes to and whether it will do."""
        from workbench.data.fields import value_text

        if self.form is None:
            return
        self.lines = self.form.rows()
        if self.only_changed:
            kept = [line.path for line in self.lines if line.changed or line.error]
            self.lines = [
                line
                for line in self.lines
                if line.item or any(path[: len(line.path)] == line.path for path in kept)
            ]
        rows: list[Any] = []
        for line in self.lines:
            depth = (
                len([part for part in line.path if isinstance(part, str)]) - 1 + (line.heading and line.item)
            )
            indent = "  " * max(depth, 0) if not line.heading else "  " * max(depth - line.item, 0)
            sign = Cell("✗", "bad") if line.error else Cell("•" if line.changed else "", "marked")
            if line.heading:
                value = "" if line.value is None else Cell(str(line.value), "dim")
                rows.append(
                    (
                        sign,
                        Cell(indent + line.name, "head"),
                        value,
                        Cell(line.error or line.meaning, "bad" if line.error else "dim"),
                    )
                )
                continue
            text = value_text(line.value)
            look = "marked" if line.changed else ""
            if line.choices and not self.size.width < 60:
                text = f"‹ {text} ›"
            note = Cell(line.error, "bad") if line.error else Cell(line.meaning, "dim")
            rows.append((sign, indent + line.name, Cell(text, look), note))
        width = 24 if self.size.width < 100 else 36
        columns = [Column("", 1), Column("Setting", 24), Column("Value", width), Column("Meaning", 120)]
        self.query_one(FormTable).show(columns, rows, [line.path for line in self.lines])
        self._explain()
        self._fill_command()
        errors = len(self.form.errors)
        if errors:
            self.show_status(f"{errors} setting{'s' * (errors > 1)} will not do yet (✗)", "warn")
        else:
            self.show_status("ready; Ctrl+S starts it, y copies the command")

    def _fill_command(self) -> None:
        text = Text(f"$ {shlex.join(self._command())}")
        estimate = self._estimate()
        if estimate:
            text.append(f"\n{estimate}", "dim")
        self.query_one("#command", Static).update(text)

    def _estimate(self) -> str:
        config = self.form.validate() if self.form else None
        if config is None or self.context.snapshot is None:
            return ""
        from workbench.launch.estimate import estimate

        return estimate(config.model_dump(mode="json"), self.context.snapshot.runs, platform.node())

    @property
    def line_here(self) -> SettingRow | None:
        """The line under the cursor."""
        key = self.query_one(FormTable).key
        return next((line for line in self.lines if line.path == key), None)

    @on(Table.Moved)
    def _explain(self) -> None:
        line = self.line_here
        meaning = self.query_one("#meaning", Static)
        if line is None:
            meaning.update("")
            return
        meaning.set_class(bool(line.error), "wrong")
        text = Text(".".join(str(part + 1 if isinstance(part, int) else part) for part in line.path), "bold")
        text.append(f"  {line.error or line.meaning}", "not bold")
        if line.choices and not line.error:
            text.append(f"  ({', '.join(map(str, line.choices))})", "dim")
        meaning.update(text)

    def _config_path(self) -> Path:
        from engine.results.run_folder import new_run_id

        name = str((self.form.settings.get("name") if self.form else None) or "run")
        slug = new_run_id(name).split("-", 2)[2].rpartition("-")[0]
        folder = self.context.results.parent / FOLDER
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
        line = self.line_here
        if self.form is None or line is None or not line.choices:
            return
        place = line.choices.index(line.value) if line.value in line.choices else -way
        self.form.set_value(line.path, line.choices[(place + way) % len(line.choices)])
        self.fill()

    def action_next_value(self) -> None:
        """Take the next value."""
        self._step(1)

    def action_previous_value(self) -> None:
        """Take the previous value."""
        self._step(-1)

    def action_restore(self) -> None:
        """Put the setting back to its default."""
        line = self.line_here
        if self.form is not None and line is not None and not (line.heading and line.item):
            self.form.restore(line.path)
            self.fill()

    def action_add(self) -> None:
        """Add an item to the list under the cursor."""
        line = self.line_here
        if self.form is None or line is None:
            return
        path = self.form.add_item(line.path)
        if path is None:
            self.show_status("put the cursor into [[bitext]] or [[collections]] to add one", "warn")
            return
        self.fill()
        keys = [line.path for line in self.lines]
        if path in keys:
            self.query_one(FormTable).go_to(keys.index(path))

    def action_remove(self) -> None:
        """Remove the item under the cursor."""
        line = self.line_here
        if self.form is not None and line is not None and self.form.remove_item(line.path):
            self.fill()

    def action_changed(self) -> None:
        """Show all settings, or those that differ."""
        self.only_changed = not self.only_changed
        self.fill()

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
        """Copy the command line; the file it names is written first."""
        written = self._write()
        if written is not None:
            self.app.copy_to_clipboard(shlex.join(self._command(written)))
            self.show_status(f"copied; {written} is written")

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
        """Ask, then write the file and start the run."""
        form = self.form
        if form is None:
            return
        if form.validate() is None:
            self.fill()
            wrong = [line.path for line in self.lines if line.error and not line.heading]
            if wrong:
                self.query_one(FormTable).go_to([line.path for line in self.lines].index(wrong[0]))
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
        self.post_message(self.Started(f"started as {identity}; it is among the runs (1)", False))
        words = start_failure(self.context.store.folder / identity, None, lambda: self.app.is_running)
        if words is not None:
            self.post_message(self.Started(f"{identity} ended: {words}", True))

    @on(Started)
    def _started(self, message: Started) -> None:
        self.show_status(message.sentence, "bad" if message.failed else "")
        severity = "error" if message.failed else "information"
        self.app.notify(message.sentence, severity=severity, markup=False)  # type: ignore[arg-type]
        self.context.poll()
        self._fill_command()
