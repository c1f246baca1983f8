"""The runs that a study or a sweep executes, in the same folder as its own."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.config import RunHeader
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder, read_record
from engine.runs.execute import execute_in


def recorded_state(folder: Path) -> str | None:
    """Return the state in the record of the run in `folder`; None if there is no such run."""
    if not (folder / "run.json").is_file():
        return None
    return str(read_record(folder)["state"])


def execute_member(config: RunHeader, folder: Path, argv: Sequence[str], reporter: Reporter) -> None:
    """Execute `config` as the run in `folder`, from its saved state if it was interrupted.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    if recorded_state(folder) is None:
        run = RunFolder.create(folder.parent, config, argv, folder.name)
    else:
        run = RunFolder.open(folder)
        run.resume(argv)
    try:
        execute_in(config, run, reporter)
    finally:
        gc.collect()  # encoders are in reference cycles, and the next run loads its own


def seconds_of(record: Mapping[str, Any]) -> float:
    """Return the seconds that the finished run of `record` took, since it was last started."""
    started, ended = (datetime.fromisoformat(record[name]) for name in ("started", "ended"))
    return (ended - started).total_seconds()
