"""The load of the machine below the curves of a run that is running."""

from __future__ import annotations

from collections import deque

from rich.text import Text

from workbench.data.machine import Load
from workbench.widgets.text_view import TextView

SAMPLES = 30
"""Number of measurements that are drawn: a minute, at one in two seconds."""

_BLOCKS = "▁▂▃▄▅▆▇█"
_GIB = 2**30


def spark(values: list[float]) -> str:
    """Return shares from 0 to 1 as a line of blocks."""
    return "".join(_BLOCKS[min(int(max(value, 0.0) * len(_BLOCKS)), len(_BLOCKS) - 1)] for value in values)


class SystemPanel(TextView):
    """Processor, memory and GPUs: a line for each with the last minute, or all in one line."""

    DEFAULT_CSS = """
    SystemPanel { dock: bottom; width: 100%; height: auto; max-height: 8; padding: 0 1; display: none; }
    SystemPanel { color: $secondary; }
    """

    def __init__(self) -> None:
        super().__init__(id="system")
        self._run = ""
        self._shares: dict[str, deque[float]] = {}
        self._load: Load | None = None

    def show(self, run: str, load: Load | None) -> None:
        """Show the load while `run` (an id) is running; None hides the panel."""
        if run != self._run:
            self._run, self._shares = run, {}
        self.display = load is not None
        if load is None or load is self._load:
            return
        self._load = load
        low = not self.screen.has_class("-tall")
        lines = self._lines(load)
        for title, _, _, share in lines:
            if share is not None:
                self._shares.setdefault(title, deque(maxlen=SAMPLES)).append(share)
        text = Text()
        for place, (title, figure, of_run, _) in enumerate(lines):
            if low:
                text.append(" · " * (place > 0)).append(f"{title} {figure}")
                continue
            text.append("\n" * (place > 0)).append(f"{title:<7}", "bold").append(f"{figure:<28}")
            text.append(f"{of_run:<20}", "default").append(spark(list(self._shares.get(title, ()))), "bold")
        self.update(text)

    def _lines(self, load: Load) -> list[tuple[str, str, str, float | None]]:
        """Return title, the machine's figure, the run's figure and the share from 0 to 1 for each line."""
        cores = f"{load.cores} cores" if load.cores > 1 else "1 core"
        lines: list[tuple[str, str, str, float | None]] = [
            ("CPU", f"{load.busy:.0f} % of {cores}", f"this run {load.run_busy:.0f} %", load.busy / 100),
            (
                "memory",
                f"{load.used / _GIB:.1f} of {load.total / _GIB:.1f} GiB",
                f"this run {load.run_used / _GIB:.1f} GiB",
                load.used / load.total,
            ),
        ]
        for gpu in load.gpus:
            parts = [] if gpu.busy is None else [f"{gpu.busy:.0f} %"]
            if gpu.used is not None and gpu.total is not None:
                parts.append(f"{gpu.used / _GIB:.1f} of {gpu.total / _GIB:.1f} GiB")
            heat = "" if gpu.temperature is None else f"{gpu.temperature:.0f} °C"
            share = None if gpu.busy is None else gpu.busy / 100
            lines.append((f"GPU {gpu.index}", ", ".join(parts), heat, share))
        return lines
