"""Which runs can go on, and taking one over."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from engine.config import RunHeader, parse_config
from engine.errors import InputError
from engine.flatten import flatten
from engine.jobs.state import state_of
from engine.results.run_folder import RunFolder


def resumable(folder: Path) -> RunFolder:
    """Open the run in `folder` if it was stopped, crashed or failed, and so can go on.

    Raises
    ------
    InputError
        If it is finished, is running, or its state cannot be told.
    """
    run, state = RunFolder.open(folder), state_of(folder)
    if state == "finished":
        raise InputError(f"run {run.id!r} is finished, there is nothing to resume; start a new run")
    if state == "running":
        raise InputError(f"run {run.id!r} is running already; `optical-workbench stop {run.id}` stops it")
    if state == "unknown":
        raise InputError("the run's state cannot be told from its run.json; start a new run", path=folder)
    return run


def check_unchanged(run: RunFolder, config: RunHeader, source: str) -> None:
    """Compare `config`, read from `source`, with what `run` was configured as.

    Raises
    ------
    InputError
        If a setting differs: what comes out would belong to neither configuration.
    """
    recorded = parse_config(run.record["config"] or {}, run.path / "run.json")
    before, now = (flatten(found.model_dump(mode="json")) for found in (recorded, config))
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            raise InputError(
                f"{name} is {now.get(name)!r} here and {before.get(name)!r} in run {run.id!r}, which resumes "
                "only as it was configured; undo the change, or start a new run",
                path=source,
            )


def reopen(folder: Path, argv: Sequence[str]) -> RunFolder:
    """Make the calling process, started as `argv`, the one that carries on the run in `folder`.

    Of two processes that try at once, one gets it.

    Raises
    ------
    InputError
        As `resumable`.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"cannot be opened: {error.strerror}", path=folder) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        run = resumable(folder)
        run.resume(argv)
    finally:
        os.close(descriptor)
    return run
