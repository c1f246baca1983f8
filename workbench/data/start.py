"""Starting and resuming runs from the app: by the command that a user would type, and what becomes of it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import InputError, OpticalError
from engine.jobs.child import child_environment, python_command
from engine.paths import run_log
from workbench.data.log import read_log_end

WATCH_SECONDS = 20.0
"""A run that cannot begin says so within this time."""


def start(command: Sequence[str]) -> str:
    """Carry out `command`, an ``optical-workbench run ... --detach``, and return the run's id.

    Raises
    ------
    OpticalError
        If the command refuses, with its own sentence.
    """
    try:
        done = subprocess.run(
            python_command("engine.cli", *command[1:]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=child_environment(),
        )
    except OSError as error:
        raise OpticalError(f"{command[0]}: cannot be started: {error.strerror}") from error
    said, printed = done.stderr.strip().splitlines(), done.stdout.split()
    if done.returncode or not printed:
        raise OpticalError(
            said[-1].removeprefix("optical-workbench: ") if said else "it ended without a word"
        )
    return printed[-1]


def start_time(folder: Path) -> str | None:
    """Return when the run in `folder` was last started, or None if it was not."""
    from engine.results.run_folder import read_record

    try:
        return str(read_record(folder)["started"])
    except InputError:
        return None


def start_failure(folder: Path, before: str | None, wanted: Callable[[], bool]) -> str | None:
    """Watch a run that begins; return why it ended, or None if it is well after `WATCH_SECONDS`.

    `before` is when it was started the last time, if it was. It stops watching when `wanted` no longer holds.
    """
    from engine.jobs.state import state_of
    from engine.results.run_folder import read_record

    deadline = time.monotonic() + WATCH_SECONDS
    while wanted() and time.monotonic() < deadline:
        if start_time(folder) not in (None, before):
            state = state_of(folder)
            if state in ("failed", "crashed"):
                return str(read_record(folder)["failure"] or _last_line(folder))
            if state != "running":
                return None
        time.sleep(0.5)
    return _last_line(folder) if wanted() and start_time(folder) in (None, before) else None


def _last_line(folder: Path) -> str:
    lines = [line for line in read_log_end(run_log(folder)) if line.strip()]
    return lines[-1].removeprefix("optical-workbench: ") if lines else "it ended without a word"
