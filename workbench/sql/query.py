"""One question at a time to the database, which can be cancelled, and its answer written to a file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InputError, OpticalError

if TYPE_CHECKING:
    import duckdb

MOST_ROWS = 1_000_000
"""Rows of an answer that are kept; an export has all."""

_CHUNK = 20_000


@dataclass
class Answer:
    """The rows of an answer, their columns and types; `cut` tells whether there are more."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    cut: bool = False


class Question:
    """A question under way. `fetch` and `export` run in a thread, `cancel` comes from another."""

    def __init__(self, results: Path, sql: str) -> None:
        self.results, self.sql = results, sql
        self.cancelled = threading.Event()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def cancel(self) -> None:
        """Stop the question; `fetch` or `export` then raises."""
        self.cancelled.set()
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    @contextmanager
    def _asked(self) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        from engine.results import database

        connection = database.connect(self.results)
        self._connection = connection
        try:
            database.origin(connection, self.results)
            statements = connection.extract_statements(self.sql)
            if len(statements) != 1:
                raise InputError(f"one question at a time, please; this holds {len(statements)} statements")
            self._stop_if_cancelled()
            yield connection
        except duckdb.Error as error:
            self._stop_if_cancelled()
            raise OpticalError(_reason(error)) from error
        except MemoryError:
            raise OpticalError("the answer does not fit into memory; add LIMIT") from None
        finally:
            self._connection = None
            connection.close()

    def fetch(self) -> Answer:
        """Ask, and return at most `MOST_ROWS` rows.

        Raises
        ------
        OpticalError
            If the question is refused or cancelled, or the database is not there or busy.
        """
        with self._asked() as connection:
            connection.execute(self.sql)
            described = connection.description or []
            answer = Answer([column[0] for column in described], [str(column[1]) for column in described])
            if any("TIME ZONE" in kind for kind in answer.types):
                # DuckDB's own conversion of these needs another package; Arrow's does not.
                cursor = self._connection = connection.cursor()
                self._stop_if_cancelled()
                table = cursor.sql(self.sql).limit(MOST_ROWS + 1).to_arrow_table()
                answer.rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
            else:
                while len(answer.rows) <= MOST_ROWS and (rows := connection.fetchmany(_CHUNK)):
                    self._stop_if_cancelled()
                    answer.rows += rows
            answer.cut = len(answer.rows) > MOST_ROWS
            del answer.rows[MOST_ROWS:]
            return answer

    def export(self, path: Path) -> int:
        """Ask again and write all rows to `path`, a ``.csv`` or ``.parquet`` file; return their number.

        Raises
        ------
        OpticalError
            As `fetch`, or if the file cannot be written.
        """
        import pyarrow as pa
        from pyarrow import csv, parquet

        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        count = 0
        try:
            with self._asked() as connection:
                # A cursor, since the check of the schema's version has left a result on the connection.
                cursor = self._connection = connection.cursor()
                self._stop_if_cancelled()
                reader = cursor.sql(self.sql).to_arrow_reader(_CHUNK)
                make = parquet.ParquetWriter if path.suffix == ".parquet" else csv.CSVWriter
                with make(str(temporary), reader.schema) as writer:
                    for batch in reader:
                        self._stop_if_cancelled()
                        writer.write_batch(batch)
                        count += batch.num_rows
            temporary.replace(path)
        except pa.ArrowException as error:
            hint = " (lists and structures fit into Parquet only)" if path.suffix == ".csv" else ""
            raise OpticalError(f"{path}: {str(error).splitlines()[0]}{hint}") from error
        except OSError as error:
            # What goes wrong inside the question reaches us through Arrow as one of these.
            self._stop_if_cancelled()
            reason = error.strerror or str(error).splitlines()[0]
            raise InputError(f"cannot be written: {reason}", path=path) from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        return count

    def _stop_if_cancelled(self) -> None:
        if self.cancelled.is_set():
            raise OpticalError("cancelled")


def _reason(error: Exception) -> str:
    """Return DuckDB's message with its guesses and the number of the line, without the line itself."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    place = next((place for place, line in enumerate(lines) if line.startswith("LINE ")), len(lines))
    where = f" (line {lines[place].removeprefix('LINE ').partition(':')[0]})" if place < len(lines) else ""
    return " ".join(lines[:place]) + where


def schema(results: Path) -> dict[str, list[tuple[str, str]]]:
    """Return the columns and their types of every table and view."""
    from engine.results.queries import ask

    answer = ask(
        results,
        """SELECT table_name, column_name, data_type FROM information_schema.columns
        WHERE table_schema = 'main' ORDER BY table_name, ordinal_position""",
    )
    tables: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in answer.rows:
        tables.setdefault(table, []).append((column, kind))
    return tables
