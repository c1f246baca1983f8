"""The end of the log of a run. Called in threads only."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

LOG_BYTES = 64_000
LOG_LINES = 500


def read_log_end(path: Path) -> list[str]:
    """Return the last lines of the log at `path`, as a terminal would show them; none if there is no log."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - LOG_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = Text.from_ansi(text).plain.splitlines() if "\x1b" in text else text.splitlines()
    return [line.rpartition("\r")[2] for line in lines][-LOG_LINES:]
