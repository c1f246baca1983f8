"""Start a run as a process that outlives the terminal, and stop it."""

from __future__ import annotations

import platform
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import psutil

from engine.errors import InputError, OpticalError
from engine.jobs.child import child_environment
from engine.jobs.state import RunState, process_of, state_of
from engine.results.run_folder import RunFolder


def launch(argv: Sequence[str], log: Path) -> int:
    """Start a detached process and return its process id.

    The process has its own session, so it does not end when the terminal is closed. Its standard input is
    empty, and its output is appended to `log`.

    Parameters
    ----------
    argv : sequence of str
        The program and its arguments.
    log : Path
        The log file; its folder is made if it is missing.

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
                env={**child_environment(), "PYTHONUNBUFFERED": "1"},
            )
    except FileNotFoundError as error:
        raise InputError(f"{argv[0]}: there is no such program") from error
    except OSError as error:
        raise OpticalError(f"{argv[0]}: cannot be started with log {log}: {error.strerror}") from error
    # A finished run would stay a zombie process until the app closes if nothing waited for it.
    threading.Thread(target=process.wait, daemon=True).start()
    return process.pid


def stop(folder: Path, kill_after: float = 60.0) -> RunState:
    """Ask the run in `folder` to stop, wait until it has stopped, and return its state.

    The run receives SIGTERM, saves a checkpoint and ends. After `kill_after` seconds the run and the
    processes that it started are killed. A run that did not record its end is recorded as ``stopped``.
    Another process that has the same process id by now is never signalled.

    Parameters
    ----------
    folder : Path
        The run's folder.
    kill_after : float
        The time in seconds after which the run is killed.

    Raises
    ------
    InputError
        If the run is not running, or if it runs on another machine.
    OpticalError
        If its process belongs to another user.
    """
    run = RunFolder.open(folder)
    if run.record["state"] == "running" and run.record["host"] != platform.node():
        raise InputError(f"the run runs on {run.record['host']!r}; stop it there", path=folder)
    state = state_of(folder)
    process = process_of(run.record)
    if state != "running" or process is None:
        raise InputError(f"the run is {state}; there is nothing to stop", path=folder)
    failure = "it was stopped before it could save"
    try:
        children = process.children(recursive=True)
        process.terminate()
        process.wait(kill_after)
    except psutil.TimeoutExpired:
        failure = f"it did not stop within {kill_after:g} s and was killed"
        _kill([*process.children(recursive=True), *children, process])
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied as error:
        raise OpticalError(f"{folder}: its process {process.pid} belongs to another user") from error
    run = RunFolder.open(folder)
    if run.record["state"] == "running":
        run.finish("stopped", failure)
    return state_of(folder)


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=5)
