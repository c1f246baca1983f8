"""Start a run as a process that outlives the terminal, and stop it."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from engine.errors import InputError, OpticalError
from engine.jobs.child import child_environment
from engine.jobs.cluster import cancel
from engine.jobs.logs import read_log
from engine.jobs.queue import TAKEN_OUT
from engine.jobs.state import RunState, state_of
from engine.results import run_lock
from engine.results.run_facts import LIVING
from engine.results.run_folder import RunFolder


def launch(argv: Sequence[str], log: Path, *, keep: Sequence[int] = ()) -> int:
    """Start a detached process and return its process id.

    The process has its own session, so it does not end when the terminal is closed. Its standard input is
    empty, and its output is appended to `log`.

    Parameters
    ----------
    argv : sequence of str
        The program and its arguments.
    log : Path
        The log file; its folder is made if it is missing.
    keep : sequence of int
        File descriptors of this process that the new one has, too.

    Raises
    ------
    InputError
        If the program does not exist.
    OpticalError
        If the log cannot be written or the process cannot be started.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=keep,
                env={**child_environment(), "PYTHONUNBUFFERED": "1"},
            )
    except FileNotFoundError as error:
        raise InputError(f"{argv[0]}: there is no such program") from error
    except OSError as error:
        raise OpticalError(f"{argv[0]}: cannot be started with log {log}: {error.strerror}") from error
    # A finished run would stay a zombie process until the app closes if nothing waited for it.
    threading.Thread(target=process.wait, daemon=True).start()
    return process.pid


def enqueue(argv: Sequence[str], log: Path) -> tuple[int, int]:
    """Start a detached process that waits for its turn (`engine.jobs.queue`), and wait until it is queued.

    Parameters
    ----------
    argv : sequence of str
        An ``optical-workbench run`` command; it is given the option ``--queued``.
    log : Path
        The log of the run, in its folder.

    Returns
    -------
    pid, place : int
        The process id, and the place in the queue; 0 if the run started at once.

    Raises
    ------
    InputError, OpticalError
        As `launch`, or if the process ended before it was queued.
    """
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as told:
        try:
            pid = launch([*argv, "--queued", str(writing)], log, keep=[writing])
        finally:
            os.close(writing)
        place = told.read()  # until the process closes its end, or ends
    if not place:
        reason = next(reversed(list(read_log(log.parent))), "it ended without a message")
        raise OpticalError(reason.removeprefix("optical-workbench: "))
    return pid, int(place)


def stop(folder: Path, kill_after: float = 60.0) -> RunState:
    """Ask the run in `folder` to stop, wait until it has stopped, and return its state.

    The run receives SIGTERM, saves a checkpoint and ends; a queued run leaves the queue. After `kill_after`
    seconds the run and the processes that it started are killed. The job of a run on a cluster is cancelled.
    A run that did not record its end is recorded as ``stopped``. Only a process that has the run's lock is
    signalled, so never another one that has its process id by now.

    Parameters
    ----------
    folder : Path
        The run's folder.
    kill_after : float
        The time in seconds after which the run is killed.

    Raises
    ------
    InputError
        If the run is neither running nor queued, if it runs on another machine, or if no process is known to
        be its own.
    OpticalError
        If its process belongs to another user.
    """
    run = RunFolder.open(folder)
    if run.record["state"] in LIVING and cancel(folder):
        _wait_for_end(folder, kill_after)
        run = RunFolder.open(folder)
        if run.record["state"] in LIVING:
            run.finish("stopped", "its job was cancelled")
        return state_of(folder)
    if run.record["state"] in LIVING and run.record["host"] != platform.node():
        raise InputError(f"the run runs on {run.record['host']!r}; stop it there", path=folder)
    state = state_of(folder, run.record)
    if state not in LIVING:
        raise InputError(f"the run is {state}; there is nothing to stop", path=folder)
    failure = "it was stopped before it could save" if state == "running" else TAKEN_OUT
    with _its_process(folder, run.record["pid"]) as process:
        children = _children(process.pid)
        process.signal(signal.SIGTERM)
        if not process.wait(kill_after):
            failure = f"it did not stop within {kill_after:g} s and was killed"
            children += _children(process.pid)
            process.signal(signal.SIGKILL)
            process.wait(5)
            _kill(children)
    run = RunFolder.open(folder)
    if run.record["state"] in LIVING:
        run.finish("stopped", failure)
    return state_of(folder)


def _wait_for_end(folder: Path, seconds: float) -> None:
    """Wait until a run on another machine is not running any more, at most for `seconds`."""
    deadline = time.monotonic() + seconds
    while state_of(folder) == "running" and time.monotonic() < deadline:
        time.sleep(0.5)


class _Process:
    """A process that is signalled by a descriptor, which names no other process when it has ended.

    Where the system has no such descriptors, psutil compares start times before it sends a signal.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._process = psutil.Process(pid)
        self._descriptor = os.pidfd_open(pid) if sys.platform == "linux" else -1

    def signal(self, number: signal.Signals) -> None:
        """Send the signal `number`, unless the process has ended."""
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if sys.platform == "linux":
                signal.pidfd_send_signal(self._descriptor, number)
            else:
                self._process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Wait until the process has ended, at most for `seconds`, and return whether it has."""
        try:
            self._process.wait(seconds)
        except psutil.TimeoutExpired:
            return False
        except psutil.NoSuchProcess:
            pass
        return True

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


@contextmanager
def _its_process(folder: Path, pid: Any) -> Iterator[_Process]:
    """Yield process `pid` if it is the process of the run in `folder`.

    Raises
    ------
    InputError
        If it does not have the run's lock.
    OpticalError
        If it belongs to another user.
    """
    process = None
    try:
        process = _Process(int(pid))
        if not run_lock.has_open(process.pid, folder):  # after the descriptor was opened
            raise InputError(
                f"process {pid} does not hold the lock of the run, so it may be another one, and nothing is "
                "stopped; find the process that runs it and end that",
                path=folder,
            )
        yield process
    except (TypeError, ValueError, OverflowError, ProcessLookupError, psutil.NoSuchProcess) as error:
        raise InputError(
            f"there is no process {pid!r}, which run.json names; find the process that runs it and end that",
            path=folder,
        ) from error
    except (PermissionError, psutil.AccessDenied) as error:
        raise OpticalError(f"{folder}: its process {pid} belongs to another user") from error
    finally:
        if process is not None:
            process.close()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=5)
