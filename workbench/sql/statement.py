"""One SQL statement that runs in a thread, can be cancelled, and whose rows can be written to a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.atomic import replacing
from engine.errors import InputError, OpticalError
from workbench.sql.completion import Names
from workbench.sql.csv_file import InertCsvWriter

if TYPE_CHECKING:
    import duckdb

MAX_ROWS = 1_000_000
"""Number of rows that `Statement.fetch` returns at most. `Statement.export` writes all rows."""

_CHUNK = 20_000


@dataclass
class StatementResult:
    """The rows of a statement with their columns and DuckDB types; `cut` says whether there are more rows."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    cut: bool = False


class Statement:
    """A SQL statement. `fetch` and `export` run in a thread; `cancel` is called from another one."""

    def __init__(self, results: Path, sql: str) -> None:
        self.results, self.sql = results, sql
        self.cancelled = threading.Event()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def cancel(self) -> None:
        """Stop the statement; `fetch` or `export` then raises."""
        self.cancelled.set()
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    @contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        from engine.results.queries import open_statement

        try:
            with open_statement(self.results, self.sql) as (connection, _):
                self._connection = connection
                self._raise_if_cancelled()
                yield connection
        except OpticalError:
            self._raise_if_cancelled()
            raise
        except MemoryError:
            raise OpticalError("the result does not fit into memory; add LIMIT") from None
        finally:
            self._connection = None

    def fetch(self) -> StatementResult:
        """Run the statement and return at most `MAX_ROWS` rows.

        Raises
        ------
        OpticalError
            If the statement is refused or cancelled, or the database is missing or busy.
        """
        with self._opened() as connection:
            connection.execute(self.sql)
            described = connection.description or []
            columns, types = ([str(column[part]) for column in described] for part in (0, 1))
            result = StatementResult(columns, types)
            if any("TIME ZONE" in kind for kind in types):
                # DuckDB's own conversion of these types needs another package; Arrow's does not.
                cursor = self._connection = connection.cursor()
                self._raise_if_cancelled()
                table = cursor.sql(self.sql).limit(MAX_ROWS + 1).to_arrow_table()
                result.rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
            else:
                while len(result.rows) <= MAX_ROWS and (rows := connection.fetchmany(_CHUNK)):
                    self._raise_if_cancelled()
                    result.rows += rows
            result.cut = len(result.rows) > MAX_ROWS
            del result.rows[MAX_ROWS:]
            return result

    def export(self, path: Path) -> int:
        """Run the statement again, write all rows to `path`, and return their number.

        Parameters
        ----------
        path : Path
            A ``.csv`` or ``.parquet`` file. It is created when all rows are written. CSV is written by
            `InertCsvWriter`.

        Raises
        ------
        OpticalError
            As `fetch`, or if the file cannot be written.
        """
        import pyarrow as pa
        from pyarrow import parquet

        count = 0
        try:
            with replacing(path) as temporary, self._opened() as connection:
                # The check of the schema's version has left a result on the connection, so use a cursor.
                cursor = self._connection = connection.cursor()
                self._raise_if_cancelled()
                reader = cursor.sql(self.sql).to_arrow_reader(_CHUNK)
                make = parquet.ParquetWriter if path.suffix == ".parquet" else InertCsvWriter
                with make(str(temporary), reader.schema) as writer:
                    for batch in reader:
                        self._raise_if_cancelled()
                        writer.write_batch(batch)
                        count += batch.num_rows
        except pa.ArrowException as error:
            hint = " (only Parquet can hold lists and structures)" if path.suffix == ".csv" else ""
            raise OpticalError(f"{path}: {str(error).splitlines()[0]}{hint}") from error
        except OSError as error:
            # Arrow raises an OSError when DuckDB fails or is interrupted while rows are read.
            self._raise_if_cancelled()
            reason = error.strerror or str(error).splitlines()[0]
            raise InputError(f"cannot be written: {reason}", path=path) from error
        return count

    def _raise_if_cancelled(self) -> None:
        if self.cancelled.is_set():
            raise OpticalError("cancelled")


def read_names(results: Path) -> Names:
    """Return the tables and views with their columns, and DuckDB's keywords and functions."""
    from engine.results.queries import ask

    rows = ask(
        results,
        """SELECT table_name, column_name, data_type FROM information_schema.columns
        WHERE table_schema = 'main' ORDER BY table_name, ordinal_position""",
    ).rows
    tables: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in rows:
        tables.setdefault(table, []).append((column, kind))
    keywords = ask(
        results, "SELECT keyword_name, keyword_category FROM duckdb_keywords() ORDER BY keyword_name"
    ).rows
    functions = ask(
        results,
        """SELECT DISTINCT function_name FROM duckdb_functions()
        WHERE regexp_full_match(function_name, '[a-z][a-z0-9_]*') ORDER BY function_name""",
    ).rows
    return Names(
        tables,
        tuple(word for word, _ in keywords),
        tuple(name for (name,) in functions),
        frozenset(word for word, category in keywords if category == "reserved"),
    )
