"""The log of a run, ``log.txt``: what the run reported, with the time (UTC) at the beginning of each line."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from engine.reporting import Reporter, figures_text
from engine.visible import visible

#: A stage writes how far it is if nothing was written for this many seconds.
SILENCE_SECONDS = 10.0


class LoggedReporter(Reporter):
    """Writes what it receives into a log and passes it on. A log that cannot be written is no error.

    Parameters
    ----------
    path : Path
        The log; lines are appended.
    reporter : Reporter
        Receives everything, too.
    """

    def __init__(self, path: Path, reporter: Reporter) -> None:
        self.path, self.reporter = path, reporter
        self._written = time.monotonic()
        self._stage, self._done, self._total = "", 0, 0
        self._figures = ""

    def note(self, text: str) -> None:
        """Write `text` into the log only."""
        stamp = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        lines = (f"{stamp}  {line}\n" for line in visible(text, keep="\n").splitlines())
        self._written = time.monotonic()
        with contextlib.suppress(OSError), self.path.open("a", encoding="utf-8") as stream:
            stream.write("".join(lines))

    def say(self, sentence: str) -> None:
        """Write a sentence."""
        self.note(sentence)
        self.reporter.say(sentence)

    def stage(self, name: str, total: int) -> None:
        """Write the name of the stage and its number of parts."""
        self._stage, self._done, self._total, self._figures = name, 0, total, ""
        self.note(f"{name} ({total:,})")
        self.reporter.stage(name, total)

    def advance(self, parts: int = 1) -> None:
        """Write how far the stage is, if nothing was written for a while."""
        self._done += parts
        if time.monotonic() - self._written >= SILENCE_SECONDS:
            done = f"{self._stage}: {self._done:,} of {self._total:,}"
            self.note(f"{done}  {self._figures}" if self._figures else done)
        self.reporter.advance(parts)

    def figures(self, values: Mapping[str, float]) -> None:
        """Remember the latest metrics, for the next line about the stage."""
        self._figures = figures_text(values)
        self.reporter.figures(values)
