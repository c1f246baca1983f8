"""The app: its modes, its themes, and the worker that reads the runs."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual import events, on, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.signal import Signal
from textual.worker import Worker, WorkerState

from engine.errors import OpticalError
from engine.paths import DEFAULT_RESULTS
from engine.visible import visible
from workbench.actions import ACTIONS, bindings, key_text
from workbench.context import Context
from workbench.data.runs import Run, RunStore, Snapshot
from workbench.data.user_settings import UserSettings
from workbench.data.warm_process import WarmProcess
from workbench.runs.screen import RunsScreen
from workbench.shell.alerts import RunWatch, alert_text, end_of, notify_desktop, run_command
from workbench.shell.crash import write_crash_log
from workbench.shell.screen import BaseScreen, report_worker_error
from workbench.shell.stylesheet import CachedStylesheet
from workbench.shell.terminal import LONGEST_COPY, clipboard_sequence, give_to_tmux
from workbench.shell.typed_ahead import TypedAhead
from workbench.themes import THEMES
from workbench.widgets.dialogs import ChoiceDialog
from workbench.widgets.table import Column, Table
from workbench.widgets.text import inert, plain
from workbench.widgets.text_view import ControlFilter

POLL_SECONDS = 2.0


def _runs(context: Context) -> BaseScreen:
    return RunsScreen(context)


def _launch(context: Context) -> BaseScreen:
    from workbench.launch.screen import LaunchScreen

    return LaunchScreen(context)


def _results(context: Context) -> BaseScreen:
    from workbench.results.screen import ResultsScreen

    return ResultsScreen(context)


def _plan(context: Context) -> BaseScreen:
    from workbench.plan.screen import PlanScreen

    return PlanScreen(context)


def _ask(context: Context) -> BaseScreen:
    from workbench.ask.screen import AskScreen

    return AskScreen(context)


def _sql(context: Context) -> BaseScreen:
    from workbench.sql.screen import SqlScreen

    return SqlScreen(context)


_SCREENS: dict[str, Callable[[Context], BaseScreen]] = {
    "runs": _runs,
    "launch": _launch,
    "results": _results,
    "plan": _plan,
    "ask": _ask,
    "sql": _sql,
}
"""The function that makes the screen of each mode. All but the first import their screen when called."""


class Workbench(App[None]):
    """Runs, launch, results, plans, queries and SQL over one results database."""

    TITLE = "Optical Workbench"
    CSS_PATH = "shell/shell.tcss"
    DEFAULT_MODE = "runs"
    BINDINGS: ClassVar[list[BindingType]] = bindings("app")

    class Polled(Message):
        """The runs were read; `done` is False if the database is still being read."""

        def __init__(self, snapshot: Snapshot, done: bool = True) -> None:
            super().__init__()
            self.snapshot, self.done = snapshot, done

    def __init__(
        self, results: Path, settings: UserSettings | None = None, *, first_start: bool = False
    ) -> None:
        super().__init__()
        self.settings = settings or UserSettings()
        self._first_start = first_start
        self._watch = RunWatch()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (150, "-vast")]
        self.VERTICAL_BREAKPOINTS = [(0, "-tiny"), (16, "-low"), (30, "-tall")]
        self.context = Context(
            results,
            RunStore(results),
            WarmProcess(),
            updates=Signal(self, "updates"),
            open_mode=self.open_mode,
            poll=self.poll,
        )
        for mode, make in _SCREENS.items():
            self.add_mode(mode, partial(make, self.context))
        self._polling = False
        self._control_filter = ControlFilter()
        self._typed = TypedAhead(self, super().on_event)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name
        self.stylesheet = CachedStylesheet(variables=self.get_css_variables())
        if keys := self.settings.keys.bindings():
            self.set_keymap(keys)

    def get_key_display(self, binding: Binding) -> str:
        """Return a key as the footer shows it."""
        if binding.id and not binding.key_display:  # one of the table of actions, with a key of the user
            return key_text(binding.key)
        return super().get_key_display(binding)

    async def on_event(self, event: events.Event) -> None:
        """Handle an event; keys wait for the keys before them."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self._typed.add(event)
        else:
            await super().on_event(event)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a notification as it is: markup is never parsed, and control characters are escaped."""
        message, title = inert(message).plain, plain(title)
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=False)

    def copy_to_clipboard(self, text: str) -> None:
        """Copy text to the clipboard of the terminal, also through ssh and tmux, and say so.

        Control characters of the text are escaped, so pasting it sends no command to a terminal.
        """
        text = visible(text, keep="\n\t")
        if len(text.encode("utf-8", "replace")) > LONGEST_COPY:
            self.notify(
                f"{len(text):,} characters are more than terminals copy; export them to a file",
                severity="warning",
            )
            return
        self._clipboard = text
        self.notify(f"copied: {plain(text[:60])}{'…' * (len(text) > 60)}", timeout=2)
        if self._driver is not None and not self.is_headless:
            self._copy(text)

    @work(thread=True, group="copy", exit_on_error=False)
    def _copy(self, text: str) -> None:
        if not give_to_tmux(text):
            self.call_from_thread(self.write_to_terminal, clipboard_sequence(text))

    def write_to_terminal(self, sequence: str) -> None:
        """Send a sequence to the terminal."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    def action_copy_sentence(self) -> None:
        """Copy the sentence on the status line."""
        for status in self.screen.query("#status"):
            if sentence := str(status.tooltip or ""):
                self.copy_to_clipboard(sentence)

    @on(Table.CellWanted)
    def _choose_cell(self, message: Table.CellWanted) -> None:
        """Ask which cell of a row to copy."""
        texts = [(title, text) for title, text in message.table.row_texts() if text]

        def answered(place: int | None) -> None:
            if place is not None:
                self.copy_to_clipboard(texts[place][1])

        columns = ("Column", Column("Text", 60))
        self.push_screen(ChoiceDialog("Copy a cell", columns, texts, range(len(texts))), answered)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return what is applied to every painted line."""
        return [*super().get_line_filters(), self._control_filter]

    def _fatal_error(self) -> None:
        """End the app after an error that was not expected: write a log and print where it is."""
        error = self._exception or sys.exception()
        assert error is not None
        self._exit_renderables.append(Text(write_crash_log(error)))
        self._close_messages_no_wait()

    def panic(self, *renderables: RenderableType) -> None:
        """End the app after an error that describes itself, such as one in a style sheet."""
        if self._exception is not None:
            self._fatal_error()
        else:
            super().panic(*renderables)

    def on_mount(self) -> None:
        """Start to read the runs once the first screen is painted."""
        if self.context.results != DEFAULT_RESULTS and not self.context.results.exists():
            from engine.results.missing import new_database_note

            if note := new_database_note(self.context.results):
                self.notify(note, severity="warning", timeout=15)
        self.call_after_refresh(self._start_polling)
        self.set_interval(POLL_SECONDS, self.poll)
        if self._first_start:
            self.call_after_refresh(self.action_tour)

    def _start_polling(self) -> None:
        if not gc.isenabled():  # it was disabled when the process started
            gc.freeze()
            gc.enable()
        self.poll()

    def on_unmount(self) -> None:
        """End the warm process."""
        self.context.warm.close()

    def poll(self) -> None:
        """Read the runs in a thread, unless they are being read already."""
        if not self._polling:
            self._polling = True
            self._poll()

    @work(thread=True, group="poll", exit_on_error=False)
    def _poll(self) -> None:
        try:
            snapshot = self.context.store.poll(lambda first: self.post_message(self.Polled(first, False)))
        except (OpticalError, OSError) as error:
            snapshot = Snapshot(self.context.runs, [str(error)])  # the screens keep the runs that they show
        self.post_message(self.Polled(snapshot))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Report the error that ended a worker, and continue to poll."""
        if event.state == WorkerState.ERROR:
            self._polling = False
        report_worker_error(self, event)

    @on(Polled)
    def _polled(self, message: Polled) -> None:
        self._polling = self._polling and not message.done
        self.context.publish(message.snapshot)
        if message.done:
            for run in self._watch.ended(message.snapshot.runs):
                if end_of(run) in self.settings.alerts.on:
                    self._alert(run)

    def _alert(self, run: Run) -> None:
        """Tell the user that a run ended."""
        failed = end_of(run) == "failed"
        self.notify(alert_text(run), severity="error" if failed else "information", timeout=15)
        if self.settings.alerts.bell:
            self.bell()
        self._alert_outside(run)

    @work(thread=True, group="alerts", exit_on_error=False)
    def _alert_outside(self, run: Run) -> None:
        alerts = self.settings.alerts
        write = partial(self.call_from_thread, self.write_to_terminal)
        steps = [partial(notify_desktop, alert_text(run), write)] * alerts.desktop
        steps += [partial(run_command, alerts, run)] * bool(alerts.command)
        for step in steps:
            try:
                step()
            except OpticalError as error:
                self.call_from_thread(self.notify, str(error), severity="warning")

    def open_mode(self, mode: str) -> None:
        """Switch to the screen of `mode`, and publish the snapshot so that it shows the chosen runs."""
        self.switch_mode(mode)
        self.call_after_refresh(self.context.publish)

    def action_go(self, mode: str) -> None:
        """Switch to the screen of `mode`; it keeps its state."""
        if not self.screen.is_modal:
            self.open_mode(mode)

    def action_key_map(self) -> None:
        """Show the keys of all screens."""
        from workbench.shell.help import KeyTable

        self.push_screen(KeyTable(self.settings.keys))

    def action_help_here(self) -> None:
        """Explain the focused widget."""
        from workbench.shell.help import FocusHelp

        self.push_screen(FocusHelp(self.focused or self.screen, self.screen))

    def action_jump(self) -> None:
        """Show a letter on each part of the screen; the part whose letter is typed gets the focus."""
        from workbench.shell.jump import JumpScreen

        if not self.screen.is_modal:
            self.push_screen(JumpScreen(self.screen))

    async def action_tour(self) -> None:
        """Begin the tour of the screens."""
        from workbench.shell.tour import remember_tour

        if not self.screen.is_modal:
            remember_tour()
            await self._show_step(0)

    async def _show_step(self, place: int) -> None:
        from workbench.shell.tour import STEPS, TourStep

        step = STEPS[place]
        if self.current_mode != step.mode:
            await self.switch_mode(step.mode)
        if step.study:
            from workbench.results.study_screen import StudyScreen

            if not isinstance(self.screen, StudyScreen):
                await self.push_screen(StudyScreen(self.context, None))

        async def answered(answer: str | None) -> None:
            other = place + {"next": 1, "back": -1}.get(answer or "end", len(STEPS))
            if other < len(STEPS):
                await self._show_step(max(other, 0))
            else:
                self.open_mode("runs")

        await self.push_screen(TourStep(place), answered)

    def action_next_theme(self) -> None:
        """Switch to the next theme."""
        names = [theme.name for theme in THEMES]
        place = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(place + 1) % len(names)]

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Yield the actions of the app and of the screen for the command palette."""
        for scope, target in (("app", self), (getattr(screen, "scope", ""), screen)):
            for action in ACTIONS.get(scope, ()):
                if action.name != "command_palette":
                    keys = self.settings.keys.keys(scope, action)
                    yield SystemCommand(
                        f"{action.label}: {action.help}" if scope != "app" else action.help,
                        f"key {key_text(keys.split(',')[0])}",
                        _runner(self, action.name, target),
                    )


def _runner(app: Workbench, action: str, target: Any) -> Callable[[], Any]:
    async def run() -> None:
        await app.run_action(action, default_namespace=target)

    return run
