"""The interface through which long work reports its progress; front ends show it."""

from __future__ import annotations

from collections.abc import Mapping


class Reporter:
    """Receives the progress of long work and ignores it. Front ends override the methods that they show."""

    def say(self, sentence: str) -> None:
        """Receive a sentence that belongs in the log."""

    def stage(self, name: str, total: int) -> None:
        """Receive the start of a stage that has `total` equal parts."""

    def advance(self, parts: int = 1) -> None:
        """Receive that `parts` more parts of the stage are done."""

    def figures(self, values: Mapping[str, float]) -> None:
        """Receive the latest metrics of the stage."""


SILENT = Reporter()

_SHOWN = (
    ("loss", "loss {:.4f}"),
    ("held_out_rr", "MRR {:.4f}"),
    ("held_out_passages", "passages MRR {:.4f}"),
    ("pairs_per_second", "{:.0f} pairs/s"),
)


def figures_text(values: Mapping[str, float]) -> str:
    """Return the metrics that are shown next to a stage, as text."""
    return "  ".join(text.format(values[name]) for name, text in _SHOWN if name in values)
