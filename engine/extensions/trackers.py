"""Trackers: other programs that a run's curves and scores are sent to while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engine.registry import Registry


class Tracking(Protocol):
    """What an open tracker does."""

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Receive the figures of a step."""

    def finish(self, figures: Mapping[str, float], state: str) -> None:
        """Receive the scores of the run, and its state: ``finished``, ``failed`` or ``stopped``."""


@dataclass(frozen=True)
class Tracker:
    """A tracker.

    Attributes
    ----------
    name : str
        Its name in ``[tracking] to``.
    meaning : str
        What it is and where its files are, in one sentence.
    distributions : str
        What ``pip install`` installs for it.
    open : str or callable
        The function that opens it, or where it is, as ``module:function``. It is called as
        ``open(folder, project, name, config)`` with the run's folder, the project, the run's id and its
        configuration, and returns a `Tracking`. It imports the program's own library, and no earlier.
    """

    name: str
    meaning: str
    distributions: str
    open: str | Callable[[Path, str, str, Mapping[str, Any]], Tracking]


TRACKERS: Registry[Tracker] = Registry(
    "tracker", Tracker, "engine.tracking", "optical_workbench.trackers", first=("tensorboard",)
)
"""All trackers by name."""
