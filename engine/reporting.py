"""What long work tells whoever is watching; the command line draws it, tests ignore it."""

from __future__ import annotations

from collections.abc import Mapping


class Reporter:
    """Hears of progress and does nothing with it; front ends override what they show."""

    def say(self, sentence: str) -> None:
        """Hear one sentence worth a line of the log."""

    def stage(self, name: str, total: int) -> None:
        """Hear that a stage of `total` equal parts begins."""

    def advance(self, parts: int = 1) -> None:
        """Hear that `parts` of the stage are done."""

    def figures(self, values: Mapping[str, float]) -> None:
        """Hear the newest figures of the stage."""


SILENT = Reporter()
