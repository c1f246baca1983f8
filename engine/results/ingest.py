"""Read run folders into the results database. Nothing else writes to it.

The database is a function of the run folders: it has the content of every readable folder, and nothing else.
A database of an older schema is therefore migrated by rebuilding it, and refused if a run folder that it
needs is missing. All changes since the last time go into one draft, which then replaces the database. If
nothing changed, no draft is made. The draft may be older than the database (`engine.results.draft`), so its
own hashes decide what is written to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

from engine.counted import counted
from engine.errors import InputError, OpticalError
from engine.hashes import Hashes, hash_of
from engine.languages import LANGUAGES, table_version
from engine.results import database
from engine.results.draft import drafted, remove_draft
from engine.results.run_rows import Reading, Rows, read_run
from engine.results.tables import KEYS


@dataclass
class IngestReport:
    """The result of an ingest: run ids by what was done, and one sentence for each problem."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    rebuilt: bool = False
    seconds: float = 0.0


BATCH_BYTES = 1 << 24
"""Size of the rows that are written at a time: few transactions, and bounded memory."""

_Item = TypeVar("_Item")
Stored = dict[str, dict[str, str]]
"""The hashes of the files that a database was built from, by run and file."""


def ingest(results: Path, runs: Path, *, wait: float = database.WAIT_SECONDS) -> IngestReport:
    """Bring the database `results` up to date with the run folders in `runs`.

    A run folder that cannot be read is left out, with a sentence in the report; the other runs are not
    touched by it. Who reads the database meanwhile finds it as it was before or as it is after.

    Parameters
    ----------
    results, runs : path
        The database, and the folder of run folders.
    wait : float
        Seconds to wait for another writer, and again for readers in this process.

    Raises
    ------
    BusyError
        If another process writes to the database, or this process reads it, for all that time.
    InputError
        If `results` is not a results database or was built by a newer version, if `runs` is missing while the
        database has runs, or if an older database cannot be rebuilt because run folders are missing.
    OpticalError
        If the database cannot be written.
    """
    start = time.perf_counter()
    if results.is_symlink():  # replace the file, not the link to it
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
    hashes = Hashes(runs)
    changes = _changes(runs, stored or {}, hashes, report)
    first = next(changes, None)
    if first is not None or stored is None:
        with drafted(results, empty=stored is None, wait=wait) as draft:
            contained = stored or {}
            if stored is None:
                _define(draft.connection)
            if draft.behind:
                # The twin lacks more than the database does, so what is new is looked for again.
                changes.close()
                report = IngestReport()
                # A run that the twin does not have is there without files, so that its removal is reported.
                contained = {run: {} for run in contained} | _files_of(draft.connection)
                changes = _changes(runs, contained, hashes, report, _still_new(first, contained, stored))
                first = next(changes, None)
            for batch in _ahead(_batches(chain([first] if first else [], changes), _held)):
                draft.written += sum(map(_held, batch))
                _write(draft.connection, batch, contained, stored or {}, report)
    hashes.save()
    return report


def _still_new(reading: Reading | None, contained: Stored, stored: Stored | None) -> Reading | None:
    """Return `reading`, which was compared with `stored`, if comparing with `contained` gives the same."""
    if reading and reading.tables and contained.get(reading.run) == (stored or {}).get(reading.run):
        return reading
    return None


def _stored(results: Path, runs: Path, wait: float) -> Stored | None:
    """Return the hashes in the database, or None if it must be built again."""
    if not results.exists():
        return None
    connection = database.connect(results, alone=True, wait=wait)
    try:
        version, built_from = database.origin(connection, results)
        stored = _files_of(connection)
    finally:
        connection.close()
    if stored and not runs.is_dir():
        raise InputError(
            f"the folder of runs is missing, but {results} has {counted(len(stored), 'run')}; "
            "restore it, or delete the database to remove the runs",
            path=runs,
        )
    if version == database.SCHEMA_VERSION:
        # The tables are the same, but the views or the list of languages may differ.
        return stored if built_from == definitions()[1] else None
    gone = sorted(run for run in stored if not (runs / run / "run.json").is_file())
    if gone:
        raise InputError(
            f"an older Optical Workbench made it, and {len(gone)} of its runs ({gone[0]}, ...) are missing "
            f"from {runs}; restore them, or move the database away to start a new one",
            path=results,
        )
    return None


def _files_of(connection: duckdb.DuckDBPyConnection) -> Stored:
    stored: Stored = {}
    for run, file, digest in connection.execute("SELECT run, file, hash FROM ingested").fetchall():
        stored.setdefault(run, {})[file] = digest
    return stored


def _changes(
    runs: Path, stored: Stored, hashes: Hashes, report: IngestReport, known: Reading | None = None
) -> Generator[Reading]:
    """Yield the changes to what is stored, run by run; a run that must be removed has no tables.

    The run of `known` is not read again.
    """
    folders = _folders(runs)
    for folder in folders:
        try:
            if known is not None and known.run == folder.name:
                reading = known
            else:
                reading = read_run(folder, stored.get(folder.name, {}), hashes)
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


def _batches(items: Iterable[_Item], held: Callable[[_Item], int]) -> Iterator[list[_Item]]:
    """Yield lists of items of about `BATCH_BYTES` bytes each."""
    batch: list[_Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += held(item)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """Yield `items`, each of which is made by a thread while the one before it is used."""
    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = worker.submit(next, items, None)
            yield item


def _write(
    connection: duckdb.DuckDBPyConnection,
    batch: list[Reading],
    contained: Stored,
    stored: Stored,
    report: IngestReport,
) -> None:
    """Replace the changed tables of some runs; a run with impossible values is left out.

    `contained` is what is in the draft, `stored` what is in the database, which the report compares with.

    Because a draft has no readers, every insertion is its own transaction. One transaction for all tables of
    a large run would keep them in memory.
    """
    try:
        _replace(connection, batch, contained)
    except (duckdb.DataError, duckdb.IntegrityError, duckdb.ProgrammingError) as error:
        for reading in batch:
            if len(batch) == 1 or reading.run not in contained:
                _delete(connection, ("runs", *KEYS, "ingested"), [reading.run])
        if len(batch) > 1:
            for reading in batch:
                _write(connection, [reading], contained, stored, report)
            return
        report.problems.append(f"run {batch[0].run} was left out: {database.first_line(error)}")
        batch = [Reading(batch[0].run)]
    for reading in batch:
        if reading.hashes and reading.hashes == stored.get(reading.run):
            report.unchanged.append(reading.run)
        elif reading.tables:
            (report.updated if reading.run in stored else report.added).append(reading.run)
        elif reading.run in stored:
            report.removed.append(reading.run)


def _replace(connection: duckdb.DuckDBPyConnection, batch: list[Reading], contained: Stored) -> None:
    for table in ("runs", *KEYS, "ingested"):
        old = [
            reading.run
            for reading in batch
            if reading.run in contained
            and (table == "ingested" or table in reading.tables or not reading.tables)
        ]
        if old:
            _delete(connection, [table], old)
    for table in ("runs", *KEYS):
        tables = chain.from_iterable(reading.tables.get(table, ()) for reading in batch)
        for new in _batches(tables, lambda rows: int(rows.nbytes)):
            connection.register("new_rows", pa.concat_tables(new))
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM new_rows")  # nosec B608
            connection.unregister("new_rows")
    files = [(reading.run, *file) for reading in batch if reading.tables for file in reading.hashes.items()]
    if files:
        run, file, digest = map(list, zip(*files, strict=True))
        connection.execute(
            "INSERT INTO ingested SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[])",
            [run, file, digest],
        )


def _delete(connection: duckdb.DuckDBPyConnection, tables: Iterable[str], runs: list[str]) -> None:
    for table in tables:
        owner = "id" if table == "runs" else "run"
        statement = f"DELETE FROM {table} WHERE {owner} IN (SELECT unnest(?::VARCHAR[]))"  # nosec B608
        connection.execute(statement, [runs])


def _held(reading: Reading) -> int:
    """Return the size in memory of the rows that were read."""
    return sum(
        rows.nbytes if isinstance(rows, Rows) else sum(table.nbytes for table in rows)
        for rows in reading.tables.values()
    )


def definitions() -> tuple[str, str]:
    """Return the SQL for an empty database, and a hash of everything in a database except the runs."""
    folder = resources.files("engine.results")
    sql = "".join(folder.joinpath(name).read_text("utf-8") for name in ("schema.sql", "views.sql"))
    return sql, hash_of((sql + table_version()).encode())


def _define(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the empty tables, the views, and the table of languages."""
    sql, built_from = definitions()
    connection.execute(sql)
    connection.execute("INSERT INTO meta VALUES (?, ?)", [database.SCHEMA_VERSION, built_from])
    columns = [row[0] for row in connection.execute("DESCRIBE languages").fetchall()]
    rows = [{column: getattr(language, column) for column in columns} for language in LANGUAGES]
    connection.register("all_languages", pa.Table.from_pylist(rows))
    connection.execute("INSERT INTO languages BY NAME SELECT * FROM all_languages")
    connection.unregister("all_languages")
