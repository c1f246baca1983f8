"""Changes to a run that has ended: tags, note, name, its deletion, and forgetting it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import InputError, OpticalError
from engine.jobs.state import state_of
from engine.paths import runs_folder
from engine.results.ingest import ingest
from engine.results.run_facts import LIVING
from engine.results.run_folder import DELETED, RunFolder

#: The most characters of a run's name.
LONGEST_NAME = 80


def check_name(name: str) -> str | None:
    """Return why `name` cannot be a run's name, or None if it can."""
    fits = 1 <= len(name.strip()) <= LONGEST_NAME
    return None if fits else f"a name has 1 to {LONGEST_NAME} characters"


def update(folder: Path, **fields: Any) -> str:
    """Change `fields` of the record of the run in `folder`, and return a sentence about it.

    Parameters
    ----------
    folder : Path
        The run's folder.
    **fields : object
        ``tags`` (a list of words), ``note`` or ``name``; see `engine.results.run_folder.FIELDS`.

    Raises
    ------
    InputError
        If the run is running or queued, because its process writes the record itself; if the name is empty
        or too long.
    OpticalError
        If the record cannot be written.
    """
    if "name" in fields and (problem := check_name(fields["name"])):
        raise InputError(problem)
    if (state := state_of(folder)) in LIVING:
        raise InputError(
            f"the run is {state} and would overwrite the change; stop it or wait for its end", path=folder
        )
    RunFolder.open(folder).update(**fields)
    return f"{folder.name}: {', '.join(fields)} changed"


def delete(folder: Path, runs: Path) -> str:
    """Delete the run in `folder` with everything in it, and return a sentence about it.

    An empty hidden folder remains until the next ingest, which it tells to remove the run's rows.

    Parameters
    ----------
    folder : Path
        The run's folder, which must be in `runs`.
    runs : Path
        The folder of run folders.

    Raises
    ------
    InputError
        If `folder` is not a run folder in `runs`, or the run is running or queued.
    OpticalError
        If it cannot be deleted.
    """
    if folder.parent != runs or folder.is_symlink() or not (folder / "run.json").is_file():
        raise InputError(f"it is not a run folder in {runs}, so it is not deleted", path=folder)
    if (state := state_of(folder)) in LIVING:
        raise InputError(f"the run is {state}; stop it first", path=folder)
    # A hidden folder is no run: ingest ignores it at once, even if the deletion takes long.
    hidden = folder.with_name(f"{DELETED}{folder.name}")
    try:
        shutil.rmtree(hidden, ignore_errors=True)
        folder.rename(hidden)
        with suppress(FileNotFoundError):  # an ingest meanwhile has deleted it
            for entry in hidden.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
    except OSError as error:
        raise OpticalError(f"{error.filename or folder}: cannot be deleted: {error.strerror}") from error
    return f"{folder.name} is deleted"


def forget(results: Path, run: str) -> str:
    """Remove a run whose folder is missing from the database `results`, and return a sentence about it.

    Parameters
    ----------
    results : Path
        The database.
    run : str
        The run's id.

    Raises
    ------
    InputError
        If its folder exists, because the database would read it in again.
    BusyError, OpticalError
        As `engine.results.ingest.ingest`.
    """
    runs = runs_folder(results)
    if (runs / run).exists():
        raise InputError(
            f"the folder is not missing; `optical-workbench delete {run}` deletes it", path=runs / run
        )
    ingest(results, runs, forget=[run])
    return f"{run} is forgotten"
