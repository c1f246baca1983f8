"""What the app hands to every screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from textual.dom import DOMNode
from textual.signal import Signal

from workbench.data.runs import Run, RunStore, Snapshot
from workbench.data.warm_process import WarmProcess


@dataclass(eq=False)
class Context:
    """The state that screens share, and the few things that a screen asks of the app.

    Parameters
    ----------
    results : Path
        The results database, as the user named it.
    store : RunStore
        Reads the runs and the database.
    warm : WarmProcess
        The process that encodes and searches.
    updates : Signal
        Published with a snapshot each time the runs were read.
    open_mode : callable
        Switches to the screen of a mode.
    poll : callable
        Reads the runs now instead of at the next interval.

    Attributes
    ----------
    snapshot : Snapshot or None
        The runs as they were read last; None before the first time.
    chosen_runs : list of str
        Ids of the runs that were chosen on one screen to be shown on another.
    """

    results: Path
    store: RunStore
    warm: WarmProcess
    updates: Signal[Snapshot]
    open_mode: Callable[[str], None]
    poll: Callable[[], None]
    snapshot: Snapshot | None = None
    chosen_runs: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        """The runs as they were read last, newest first."""
        return self.snapshot.runs if self.snapshot is not None else []

    def subscribe(self, node: DOMNode, update: Callable[[Snapshot], object]) -> None:
        """Call `update` now if the runs are known, and each time they were read, until `node` is removed."""
        self.updates.subscribe(node, update)
        if self.snapshot is not None:
            update(self.snapshot)

    def publish(self, snapshot: Snapshot | None = None) -> None:
        """Replace the snapshot, if a new one is given, and hand it to all subscribers."""
        if snapshot is not None:
            self.snapshot = snapshot
        if self.snapshot is not None:
            self.updates.publish(self.snapshot)

    def show_results(self, runs: list[str]) -> None:
        """Switch to the results of `runs` (ids)."""
        self.chosen_runs = runs
        self.open_mode("results")

    def show_plans(self, runs: list[str]) -> None:
        """Switch to the transport plans of `runs` (ids)."""
        self.chosen_runs = runs
        self.open_mode("plan")
