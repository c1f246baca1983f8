"""An estimate and its stages. This module imports no numerical library."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Basis = Literal["measured", "given"]


@dataclass(frozen=True)
class Stage:
    """A stage of a run.

    Attributes
    ----------
    name : str
    count : int
        What it works on, in `unit`.
    unit : str
    seconds, cpu_seconds : float
        Wall time, and CPU time over all threads.
    basis : {"measured", "given"}
        Whether the time was computed from measured work or from a throughput that the user gave.
    """

    name: str
    count: int
    unit: str
    seconds: float
    cpu_seconds: float
    basis: Basis = "measured"


@dataclass(frozen=True)
class Estimate:
    """What a run will need.

    Attributes
    ----------
    name, kind : str
        The run's name and kind.
    device : str
        Where it was measured.
    threads : int
        CPU threads of the measurements.
    stages : list of Stage
    seconds, cpu_seconds : float
        Wall time and CPU time of all stages.
    memory : int
        Most bytes of memory at once.
    device_memory : int
        Most bytes on the GPU; 0 without one.
    disk : dict of str to int
        Bytes, as `Sheet.disk`.
    notes : list of str
    """

    name: str
    kind: str
    device: str
    threads: int
    stages: list[Stage]
    seconds: float
    cpu_seconds: float
    memory: int
    device_memory: int
    disk: dict[str, int]
    notes: list[str]

    def record(self) -> dict[str, Any]:
        """Return the estimate as values of JSON."""
        return asdict(self)
