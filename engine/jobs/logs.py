"""Read the log of a run, also while the run writes it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from engine.errors import InputError
from engine.jobs.state import state_of
from engine.paths import run_log
from engine.results.run_facts import LIVING
from engine.visible import visible

#: A run that was started and has no record yet is waited for this many seconds.
START_SECONDS = 60.0

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def read_log(folder: Path, *, follow: bool = False, every: float = 0.3) -> Iterator[str]:
    """Yield the lines of the log of the run in `folder`, as a terminal shows them.

    Parameters
    ----------
    folder : Path
        The run's folder.
    follow : bool
        Whether to wait for more lines until the run ends.
    every : float
        Seconds between two looks at the log.

    Raises
    ------
    InputError
        If there is no log, and none is waited for.
    """
    log = run_log(folder)
    if not log.is_file() and not (follow and state_of(folder) in LIVING):
        raise InputError("the run has no log.txt", path=folder)
    offset, rest = 0, b""
    while True:
        runs = follow and _runs(folder)  # first, so that what is written before its end is read
        if log.is_file():
            with log.open("rb") as stream:
                stream.seek(offset)
                rest += stream.read()
                offset = stream.tell()
        *lines, rest = rest.split(b"\n")
        yield from map(_plain, lines)
        if not runs:
            break
        time.sleep(every)
    if rest:
        yield _plain(rest)


def _plain(line: bytes) -> str:
    text = _ANSI.sub("", line.decode("utf-8", "replace")).rstrip("\r")
    return visible(text.rpartition("\r")[2], keep="\t")


def _runs(folder: Path) -> bool:
    """Return whether the run in `folder` runs or is about to start."""
    if (folder / "run.json").is_file():
        return state_of(folder) in LIVING
    try:
        return time.time() - run_log(folder).stat().st_mtime < START_SECONDS
    except OSError:
        return False
