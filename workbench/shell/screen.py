"""The base screens: the bar with the modes, the status line, the footer, and reports of worker errors."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.screen import Screen
from textual.widgets import Footer
from textual.worker import Worker, WorkerState

from workbench.context import Context
from workbench.data.runs import Snapshot
from workbench.widgets.text import inert, plain
from workbench.widgets.text_view import TextView

MODES = {
    "runs": "Runs",
    "launch": "Launch",
    "results": "Results",
    "plan": "Plan",
    "ask": "Ask",
    "sql": "SQL",
}
"""The modes of the app and their titles, in the order of their keys."""


def report_worker_error(app: App[Any], event: Worker.StateChanged) -> None:
    """Show the error that ended a worker, if one did, as a notification; the app continues."""
    if event.state == WorkerState.ERROR:
        error = event.worker.error
        app.notify(f"{type(error).__name__}: {error}", severity="error")


class BaseScreen(Screen[None]):
    """A screen that has the context and reports the errors of its workers.

    Attributes
    ----------
    scope : str
        The screen's scope in `workbench.actions`.
    """

    scope = ""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Report the error that ended a worker; the app continues."""
        report_worker_error(self.app, event)


class ModeBar(TextView):
    """The titles of the modes with their keys; a click on one switches to it."""

    def __init__(self, here: str, results: str) -> None:
        bar = Text(no_wrap=True, overflow="ellipsis")
        self._ends: list[tuple[int, str]] = []
        for place, (name, title) in enumerate(MODES.items(), 1):
            bar.append(f" {place} {title} ", "bold reverse" if name == here else "")
            self._ends.append((len(bar), name))
        super().__init__(bar.append("  ").append(plain(results), "dim"), id="modes")

    async def on_click(self, event: events.Click) -> None:
        """Switch to the mode that was clicked."""
        mode = next((name for end, name in self._ends if event.x < end), None)
        if mode is not None:
            await self.app.run_action(f"app.go({mode!r})")


class ModeScreen(BaseScreen):
    """The screen of a mode. A subclass yields its own widgets from `compose_body`."""

    _status = ("", "")

    def compose(self) -> ComposeResult:
        """Yield the bar, the screen's own widgets, the status line and the footer."""
        yield ModeBar(self.scope, str(self.context.results))
        yield from self.compose_body()
        yield TextView(id="status")
        yield Footer(compact=True, show_command_palette=False)

    def compose_body(self) -> ComposeResult:
        """Yield the screen's own widgets."""
        yield from ()

    def on_mount(self) -> None:
        """Subscribe to updates of the runs."""
        self.context.subscribe(self, self.runs_changed)

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Show the runs as they are now. The base class shows none."""

    def show_status(self, sentence: str = "", level: str = "") -> None:
        """Show a sentence on the status line; `level` is "", "warn" or "bad"."""
        if (sentence, level) == self._status:
            return
        self._status = sentence, level
        status = self.query_one("#status", TextView)
        status.set_class(level == "warn", "warn")
        status.set_class(level == "bad", "bad")
        status.update(Text(" ".join(sentence.split())))
        status.tooltip = inert(sentence) if sentence else None
