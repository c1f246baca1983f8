"""The state of a run, from its folder and the lock that its process holds."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import psutil

from engine.errors import InputError
from engine.results import run_lock
from engine.results.run_facts import LIVING
from engine.results.run_folder import read_record

RunState = Literal["queued", "running", "finished", "failed", "stopped", "crashed", "unknown"]

SILENCE_SECONDS = 600.0
"""A run on another machine has crashed when its heartbeat is older than this."""

JOB_FILE = "job.json"
"""The file in the folder of a run that is a job of a cluster (`engine.jobs.cluster`)."""

_SAME_START = 2.0  # s; the clock by which start times are measured may be corrected during a run


def state_of(folder: Path, record: Mapping[str, Any] | None = None) -> RunState:
    """Return the state of the run in `folder`.

    A run that is recorded as queued or running has ``crashed`` if no process holds its lock, or, for a run on
    another machine, if its heartbeat is older than `SILENCE_SECONDS`. A run without a lock (an older version
    started it, or the file system has no locks) has crashed if its process does not exist any more. A queued
    run that is a job of a cluster needs no process. The state is ``unknown`` if the folder does not determine
    it.

    Parameters
    ----------
    folder : Path
        The run's folder.
    record : mapping, optional
        Its record, if the caller has just read it.
    """
    state: RunState
    try:
        if record is None:
            record = read_record(folder)
        state = record["state"]
        if state not in LIVING or (held := run_lock.is_held(folder)):
            return state
        record = read_record(folder)  # if it ended between the two looks, its record says so by now
        state = record["state"]
    except InputError:
        return "unknown"
    if state not in LIVING:
        return state
    if state == "queued" and (folder / JOB_FILE).is_file():
        return state  # it waits in the queue of a cluster, without a process
    if record["host"] == platform.node():
        if held is not None:
            return "crashed"
        if record["pid"] is None:
            return "unknown"
        return "crashed" if process_of(record) is None else state
    try:
        silence = time.time() - (folder / "heartbeat").stat().st_mtime
    except OSError:
        return "unknown"
    return "crashed" if silence > SILENCE_SECONDS else state


def process_of(record: Mapping[str, Any]) -> psutil.Process | None:
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
