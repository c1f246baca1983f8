"""Starts and resumes runs with the command that a user would type, and watches how they start."""

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
"""How long the start of a run is watched."""

_PREFIX = "optical-workbench: "
_NO_MESSAGE = "it ended without a message"


def start(command: Sequence[str]) -> str:
    """Run `command`, an ``optical-workbench run ... --detach``, and return the id of the run.

    Raises
    ------
    OpticalError
        If the command fails; the message is the one that it printed.
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
    messages, printed = done.stderr.strip().splitlines(), done.stdout.split()
    if done.returncode or not printed:
        raise OpticalError(messages[-1].removeprefix(_PREFIX) if messages else _NO_MESSAGE)
    return printed[-1]


def place_in_queue(folder: Path) -> int | None:
    """Return the place in the queue of the run in `folder`, counted from 1; None if it does not wait."""
    from engine.jobs.queue import places

    return places(folder.parent).get(folder.name)


def start_time(folder: Path) -> str | None:
    """Return when the run in `folder` was last started, or None if it was not."""
    from engine.results.run_folder import read_record

    try:
        return str(read_record(folder)["started"])
    except InputError:
        return None


def start_failure(folder: Path, before: str | None, wanted: Callable[[], bool]) -> str | None:
    """Watch the start of a run for `WATCH_SECONDS`; return why it ended, or None if it did not fail.

    Parameters
    ----------
    folder : Path
        The run folder.
    before : str or None
        When the run was started before, for a run that is resumed.
    wanted : callable
        Returns whether to continue to watch.
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
    return lines[-1].removeprefix(_PREFIX) if lines else _NO_MESSAGE
