"""What every screen of the app has: the bar with all rooms, a line for sentences, and the footer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer, Static
from textual.worker import Worker, WorkerState

if TYPE_CHECKING:
    from workbench.app import Workbench
    from workbench.data.runs import Snapshot

ROOMS = {
    "runs": "Runs",
    "launch": "Launch",
    "results": "Results",
    "plan": "Plan",
    "ask": "Ask",
    "sql": "SQL",
}


class Watched(Screen[None]):
    """A screen whose workers never fail in silence: a mistake of ours is said, and the app goes on."""

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say what a worker failed of."""
        if event.state == WorkerState.ERROR:
            error = event.worker.error
            self.app.notify(f"{type(error).__name__}: {error}", severity="error", markup=False)


class Room(Watched):
    """A mode of the app."""

    room = ""
    _said = ("", "")

    @property
    def bench(self) -> Workbench:
        """The app."""
        return self.app  # type: ignore[return-value]

    def compose(self) -> ComposeResult:
        """Put the screen's own widgets between the bar and the footer."""
        yield Static(self._bar(), id="rooms")
        yield from self.body()
        yield Static(id="status")
        yield Footer(compact=True, show_command_palette=False)

    def body(self) -> ComposeResult:
        """Yield the screen's own widgets."""
        yield Widget()

    def on_mount(self) -> None:
        """Listen for news of the runs."""
        self.bench.news.subscribe(self, self.runs_changed)
        if self.bench.snapshot is not None:
            self.runs_changed(self.bench.snapshot)

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Take in the runs as they are now."""

    def say(self, sentence: str = "", look: str = "") -> None:
        """Put a sentence on the status line; `look` is "", "warn" or "bad"."""
        if (sentence, look) == self._said:
            return
        self._said = sentence, look
        status = self.query_one("#status", Static)
        status.set_class(look == "warn", "warn")
        status.set_class(look == "bad", "bad")
        status.update(Text(" ".join(sentence.split())))
        status.tooltip = Text(sentence) if sentence else None

    def _bar(self) -> Text:
        bar = Text(no_wrap=True, overflow="ellipsis")
        for place, (name, title) in enumerate(ROOMS.items(), 1):
            style = "bold reverse" if name == self.room else ""
            bar.append(f" {place} {title} ", style)
        return bar.append(f"  {self.bench.results_name}", "dim")
