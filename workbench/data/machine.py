"""The load of this machine and of a run's processes: processor, memory, GPUs. Called in threads only."""

from __future__ import annotations

import csv
import platform
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from engine.jobs.child import child_environment, find_program
from workbench.data.runs import Run

SHORTEST = 1.0
"""Seconds between two measurements at least; shares of time over shorter stretches say little."""

_GPU_FIELDS = ("index", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu")
_GPU_SECONDS = 5.0
_MIB = 2**20


@dataclass(frozen=True)
class Gpu:
    """The load of a GPU.

    Attributes
    ----------
    index : int
        Its number.
    busy : float or None
        The share of time in which it computed, in percent.
    used, total : float or None
        Its memory in bytes.
    temperature : float or None
        In degrees Celsius.
    """

    index: int
    busy: float | None
    used: float | None
    total: float | None
    temperature: float | None


@dataclass(frozen=True)
class Load:
    """The load at one time.

    Attributes
    ----------
    cores : int
        The number of processor cores.
    busy : float
        The share of all cores that is busy, in percent.
    used, total : int
        The memory in bytes.
    run_busy : float
        The processor time of the run's processes, in percent of one core.
    run_used : int
        The memory of the run's processes in bytes. Memory that they share counts several times.
    gpus : tuple of Gpu
        The GPUs that ``nvidia-smi`` lists.
    """

    cores: int
    busy: float
    used: int
    total: int
    run_busy: float
    run_used: int
    gpus: tuple[Gpu, ...] = ()


class LoadMeter:
    """Measures the load while a run is running."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._processes: dict[int, Any] = {}
        self._last: tuple[str, float, Load | None] = ("", -SHORTEST, None)
        self._gpus_known = True

    def measure(self, run: Run) -> Load | None:
        """Return the load, or None if `run` is not running on this machine.

        Shares of time are those since the call before, so the first call for a run only begins to measure and
        returns None, too. Calls within `SHORTEST` seconds return the same.
        """
        identity, measured_at, load = self._last
        if run["state"] != "running" or run["host"] != platform.node():
            return None
        if identity == run["id"] and self._clock() - measured_at < SHORTEST:
            return load
        first = identity != run["id"]
        measured = self._measure(run)
        self._last = run["id"], self._clock(), None if first else measured
        return self._last[2]

    def _measure(self, run: Run) -> Load | None:
        import psutil

        from engine.jobs.state import process_of

        parent = process_of(run)
        if parent is None:
            return None
        found = [parent]
        with suppress(psutil.Error):
            found += parent.children(recursive=True)
        # The objects remember when they were asked before.
        self._processes = {process.pid: self._processes.get(process.pid, process) for process in found}
        busy, used = 0.0, 0
        for process in self._processes.values():
            with suppress(psutil.Error):
                busy += process.cpu_percent(None)
                used += process.memory_info().rss
        memory = psutil.virtual_memory()
        return Load(
            psutil.cpu_count() or 1,
            psutil.cpu_percent(None),
            memory.total - memory.available,
            memory.total,
            busy,
            used,
            self._gpus(),
        )

    def _gpus(self) -> tuple[Gpu, ...]:
        """Return the GPUs; none after ``nvidia-smi`` failed once or was not found."""
        program = find_program("nvidia-smi") if self._gpus_known else None
        if program is not None:
            with suppress(OSError, subprocess.SubprocessError, ValueError):
                done = subprocess.run(
                    [program, f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader,nounits"],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=_GPU_SECONDS,
                    env=child_environment(),
                    check=True,
                )
                return read_gpus(done.stdout)
        self._gpus_known = False
        return ()


def read_gpus(text: str) -> tuple[Gpu, ...]:
    """Return the GPUs that ``nvidia-smi`` printed as CSV without units; memory is in MiB there.

    A value that a GPU does not have is in brackets, such as ``[N/A]``.

    Raises
    ------
    ValueError
        If `text` is something else.
    """

    def value(cell: str, unit: float = 1.0) -> float | None:
        return None if cell.strip().startswith("[") else float(cell) * unit

    gpus = []
    for row in csv.reader(line for line in text.splitlines() if line.strip()):
        index, busy, used, total, temperature = row
        gpus.append(Gpu(int(index), value(busy), value(used, _MIB), value(total, _MIB), value(temperature)))
    return tuple(gpus)
