"""The parts of an estimate, and the meter that they are measured with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from engine.estimate.records import Basis, Stage
from engine.training.pretraining.speed import peak_memory

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cost:
    """Seconds of wall time, and of the process's CPU time over all threads."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """Return the cost of one after the other."""
        return Cost(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)

    def __mul__(self, count: float) -> Cost:
        """Return the cost of `count` times the work."""
        return Cost(self.seconds * count, self.cpu_seconds * count)

    def less(self, other: Cost) -> Cost:
        """Return the cost without that of `other`, at least 0."""
        return Cost(max(0.0, self.seconds - other.seconds), max(0.0, self.cpu_seconds - other.cpu_seconds))


@dataclass
class Meter:
    """Measures work on a device.

    Attributes
    ----------
    device : torch.device
        Its queued work is finished before a clock is read.
    wall, cpu : callable
        Return the seconds of a clock, and the CPU seconds of this process.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time

    def of(self, work: Callable[[], Result]) -> tuple[Cost, Result]:
        """Do `work`; return its cost and its result."""
        self._finish()
        wall, cpu = self.wall(), self.cpu()
        result = work()
        self._finish()
        return Cost(self.wall() - wall, self.cpu() - cpu), result

    def _finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@dataclass(frozen=True)
class Given:
    """Throughputs that the user gives for another machine; None measures here.

    Attributes
    ----------
    pairs_per_second : float, optional
        Sentence pairs or questions of training.
    tokens_per_second : float, optional
        Tokens of pre-training.
    """

    pairs_per_second: float | None = None
    tokens_per_second: float | None = None


@dataclass
class Sheet:
    """An estimate while it is made.

    Attributes
    ----------
    meter : Meter
    given : Given
    stages : list of Stage
    memory : int
        Most bytes that the run has in memory at once.
    device_memory : int
        Most bytes on the GPU, 0 without one.
    disk : Counter of str
        Bytes by what they are: ``cache``, ``run folder`` and, until a training ends, ``state of training``.
    notes : list of str
        What the estimate leaves out or takes for granted.
    """

    meter: Meter = field(default_factory=Meter)
    given: Given = field(default_factory=Given)
    stages: list[Stage] = field(default_factory=list)
    memory: int = 0
    device_memory: int = 0
    disk: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, count: float, unit: str, cost: Cost, basis: Basis = "measured") -> None:
        """Add a stage, if there is something to do in it."""
        if count >= 0.5:
            self.stages.append(Stage(name, round(count), unit, cost.seconds, cost.cpu_seconds, basis))

    def train(self, steps: int, units: int, unit: str, step: Cost) -> None:
        """Add the steps of a training.

        Parameters
        ----------
        steps : int
        units : int
            Pairs, questions or tokens of a step.
        unit : str
            Their name; it decides which throughput of `given` replaces the measured cost.
        step : Cost
            The measured cost of a step.
        """
        rate = self.given.tokens_per_second if unit == "tokens" else self.given.pairs_per_second
        if rate is None:
            self.add("training", steps * units, unit, step * steps)
        else:
            self.add("training", steps * units, unit, Cost(steps * units / rate, 0.0), "given")

    def multiply(self, times: float) -> None:
        """Take all stages, with those of the same name together, and the run folder `times` times."""
        sums: dict[tuple[str, str, Basis], tuple[float, Cost]] = {}
        for stage in self.stages:
            key = stage.name, stage.unit, stage.basis
            count, cost = sums.get(key, (0.0, Cost()))
            sums[key] = count + stage.count, cost + Cost(stage.seconds, stage.cpu_seconds)
        self.stages = []
        for (name, unit, basis), (count, cost) in sums.items():
            self.add(name, count * times, unit, cost * times, basis)
        self.disk["run folder"] = round(self.disk["run folder"] * times)

    def note(self, sentence: str) -> None:
        """Add a note, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def need(self, more: float = 0) -> None:
        """Raise the memory to what this process had at most, and `more` bytes."""
        self.memory = max(self.memory, peak_memory(torch.device("cpu")) + round(more))
        if self.meter.device.type == "cuda":
            self.device_memory = max(self.device_memory, peak_memory(self.meter.device))

    def absorb(self, other: Sheet, times: int, label: str = "") -> None:
        """Add the estimate of a run that is executed `times` times, one after another."""
        before = f"{label}: " if label else ""
        for stage in other.stages:
            cost = Cost(stage.seconds, stage.cpu_seconds) * times
            self.add(before + stage.name, stage.count * times, stage.unit, cost, stage.basis)
        self.memory = max(self.memory, other.memory)
        self.device_memory = max(self.device_memory, other.device_memory)
        for name, size in other.disk.items():
            # what is cached of documents is shared, and one state is there at a time
            alone = name in ("cache", "state of training")
            self.disk[name] = max(self.disk[name], size) if alone else self.disk[name] + size * times
        for sentence in other.notes:
            self.note(sentence)
