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
from textual.binding import BindingType
from textual.filter import LineFilter
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.signal import Signal
from textual.worker import Worker, WorkerState

from engine.errors import OpticalError
from engine.paths import DEFAULT_RESULTS
from workbench.actions import ACTIONS, bindings
from workbench.context import Context
from workbench.data.runs import RunStore, Snapshot
from workbench.data.warm_process import WarmProcess
from workbench.runs.screen import RunsScreen
from workbench.shell.crash import write_crash_log
from workbench.shell.screen import BaseScreen, report_worker_error
from workbench.shell.stylesheet import CachedStylesheet
from workbench.shell.typed_ahead import TypedAhead
from workbench.themes import THEMES
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

    def __init__(self, results: Path) -> None:
        super().__init__()
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
        from workbench.shell.help import KeyMap

        self.push_screen(KeyMap())

    def action_help_here(self) -> None:
        """Explain the focused widget."""
        from workbench.shell.help import FocusHelp

        self.push_screen(FocusHelp(self.focused or self.screen, self.screen))

    def action_jump(self) -> None:
        """Show a letter on each part of the screen; the part whose letter is typed gets the focus."""
        from workbench.shell.jump import JumpScreen

        if not self.screen.is_modal:
            self.push_screen(JumpScreen(self.screen))

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
                    yield SystemCommand(
                        f"{action.label}: {action.help}" if scope != "app" else action.help,
                        f"key {action.keys.split(',')[0]}",
                        _runner(self, action.name, target),
                    )


def _runner(app: Workbench, action: str, target: Any) -> Callable[[], Any]:
    async def run() -> None:
        await app.run_action(action, default_namespace=target)

    return run
