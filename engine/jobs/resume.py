"""Which runs can be resumed, and how this process takes one over."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from engine.config import RunHeader, parse_config
from engine.errors import InputError
from engine.flatten import flatten
from engine.jobs.state import state_of
from engine.results.run_facts import LIVING
from engine.results.run_folder import RunFolder


def resumable(folder: Path) -> RunFolder:
    """Open the run in `folder` if it can be resumed, because it was stopped, crashed or failed.

    Raises
    ------
    InputError
        If it is finished or running, or its state is unknown.
    """
    state = state_of(folder)  # before its record, which an ending process may still write
    run = RunFolder.open(folder)
    if state == "finished":
        raise InputError(f"run {run.id!r} is finished, so there is nothing to resume; start a new run")
    if state in LIVING:
        raise InputError(f"run {run.id!r} is {state} already; `optical-workbench stop {run.id}` stops it")
    if state == "unknown":
        raise InputError("run.json does not determine the state of the run; start a new run", path=folder)
    return run


def check_unchanged(run: RunFolder, config: RunHeader, source: str) -> None:
    """Check that `config`, read from `source`, is the configuration of `run`.

    Raises
    ------
    InputError
        If a setting differs, because the results would belong to neither configuration.
    """
    recorded = parse_config(run.record["config"] or {}, run.path / "run.json")
    before, now = (flatten(found.model_dump(mode="json")) for found in (recorded, config))
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            raise InputError(
                f"{name} is {now.get(name)!r} here and {before.get(name)!r} in run {run.id!r}, and a run is "
                "resumed with its own settings; undo the change, or start a new run",
                path=source,
            )


def reopen(folder: Path, argv: Sequence[str], *, queued: bool = False, submitted: bool = False) -> RunFolder:
    """Make the calling process, which was started with `argv`, the process of the run in `folder`.

    If two processes try this at the same time, one of them succeeds. A `queued` run waits for its turn
    (`engine.jobs.queue`). A `submitted` run is a job of a cluster, which starts it whatever state it was
    recorded in.

    Raises
    ------
    InputError
        If the run cannot be resumed (see `resumable`).
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"cannot be opened: {error.strerror}", path=folder) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        run = RunFolder.open(folder) if submitted else resumable(folder)
        run.resume(argv, queued=queued)
    finally:
        os.close(descriptor)
    return run
