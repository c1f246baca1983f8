"""The curves of runs, followed while they grow. Used in threads only."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

GROUPS = ("loss", "held-out RR", "plan", "learning rate")
HELD_OUT = "held_out_rr"
_MAIN = {"loss": "loss", "held-out RR": HELD_OUT, "plan": "plan_entropy", "learning rate": "learning_rate"}
_MATCHES = "plan_effective_matches"


@dataclass
class Curves:
    """One run's curves: for each metric its steps, seconds since the start, and values."""

    values: dict[str, tuple[list[int], list[float], list[float]]] = field(default_factory=dict)
    corrupt: int = 0


class CurvesReader:
    """Follows ``metrics.jsonl`` of any number of runs; each call reads only what is new."""

    def __init__(self) -> None:
        self._curves: dict[Path, Curves] = {}
        self._offsets: dict[Path, int] = {}

    def read(self, folder: Path) -> Curves:
        """Return the curves of the run in `folder` as far as they are written."""
        from engine.results.metrics_log import tail

        path = folder / "metrics.jsonl"
        before = self._offsets.get(path, 0)
        found = tail(path, before)
        curves = self._curves.get(path)
        if curves is None or found.offset < before:
            curves = Curves()
        known = curves.values.items()
        # What was handed out before is being drawn, so it is not touched.
        copy = Curves({name: (steps[:], seconds[:], values[:]) for name, (steps, seconds, values) in known})
        copy.corrupt = curves.corrupt + found.corrupt
        for step, elapsed, metrics in found.records:
            for name, value in metrics.items():
                steps, seconds, values = copy.values.setdefault(name, ([], [], []))
                if steps and step <= steps[-1]:
                    # A resumed run logs some steps again; the last word counts.
                    keep = next(place for place, earlier in enumerate(steps) if earlier >= step)
                    del steps[keep:], seconds[keep:], values[keep:]
                steps.append(step)
                seconds.append(elapsed)
                values.append(value)
        self._curves[path], self._offsets[path] = copy, found.offset
        return copy


def metrics_of(group: str, curves: Curves, alone: bool) -> list[str]:
    """Return the metrics of a group of curves: all when one run is shown, the main one beside other runs."""
    main = [_MAIN[group]] if _MAIN[group] in curves.values else []
    if not alone:
        return main
    if group == "held-out RR":
        return main + sorted(name for name in curves.values if name.startswith(f"{HELD_OUT}_"))
    if group == "plan" and _MATCHES in curves.values:
        return [*main, _MATCHES]
    return main


def label_of(metric: str) -> str:
    """Return a metric's short name for a legend."""
    known = {HELD_OUT: "mean", _MATCHES: "effective matches", "plan_entropy": "entropy (nats)"}
    return known.get(metric) or metric.removeprefix(f"{HELD_OUT}_").replace("_", " ")


def smooth(values: list[float], weight: float) -> list[float]:
    """Return the exponential moving average of `values`, unbiased at the start (as Adam corrects moments)."""
    if not weight:
        return values
    smoothed, mean, mass = [], 0.0, 0.0
    for value in values:
        if math.isfinite(value):
            mean = weight * mean + (1 - weight) * value
            mass = weight * mass + (1 - weight)
        smoothed.append(mean / mass if mass else value)
    return smoothed
