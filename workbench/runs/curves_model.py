"""The curves of runs, read while they grow. Called in threads only."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from engine.results.run_facts import FIGURES

GROUPS = ("loss", "held-out RR", "plan", "learning rate")
HELD_OUT = "held_out_rr"
_MAIN = {"loss": "loss", "held-out RR": HELD_OUT, "plan": "plan_entropy", "learning rate": "learning_rate"}
_MATCHES = "plan_effective_matches"


@dataclass
class Curves:
    """The curves of a run.

    Attributes
    ----------
    values : dict
        The steps, the seconds since the start and the values of each metric.
    corrupt : int
        How many lines of ``metrics.jsonl`` could not be read.
    """

    values: dict[str, tuple[list[int], list[float], list[float]]] = field(default_factory=dict)
    corrupt: int = 0


class CurvesReader:
    """Reads ``metrics.jsonl`` of any number of runs; each call reads only the lines that are new."""

    def __init__(self) -> None:
        self._curves: dict[Path, Curves] = {}
        self._offsets: dict[Path, int] = {}

    def read(self, folder: Path) -> Curves:
        """Return the curves of the run in `folder`."""
        from engine.results.metrics_log import tail

        path = folder / "metrics.jsonl"
        before = self._offsets.get(path, 0)
        found = tail(path, before)
        curves = self._curves.get(path)
        if curves is None or found.offset < before:
            curves = Curves()
        known = curves.values.items()
        # The curves that were returned before may be drawn in another thread, so they are not changed.
        copy = Curves({name: (steps[:], seconds[:], values[:]) for name, (steps, seconds, values) in known})
        copy.corrupt = curves.corrupt + found.corrupt
        for step, elapsed, metrics in found.records:
            for name, value in metrics.items():
                steps, seconds, values = copy.values.setdefault(name, ([], [], []))
                if steps and step <= steps[-1]:
                    # A resumed run logs some steps again; the later values replace the earlier ones.
                    keep = next(place for place, earlier in enumerate(steps) if earlier >= step)
                    del steps[keep:], seconds[keep:], values[keep:]
                steps.append(step)
                seconds.append(elapsed)
                values.append(value)
        self._curves[path], self._offsets[path] = copy, found.offset
        return copy


def group_metrics(group: str, curves: Curves, alone: bool) -> list[str]:
    """Return the metrics of a group in `curves`: all for a run that is `alone`, else the main one."""
    main = [_MAIN[group]] if _MAIN[group] in curves.values else []
    if group == "held-out RR":
        # the figure that decides comes first; where several runs are shown, it stands for the others
        main = [name for name in FIGURES if name in curves.values]
        if not alone:
            return main[:1]
        return main + [
            name
            for figure in main
            for name in sorted(curves.values)
            if name.startswith(f"{figure}_") and name not in main
        ]
    if not alone:
        return main
    if group == "plan" and _MATCHES in curves.values:
        return [*main, _MATCHES]
    return main


def metric_label(metric: str) -> str:
    """Return the short name of a metric for the legend."""
    known = {HELD_OUT: "mean", _MATCHES: "effective matches", "plan_entropy": "entropy (nats)"}
    known |= {name: title for name, title in FIGURES.items() if name != HELD_OUT}
    return known.get(metric) or metric.removeprefix(f"{HELD_OUT}_").replace("_", " ")


def smooth(values: list[float], weight: float) -> list[float]:
    """Return the exponential moving average of `values`, with Adam's correction of the bias at the start."""
    if not weight:
        return values
    smoothed, mean, mass = [], 0.0, 0.0
    for value in values:
        if math.isfinite(value):
            mean = weight * mean + (1 - weight) * value
            mass = weight * mass + (1 - weight)
        smoothed.append(mean / mass if mass else value)
    return smoothed
