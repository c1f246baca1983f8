"""The state of a run, from its folder and the process that it names."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any, Literal

import psutil

from engine.errors import InputError
from engine.results.run_folder import read_record

RunState = Literal["running", "finished", "failed", "stopped", "crashed", "unknown"]

SILENCE_SECONDS = 600.0
"""A run on another machine has crashed when its heartbeat is older than this."""

_SAME_START = 2.0  # s; the clock by which start times are measured may be corrected during a run


def state_of(folder: Path) -> RunState:
    """Return the state of the run in `folder`.

    A run that is recorded as running has ``crashed`` if its process does not exist any more, or, for a run on
    another machine, if its heartbeat is older than `SILENCE_SECONDS`. The state is ``unknown`` if the folder
    does not determine it.
    """
    try:
        record = read_record(folder)
    except InputError:
        return "unknown"
    state = record["state"]
    if state in ("finished", "failed", "stopped"):
        return state  # type: ignore[no-any-return]
    if state != "running":
        return "unknown"
    if record["host"] == platform.node():
        if record["pid"] is None:
            return "unknown"
        return "crashed" if process_of(record) is None else "running"
    try:
        silence = time.time() - (folder / "heartbeat").stat().st_mtime
    except OSError:
        return "unknown"
    return "crashed" if silence > SILENCE_SECONDS else "running"


def process_of(record: dict[str, Any]) -> psutil.Process | None:
    """Return the process that `record` (a ``run.json``) names, or None if it does not exist any more.

    A process with the same id and another start time is another process, and a zombie process has ended.
    """
    try:
        process = psutil.Process(int(record["pid"]))
        started = float(record["process_started"])
        if abs(process.create_time() - started) > _SAME_START or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except (psutil.Error, TypeError, ValueError, OverflowError):
        return None
    return process
