"""Run folders into the database: its only writer.

The database is a function of the run folders: what is in a readable folder is in it, what is gone from disk
or cannot be read is not. So a database of an older schema is migrated by rebuilding it, and refused when a
run folder that would be needed is gone. Files are read and parsed before the database is opened for writing,
which holds it for milliseconds, one run after another.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import duckdb
import pyarrow as pa

from engine.errors import InputError, OpticalError
from engine.languages import LANGUAGES
from engine.results import database
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

    A missing database is built whole and then put in place. A run folder that cannot be read is left out,
    with a sentence in the report; the other runs are not touched by it.

    Parameters
    ----------
    results, runs : path
        The database, and the folder of run folders.
    wait : float
        Seconds to wait for another writer, and again for readers, before giving up.

    Raises
    ------
    BusyError
        If another process holds the database all that time.
    InputError
        If `results` is not ours or is newer than this program, if `runs` is missing while the database has
        runs, or if an older database cannot be rebuilt because run folders are gone.
    OpticalError
        If the database cannot be written.
    """
    start = time.perf_counter()
    with database.exclusive(results, wait):
        stored = _stored(results, runs, wait)
        try:
            report = _build(results, runs) if stored is None else _update(results, runs, stored, wait)
        except (duckdb.Error, OSError) as error:
            reason = database.first_line(error)
            raise OpticalError(f"{results}: cannot be written: {reason}") from error
    report.seconds = time.perf_counter() - start
    return report


def _stored(results: Path, runs: Path, wait: float) -> Stored | None:
    """Return what the database holds, or None when it is to be built anew."""
    if not results.exists():
        return None
    connection = database.connect(results, read_only=True, wait=wait)
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


def _build(results: Path, runs: Path) -> IngestReport:
    """Make the whole database in a file beside its place and move it there, so nobody sees a part of it."""
    report = IngestReport(rebuilt=True)
    temporary = results.with_name(f".{results.name}.building")
    _remove(temporary)
    try:
        connection = duckdb.connect(temporary)
        try:
            sql, built_from = _definitions()
            connection.execute(sql)
            connection.execute("INSERT INTO meta VALUES (?, ?)", [database.SCHEMA_VERSION, built_from])
            _fill_languages(connection)
            for folder in _folders(runs):
                reading = _read(folder, {}, report)
                if reading and _apply(connection, reading, report):
                    report.added.append(reading.run)
            # Closing would do this too, but without a word if it fails.
            connection.execute("CHECKPOINT")
        finally:
            connection.close()
        # The log of a deleted database must not be replayed into this one.
        results.with_name(f"{results.name}.wal").unlink(missing_ok=True)
        temporary.replace(results)
    finally:
        with suppress(OSError):
            _remove(temporary)
    return report


def _update(results: Path, runs: Path, stored: Stored, wait: float) -> IngestReport:
    report = IngestReport()
    folders = _folders(runs)
    for folder in folders:
        known = stored.get(folder.name, {})
        reading = _read(folder, known, report)
        if reading and not reading.tables:
            report.unchanged.append(reading.run)
        elif reading and _write(results, reading, wait, report):
            (report.updated if known else report.added).append(reading.run)
        elif known:
            _drop(results, folder.name, wait, report)
    for run in sorted(set(stored) - {folder.name for folder in folders}):
        _drop(results, run, wait, report)
    return report


def _folders(runs: Path) -> list[Path]:
    if not runs.is_dir():
        return []
    return sorted(entry for entry in runs.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _read(folder: Path, known: dict[str, str], report: IngestReport) -> Reading | None:
    try:
        reading = read_run(folder, known)
    except OpticalError as error:
        report.problems.append(f"run {folder.name} was left out: {error}")
        return None
    report.problems += reading.problems
    return reading


def _write(results: Path, reading: Reading, wait: float, report: IngestReport) -> bool:
    connection = database.connect(results, read_only=False, wait=wait)
    try:
        return _apply(connection, reading, report)
    finally:
        connection.close()


def _apply(connection: duckdb.DuckDBPyConnection, reading: Reading, report: IngestReport) -> bool:
    """Replace the changed tables of one run in one transaction; a run with impossible values is left out."""
    for table, rows in reading.tables.items():
        connection.register(f"new_{table}", rows)
    connection.begin()
    try:
        for table in reading.tables:
            connection.execute(f"DELETE FROM {table} WHERE {_owner(table)} = ?", [reading.run])
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM new_{table}")
        connection.execute("DELETE FROM ingested WHERE run = ?", [reading.run])
        connection.execute(
            "INSERT INTO ingested SELECT ?, unnest(?::VARCHAR[]), unnest(?::VARCHAR[])",
            [reading.run, list(reading.hashes), list(reading.hashes.values())],
        )
        connection.commit()
    except (duckdb.DataError, duckdb.IntegrityError, duckdb.ProgrammingError) as error:
        connection.rollback()
        report.problems.append(f"run {reading.run} was left out: {database.first_line(error)}")
        return False
    return True


def _drop(results: Path, run: str, wait: float, report: IngestReport) -> None:
    connection = database.connect(results, read_only=False, wait=wait)
    try:
        _delete(connection, run)
    finally:
        connection.close()
    report.removed.append(run)


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


def _fill_languages(connection: duckdb.DuckDBPyConnection) -> None:
    columns = [row[0] for row in connection.execute("DESCRIBE languages").fetchall()]
    rows = [{column: getattr(language, column) for column in columns} for language in LANGUAGES]
    connection.register("all_languages", pa.Table.from_pylist(rows))
    connection.execute("INSERT INTO languages BY NAME SELECT * FROM all_languages")


def _remove(database_file: Path) -> None:
    for suffix in ("", ".wal"):
        database_file.with_name(database_file.name + suffix).unlink(missing_ok=True)
