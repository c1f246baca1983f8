"""Bring the database up to date before it is read, as far as that is possible."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InputError, OpticalError
from engine.paths import runs_folder
from engine.results.ingest import ingest


def refresh(results: Path) -> list[str]:
    """Bring the database `results` up to date with the folder of runs next to it, if there is one.

    If it cannot be written, because another process holds it, the folder is read-only or the disk is full, it
    is read as it is.

    Returns
    -------
    list of str
        A sentence for each problem.

    Raises
    ------
    InputError, OpticalError
        As `engine.results.ingest.ingest`, if there is no database that could be read instead.
    """
    runs = runs_folder(results)
    if not runs.is_dir():
        return []
    try:
        return ingest(results, runs).problems
    except InputError:
        raise
    except OpticalError as error:
        if not results.is_file():
            raise
        return [f"{error}; what is read is the database as it was, without the latest changes of runs"]


def read_in(results: Path, run: Path) -> list[str]:
    """Bring the database `results` up to date after the run in the folder `run` has finished.

    The run has its scores, whatever happens here.

    Returns
    -------
    list of str
        A sentence for each problem.
    """
    try:
        return ingest(results, runs_folder(results)).problems
    except Exception as error:  # the run has succeeded, and an error in another place must not hide that
        reason = error if isinstance(error, OpticalError) else f"{type(error).__name__}: {error}"
        return [
            f"{reason}; the run has finished, its scores are in {run}, and the next command that can "
            f"write to {results.name} reads them"
        ]
