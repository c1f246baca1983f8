"""Run folders into the database: its only writer.

The database is a function of the run folders: what is in a readable folder is in it, what is gone from disk
or cannot be read is not. So a database of an older schema is migrated by rebuilding it, and refused when a
run folder that would be needed is gone. All that changed since the last time goes into one draft, which then
takes the database's place; when nothing changed, none is made.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from itertools import chain
from pathlib import Path

import duckdb
import pyarrow as pa

from engine.errors import InputError, OpticalError
from engine.languages import LANGUAGES
from engine.results import database
from engine.results.draft import drafted, remove_draft
from engine.results.reading import Reading, hash_of, read_run
from engine.results.tables import KEYS


@dataclass
class IngestReport:
    """What an ingest did: run ids by what became of them, and one sentence for each problem."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    rebuilt: bool = False
    seconds: float = 0.0


Stored = dict[str, dict[str, str]]
"""The hashes of what a database holds, by run and file."""


def ingest(results: Path, runs: Path, *, wait: float = database.WAIT_SECONDS) -> IngestReport:
    """Bring the database `results` up to date with the run folders in `runs`.

    A run folder that cannot be read is left out, with a sentence in the report; the other runs are not
    touched by it. Who reads the database meanwhile finds it as it was before or as it is after.

    Parameters
    ----------
    results, runs : path
        The database, and the folder of run folders.
    wait : float
        Seconds to wait for another writer, and again for readers in this process, before giving up.

    Raises
    ------
    BusyError
        If another process holds the database for writing, or this one reads it, all that time.
    InputError
        If `results` is not ours or is newer than this program, if `runs` is missing while the database has
        runs, or if an older database cannot be rebuilt because run folders are gone.
    OpticalError
        If the database cannot be written.
    """
    start = time.perf_counter()
    if results.is_symlink():  # the file itself is replaced, not the link to it
        results = results.resolve()
    with database.exclusive(results, wait):
        try:
            remove_draft(results)
            report = _bring_up_to_date(results, runs, wait)
        except (duckdb.Error, OSError) as error:
            reason = database.first_line(error)
            raise OpticalError(f"{results}: cannot be written: {reason}") from error
    report.seconds = time.perf_counter() - start
    return report


def _bring_up_to_date(results: Path, runs: Path, wait: float) -> IngestReport:
    stored = _stored(results, runs, wait)
    report = IngestReport(rebuilt=stored is None)
    changes = _changes(runs, stored or {}, report)
    first = next(changes, None)
    if first is None and stored is not None:
        return report
    with drafted(results, copy=stored is not None, wait=wait) as connection:
        if stored is None:
            _define(connection)
        for change in chain(() if first is None else (first,), changes):
            known = stored is not None and change.run in stored
            if change.tables and _apply(connection, change, report, known):
                (report.updated if known else report.added).append(change.run)
            elif known:
                _delete(connection, change.run)
                report.removed.append(change.run)
    return report


def _stored(results: Path, runs: Path, wait: float) -> Stored | None:
    """Return what the database holds, or None when it is to be built anew."""
    if not results.exists():
        return None
    connection = database.connect(results, alone=True, wait=wait)
    try:
        version, built_from = database.origin(connection, results)
        rows = connection.execute("SELECT run, file, hash FROM ingested").fetchall()
    finally:
        connection.close()
    stored: Stored = {}
    for run, file, digest in rows:
        stored.setdefault(run, {})[file] = digest
    if stored and not runs.is_dir():
        raise InputError(
            f"the folder of runs is missing, but {results} holds {len(stored)} runs; "
            "put it back, or delete the database if they are to go",
            path=runs,
        )
    if version == database.SCHEMA_VERSION:
        # Same tables, but maybe other views or another list of languages.
        return stored if built_from == _definitions()[1] else None
    gone = sorted(run for run in stored if not (runs / run / "run.json").is_file())
    if gone:
        raise InputError(
            f"an older Optical Workbench made it, and {len(gone)} of its runs ({gone[0]}, ...) are gone from "
            f"{runs}; put them back, or move the database away to start a new one",
            path=results,
        )
    return None


def _changes(runs: Path, stored: Stored, report: IngestReport) -> Iterator[Reading]:
    """Yield what differs from what is stored, run by run; a run that has to go has no tables."""
    folders = _folders(runs)
    for folder in folders:
        try:
            reading = read_run(folder, stored.get(folder.name, {}))
        except OpticalError as error:
            report.problems.append(f"run {folder.name} was left out: {error}")
            if folder.name in stored:
                yield Reading(folder.name)
            continue
        report.problems += reading.problems
        if reading.tables:
            yield reading
        else:
            report.unchanged.append(reading.run)
    yield from map(Reading, sorted(set(stored) - {folder.name for folder in folders}))


def _folders(runs: Path) -> list[Path]:
    if not runs.is_dir():
        return []
    return sorted(entry for entry in runs.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _apply(
    connection: duckdb.DuckDBPyConnection, reading: Reading, report: IngestReport, known: bool
) -> bool:
    """Replace the changed tables of one run in one transaction; a run with impossible values is left out."""
    for table, rows in reading.tables.items():
        connection.register(f"new_{table}", rows)
    connection.begin()
    try:
        for table in (*reading.tables, "ingested") if known else ():
            connection.execute(f"DELETE FROM {table} WHERE {_owner(table)} = ?", [reading.run])
        for table in reading.tables:
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM new_{table}")
        connection.execute(
            "INSERT INTO ingested SELECT ?, unnest(?::VARCHAR[]), unnest(?::VARCHAR[])",
            [reading.run, list(reading.hashes), list(reading.hashes.values())],
        )
        connection.commit()
    except (duckdb.DataError, duckdb.IntegrityError, duckdb.ProgrammingError) as error:
        connection.rollback()
        report.problems.append(f"run {reading.run} was left out: {database.first_line(error)}")
        return False
    finally:
        for table in reading.tables:
            connection.unregister(f"new_{table}")
    return True


def _delete(connection: duckdb.DuckDBPyConnection, run: str) -> None:
    connection.begin()
    for table in ("runs", *KEYS, "ingested"):
        connection.execute(f"DELETE FROM {table} WHERE {_owner(table)} = ?", [run])
    connection.commit()


def _owner(table: str) -> str:
    return "id" if table == "runs" else "run"


def _definitions() -> tuple[str, str]:
    """Return the SQL that makes an empty database, and a hash of all that a database is made of but runs."""
    folder = resources.files("engine.results")
    sql = "".join(folder.joinpath(name).read_text("utf-8") for name in ("schema.sql", "views.sql"))
    return sql, hash_of((sql + repr(LANGUAGES)).encode())


def _define(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the empty tables, the views, and the table of languages."""
    sql, built_from = _definitions()
    connection.execute(sql)
    connection.execute("INSERT INTO meta VALUES (?, ?)", [database.SCHEMA_VERSION, built_from])
    columns = [row[0] for row in connection.execute("DESCRIBE languages").fetchall()]
    rows = [{column: getattr(language, column) for column in columns} for language in LANGUAGES]
    connection.register("all_languages", pa.Table.from_pylist(rows))
    connection.execute("INSERT INTO languages BY NAME SELECT * FROM all_languages")
    connection.unregister("all_languages")
