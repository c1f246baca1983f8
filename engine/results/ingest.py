"""Read run folders into the results database. Nothing else writes to it.

The database has the content of every readable run folder. It also keeps the rows of runs whose folder is
missing, because a disk that is not mounted must lose nothing. They are removed when the run is deleted
(`engine.jobs.edit`) or forgotten. A database of an older schema is migrated by rebuilding it. All changes
since the last time go into one draft, which then replaces the database. If nothing changed, no draft is made.
The draft may be older than the database (`engine.results.draft`), so its own hashes decide what is written to
it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import resources
from itertools import chain, groupby
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

from engine.errors import InputError, OpticalError
from engine.hashes import Hashes, hash_of
from engine.languages import LANGUAGES, table_version
from engine.results import database
from engine.results.draft import drafted, remove_draft
from engine.results.run_folder import deleted_folders, run_folders
from engine.results.run_rows import Known, Reading, read_run, table_of
from engine.results.tables import KEYS


@dataclass
class IngestReport:
    """The result of an ingest: run ids by what was done, and one sentence for each problem.

    Attributes
    ----------
    missing : list of str
        The runs whose rows are kept although their folder is missing.
    """

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    rebuilt: bool = False
    seconds: float = 0.0


BATCH_BYTES = 1 << 24
"""Size of the rows that are written at a time: few transactions, and bounded memory."""

KEPT_SINCE = 4
"""The oldest schema from which the rows of runs whose folder is missing are taken over."""

_Item = TypeVar("_Item")
Stored = dict[str, dict[str, Known]]
"""The files that a database was built from, by run and file."""


@dataclass
class _Before:
    """The database as ingest finds it.

    Attributes
    ----------
    files : dict
        The files that it was built from.
    current : bool
        Whether it has the tables of this version; otherwise it does not exist or must be built again.
    """

    files: Stored = field(default_factory=dict)
    current: bool = False


def ingest(
    results: Path, runs: Path, *, wait: float = database.WAIT_SECONDS, forget: Collection[str] = ()
) -> IngestReport:
    """Bring the database `results` up to date with the run folders in `runs`.

    A run folder that cannot be read is left out, with a sentence in the report; the other runs are not
    touched by it. So is a damaged table of a run; its other tables are not touched. Who reads the database
    meanwhile finds it as it was before or as it is after. If nothing changed, nothing is written, and neither
    another writer nor a folder that cannot be written is an error.

    Parameters
    ----------
    results, runs : path
        The database, and the folder of run folders.
    wait : float
        Seconds to wait for another writer, and again for readers in this process.
    forget : collection of str
        Ids of runs whose rows are removed although they would be kept, because their folder is missing.

    Raises
    ------
    BusyError
        If another process writes to the database, or this process reads it, for all that time.
    InputError
        If `results` is not a results database or was built by a newer version, or if a database of a very old
        version cannot be rebuilt because run folders are missing.
    OpticalError
        If the database cannot be written.
    """
    start = time.perf_counter()
    if results.is_symlink():  # replace the file, not the link to it
        results = results.resolve()
    with ExitStack() as held:
        try:
            held.enter_context(database.exclusive(results, 0))
        except OpticalError:
            if (unchanged := _nothing_new(results, runs, wait, forget)) is not None:
                return unchanged
            held.enter_context(database.exclusive(results, wait))
        try:
            remove_draft(results)
            report = _Ingest(results, runs, wait, forget).run()
        except (duckdb.Error, OSError) as error:
            reason = database.first_line(error)
            raise OpticalError(f"{results}: cannot be written: {reason}") from error
    report.seconds = time.perf_counter() - start
    return report


def _nothing_new(results: Path, runs: Path, wait: float, forget: Collection[str]) -> IngestReport | None:
    """Return the report if nothing changed, else None. Nothing is locked."""
    before = _before(results, runs, wait)
    looking = _Ingest(results, runs, wait, forget)
    if not before.current or next(looking.changes(before.files, before.files), None) is not None:
        return None
    looking.hashes.save()
    return looking.report


class _Ingest:
    """One ingest: what it is about, and what it reports."""

    def __init__(self, results: Path, runs: Path, wait: float, forget: Collection[str]) -> None:
        self.results, self.runs, self.wait, self.forget = results, runs, wait, forget
        self.hashes = Hashes(runs)
        self.report = IngestReport()
        self.deleted: dict[str, Path] = {}

    def run(self) -> IngestReport:
        """Bring the database up to date. The caller holds its lock."""
        before = _before(self.results, self.runs, self.wait)
        stored = before.files
        told = stored if before.current else {}  # what the report compares with
        self.report.rebuilt = not before.current
        changes = self.changes(told, stored)
        first = next(changes, None)
        if first is not None or not before.current:
            with drafted(self.results, empty=not before.current, wait=self.wait) as draft:
                contained = told
                if not before.current:
                    _define(draft.connection)
                if draft.behind:
                    # The twin lacks more than the database does, so what is new is looked for again.
                    changes.close()
                    self.report = IngestReport()
                    # A run that the twin does not have has no files here, so that its removal is reported.
                    contained = {run: {} for run in stored} | _files_of(draft.connection)
                    changes = self.changes(contained, stored, _still_new(first, contained, stored))
                    first = next(changes, None)
                for batch in _ahead(_batches(chain([first] if first else [], changes), _held)):
                    draft.written += sum(map(_held, batch))
                    _write(draft.connection, batch, contained, told, self.report)
        self.hashes.save()
        for deleted in self.deleted.values():  # its rows are gone
            shutil.rmtree(deleted, ignore_errors=True)
        return self.report

    def changes(self, contained: Stored, stored: Stored, known: Reading | None = None) -> Generator[Reading]:
        """Yield the changes to what is contained in the draft; a run that must be removed has no tables.

        Parameters
        ----------
        contained, stored : dict
            What the draft and the database have.
        known : Reading, optional
            A run that is not read again.
        """
        # Before the folders: the rows of a run that is deleted from now on are removed the next time.
        self.deleted = deleted_folders(self.runs)
        folders = run_folders(self.runs)
        for folder in folders:
            try:
                if known is not None and known.run == folder.name:
                    reading = known
                else:
                    reading = read_run(folder, contained.get(folder.name, {}), self.hashes)
            except OpticalError as error:
                self.report.problems.append(f"run {folder.name} was left out: {error}")
                if folder.name in contained:
                    yield Reading(folder.name)
                continue
            self.report.problems += reading.problems
            if reading.tables:
                yield reading
            else:
                self.report.unchanged.append(reading.run)
        gone = {*self.forget, *self.deleted}
        for run in sorted({*contained, *stored} - {folder.name for folder in folders}):
            if run in gone or run not in stored:
                if run in contained:
                    yield Reading(run)
                continue
            self.report.missing.append(run)
            if contained.get(run) != stored[run]:
                yield Reading(run, stored[run], _kept_rows(self.results, run))


def _still_new(reading: Reading | None, contained: Stored, stored: Stored) -> Reading | None:
    """Return `reading`, which was compared with `stored`, if comparing with `contained` gives the same."""
    if reading and reading.tables and contained.get(reading.run) == stored.get(reading.run):
        return reading
    return None


def _before(results: Path, runs: Path, wait: float) -> _Before:
    """Return the database as it is now."""
    if not results.exists():
        return _Before()
    connection = database.connect(results, alone=True, wait=wait)
    try:
        version, built_from = database.origin(connection, results)
        stored = _files_of(connection)
    finally:
        connection.close()
    if version == database.SCHEMA_VERSION:
        # The tables are the same, but the views or the list of languages may differ.
        return _Before(stored, current=built_from == definitions()[1])
    gone = sorted(run for run in stored if not (runs / run / "run.json").is_file())
    if gone and version < KEPT_SINCE:
        raise InputError(
            f"an older Optical Workbench made it, and {len(gone)} of its runs ({gone[0]}, ...) are missing "
            f"from {runs}; restore them, or move the database away to start a new one",
            path=results,
        )
    return _Before(stored)


def _files_of(connection: duckdb.DuckDBPyConnection) -> Stored:
    stored: Stored = {}
    described = connection.execute("DESCRIBE ingested").fetchall()
    problem = "problem" if any(column[0] == "problem" for column in described) else "NULL"
    statement = f"SELECT run, file, hash, {problem} FROM ingested"  # nosec B608
    rows = connection.execute(statement).fetchall()
    for run, file, *known in rows:
        stored.setdefault(run, {})[file] = Known(*known)
    return stored


@dataclass(frozen=True)
class _KeptRows:
    """The rows of a table of a run whose folder is missing, from the database. They are read when needed."""

    results: Path
    table: str
    run: str

    def __iter__(self) -> Iterator[pa.Table]:
        connection = database.connect(self.results, alone=True)
        try:
            known = "SELECT 1 FROM information_schema.tables WHERE table_name = ?"
            if not connection.execute(known, [self.table]).fetchall():  # an older schema
                return
            owner = "id" if self.table == "runs" else "run"
            statement = f"SELECT * FROM {self.table} WHERE {owner} = ?"  # nosec B608
            rows = connection.sql(statement, params=[self.run])
            for batch in rows.to_arrow_reader(LARGE_BATCH):
                yield pa.Table.from_batches([batch])
        finally:
            connection.close()


LARGE_BATCH = 1 << 17
"""The rows that are taken over at a time."""


def _kept_rows(results: Path, run: str) -> dict[str, Iterable[pa.Table]]:
    return {table: _KeptRows(results, table, run) for table in ("runs", *KEYS)}


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
    """Replace the changed tables of some runs; a table with impossible values is left out.

    `contained` is what is in the draft, `stored` what is in the database, which the report compares with.

    Because a draft has no readers, every insertion is its own transaction. One transaction for all tables of
    a large run would keep them in memory.
    """
    try:
        _replace(connection, batch, contained)
    except (*_IMPOSSIBLE, InputError):
        for reading in batch:
            # Nothing of it is known to be in the draft any more but what is written now.
            _delete(connection, reading.tables if reading.tables else _ALL, [reading.run])
            _delete(connection, ["ingested"], [reading.run])
            _replace_singly(connection, reading, report)
    for reading in batch:
        if reading.run in report.missing:
            continue
        if reading.files and reading.files == stored.get(reading.run):
            report.unchanged.append(reading.run)
        elif reading.tables:
            (report.updated if reading.run in stored else report.added).append(reading.run)
        elif reading.run in stored:
            report.removed.append(reading.run)


_ALL = ("runs", *KEYS, "ingested")
#: What DuckDB raises for a value that its column cannot have, such as JSON that is none.
_IMPOSSIBLE = (duckdb.DataError, duckdb.IntegrityError, duckdb.ProgrammingError)


def _replace_singly(connection: duckdb.DuckDBPyConnection, reading: Reading, report: IngestReport) -> None:
    """Write the tables of a run one by one, and leave out those with impossible values."""
    for table in [name for name in _ALL if name in reading.tables]:
        try:
            _insert(connection, table, reading.tables[table])
        except (*_IMPOSSIBLE, InputError) as error:
            reason = str(error) if isinstance(error, InputError) else database.first_line(error)
            _delete(connection, [table], [reading.run])
            if table == "runs":
                report.problems.append(f"run {reading.run} was left out: {reason}")
                _delete(connection, _ALL, [reading.run])
                reading.tables, reading.files = {}, {}
                return
            file = next(name for name in reading.files if table_of(name) == table)
            reading.leave_out(table, file, reason)
            report.problems.append(str(reading.files[file].problem))
    _insert_files(connection, [reading])


def _replace(connection: duckdb.DuckDBPyConnection, batch: list[Reading], contained: Stored) -> None:
    for table in _ALL:
        old = [
            reading.run
            for reading in batch
            if reading.run in contained
            and (table == "ingested" or table in reading.tables or not reading.tables)
        ]
        if old:
            _delete(connection, [table], old)
    for table in ("runs", *KEYS):
        _insert(connection, table, chain.from_iterable(reading.tables.get(table, ()) for reading in batch))
    _insert_files(connection, batch)


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[pa.Table]) -> None:
    for batch in _batches(rows, lambda part: int(part.nbytes)):
        # Rows that are taken over have other types.
        for _, alike in groupby(batch, lambda part: part.schema):
            connection.register("new_rows", pa.concat_tables(alike))
            try:
                connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM new_rows")  # nosec B608
            finally:
                connection.unregister("new_rows")


def _insert_files(connection: duckdb.DuckDBPyConnection, batch: list[Reading]) -> None:
    files = [
        (reading.run, file, *known)
        for reading in batch
        if reading.tables
        for file, known in reading.files.items()
    ]
    if files:
        columns = list(map(list, zip(*files, strict=True)))
        values = ", ".join(["unnest(?::VARCHAR[])"] * len(columns))
        connection.execute(f"INSERT INTO ingested SELECT {values}", columns)  # nosec B608


def _delete(connection: duckdb.DuckDBPyConnection, tables: Iterable[str], runs: list[str]) -> None:
    for table in tables:
        owner = "id" if table == "runs" else "run"
        statement = f"DELETE FROM {table} WHERE {owner} IN (SELECT unnest(?::VARCHAR[]))"  # nosec B608
        connection.execute(statement, [runs])


def _held(reading: Reading) -> int:
    """Return the size in memory of the rows that were read."""
    return sum(
        sum(table.nbytes for table in rows) if isinstance(rows, list) else int(getattr(rows, "nbytes", 0))
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
