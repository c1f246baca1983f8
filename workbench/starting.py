"""Starting a run from the app: which program, and what it says when it ends at once."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from engine.errors import InputError

WATCH_SECONDS = 20.0
"""A run that cannot begin says so within this time."""

DONE = "shows it again"
"""How the last line of a run's log ends when all went well."""


def program() -> str:
    """Return the program that belongs to this Python, else the one on the path.

    Raises
    ------
    InputError
        If there is neither.
    """
    beside = Path(sys.executable).with_name("optical-workbench")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("optical-workbench")
    if found is None:
        raise InputError("optical-workbench is not installed beside this Python; install it with pip")
    return found


def last_words(pid: int, log: Path, wanted: Callable[[], bool]) -> str | None:
    """Watch a new process for a while; return the last line of its `log` if it failed, else None.

    It stops watching when `wanted` no longer holds.
    """
    import psutil

    deadline = time.monotonic() + WATCH_SECONDS
    while wanted() and time.monotonic() < deadline:
        if not psutil.pid_exists(pid):
            lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
            last = lines[-1] if lines else "it ended without a word"
            return None if last.endswith(DONE) else last
        time.sleep(0.5)
    return None
