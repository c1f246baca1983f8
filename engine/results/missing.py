"""What to say of a results database that does not exist."""

from __future__ import annotations

from pathlib import Path

from engine.errors import nearest
from engine.paths import runs_folder


def missing_results(results: Path) -> str:
    """Return a sentence if neither the database `results` nor run folders next to it exist, else ""."""
    if results.is_dir():
        return f"{results} is a folder; name the database in it, such as {results / 'results.duckdb'}"
    if results.exists() or runs_folder(results).is_dir():
        return ""
    if not results.parent.is_dir():
        return f"{results}: there is no folder {results.parent}"
    hint = _similar(results) or "; `optical-workbench demo` makes one"
    return f"{results}: there is no such results database and no folder runs next to it{hint}"


def new_database_note(results: Path) -> str:
    """Return a sentence if `results` is about to be made though a similar name exists next to it, else ""."""
    similar = "" if results.exists() or not runs_folder(results).is_dir() else _similar(results)
    return f"{results} did not exist and is made from the folder runs{similar}" if similar else ""


def _similar(results: Path) -> str:
    return nearest(results.name, sorted(path.name for path in results.parent.glob("*.duckdb")))
