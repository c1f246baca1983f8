"""Trackio, which keeps its projects in its own folder on this machine."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.extensions.trackers import Tracker


class Trackio:
    """A run of Trackio, in the folder that ``TRACKIO_DIR`` names or its own."""

    def __init__(self, folder: Path, project: str, name: str, config: Mapping[str, Any]) -> None:
        import trackio

        with _unprinted():
            self._run: Any = trackio.init(
                project=project, name=name, config=dict(config), embed=False, auto_log_gpu=False
            )

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Write the figures of a step."""
        self._run.log(dict(figures), step=step)

    def finish(self, figures: Mapping[str, float], state: str) -> None:
        """Write the scores and end the run."""
        with _unprinted():
            if figures:
                self._run.log(dict(figures))
            self._run.finish()


def _unprinted() -> contextlib.redirect_stdout[io.StringIO]:
    """Keep what Trackio prints out of our output."""
    return contextlib.redirect_stdout(io.StringIO())


TRACKIO = Tracker(
    name="trackio",
    meaning="Trackio; projects in the folder that TRACKIO_DIR names, or in Trackio's own (trackio show)",
    distributions="trackio",
    open=Trackio,
)
