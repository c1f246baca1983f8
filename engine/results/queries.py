"""Query the results database. Each function opens it read-only, reads, and closes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from engine.errors import InputError, OpticalError
from engine.results import database
from engine.results.alignment import scoring_condition
from engine.results.filters import parse_filter
from engine.results.run_names import resolve_run

_JSON = ("config", "summary", "versions")


@dataclass(frozen=True)
class Result:
    """The result of a statement: column names, their DuckDB types, and the rows as tuples."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def ask(
    results: Path,
    sql: str,
    parameters: Sequence[Any] = (),
    *,
    wait: float = database.WAIT_SECONDS,
) -> Result:
    """Execute one SQL statement that reads the database `results`.

    The connection is read-only and cannot read other files.

    Parameters
    ----------
    results : path
        The database.
    sql : str
        One statement, with ``?`` for each parameter.
    parameters : sequence
        The values of the parameters.
    wait : float
        Seconds to wait while another program writes to the database.

    Raises
    ------
    InputError
        If there is no such database, it is not a results database, or `sql` is not one statement.
    BusyError
        If another program writes to it for `wait` seconds.
    OpticalError
        If DuckDB refuses the statement.
    """
    with open_statement(results, sql, wait) as (connection, statement):
        connection.execute(statement, list(parameters))
        described = connection.description or []
        types = [str(column[1]) for column in described]
        if any("TIME ZONE" in kind for kind in types):
            # DuckDB's own conversion of these needs pytz; Arrow's does not.
            answer = connection.cursor().sql(sql, params=list(parameters)).to_arrow_table()
            rows = list(zip(*(column.to_pylist() for column in answer.columns), strict=True))
        else:
            rows = connection.fetchall()
        return Result([column[0] for column in described], types, rows)


@dataclass(frozen=True)
class Stream:
    """The result of a statement while it is read: column names, their types, and the rows in blocks."""

    columns: list[str]
    types: list[str]
    blocks: Iterator[list[tuple[Any, ...]]]


@contextmanager
def ask_stream(
    results: Path, sql: str, *, block: int = 2_000, wait: float = database.WAIT_SECONDS
) -> Iterator[Stream]:
    """Execute one statement as `ask` does, and yield its result, of which only one block is in memory.

    The database stays open inside the ``with`` block. An error of DuckDB may come after the first rows.

    Raises
    ------
    InputError, BusyError, OpticalError
        As `ask`.
    """
    with open_statement(results, sql, wait) as (connection, statement):
        connection.execute(statement)
        described = connection.description or []
        types = [str(column[1]) for column in described]
        blocks: Iterator[list[tuple[Any, ...]]]
        if any("TIME ZONE" in kind for kind in types):  # as in `ask`
            batches = connection.cursor().sql(sql).to_arrow_reader(block)
            blocks = (
                list(zip(*(column.to_pylist() for column in batch.columns), strict=True)) for batch in batches
            )
        else:
            blocks = iter(lambda: connection.fetchmany(block), [])
        yield Stream([column[0] for column in described], types, blocks)


def ask_arrow(
    results: Path, sql: str, parameters: Sequence[Any] = (), *, wait: float = database.WAIT_SECONDS
) -> pa.Table:
    """Execute one statement as `ask` does, and return the result as an Arrow table, which keeps the types.

    Raises
    ------
    InputError, BusyError, OpticalError
        As `ask`; also InputError if the statement returns no table.
    """
    with open_statement(results, sql, wait) as (connection, _):
        cursor = connection.cursor()  # the connection itself has an unread result
        answer = cursor.sql(sql, params=list(parameters))
        if answer is None:
            raise InputError("the statement returns no table; use SELECT")
        return answer.to_arrow_table()


@contextmanager
def open_statement(
    results: Path, sql: str, wait: float = database.WAIT_SECONDS
) -> Iterator[tuple[duckdb.DuckDBPyConnection, duckdb.Statement]]:
    """Open the database read-only for the one statement that `sql` must be, and close it at the end.

    Errors of DuckDB inside the ``with`` block are raised as `OpticalError`, with DuckDB's suggestion and the
    number of the line.

    Raises
    ------
    InputError
        If there is no such database, it is not a results database, or `sql` is not one statement.
    BusyError
        If another program writes to it for `wait` seconds.
    OpticalError
        If DuckDB refuses the statement.
    """
    connection = database.connect(results, wait=wait)
    try:
        database.origin(connection, results)
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise InputError(f"give one SQL statement; this text holds {len(statements)}")
        yield connection, statements[0]
    except duckdb.Error as error:
        raise OpticalError(f"the statement was refused: {_reason(error)}") from error
    finally:
        connection.close()


def _reason(error: Exception) -> str:
    """Return DuckDB's message with its suggestions and the number of the line, without the line itself."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    place = next((place for place, line in enumerate(lines) if line.startswith("LINE ")), len(lines))
    where = f" (line {lines[place].removeprefix('LINE ').partition(':')[0]})" if place < len(lines) else ""
    return " ".join(lines[:place]) + where


def list_runs(results: Path, expression: str | None = None) -> list[dict[str, Any]]:
    """Return the records of the runs that `expression` selects, newest first.

    A record has the columns of table ``runs`` (`config`, `summary` and `versions` as dictionaries) and
    ``measures``, a dictionary of each measure's means over languages, one for each row of the leaderboard.

    Raises
    ------
    InputError
        If `expression` is not a filter (`engine.results.filters`) or names a field that no run has.
    """
    selected = parse_filter(expression or "")
    records = _records(results)
    selected.check_fields(records)
    return [record for record in records if selected.matches(record)]


def run_id(results: Path, run: str) -> str:
    """Return the id of the run that `run` means: an id, the beginning of one, or a name.

    Raises
    ------
    InputError
        If there is no such run, or several ids begin with `run`.
    """
    rows = ask(results, "SELECT id, name FROM runs ORDER BY created DESC, id DESC").rows
    return resolve_run(run, [(str(identity), str(name)) for identity, name in rows])


def run_record(results: Path, run: str) -> dict[str, Any]:
    """Return one run's record, as `list_runs` does.

    Parameters
    ----------
    results : path
        The database.
    run : str
        The run's id, the beginning of one id, or a name, which stands for its newest run.

    Raises
    ------
    InputError
        If there is no such run, or several ids begin with `run`.
    """
    identity = run_id(results, run)
    return next(iter(_records(results, [identity])))


def records_of(
    results: Path, runs: Sequence[str], *, wait: float = database.WAIT_SECONDS
) -> list[dict[str, Any]]:
    """Return the records of `runs` (ids), newest first, as `list_runs` does."""
    return _records(results, runs, wait)


def _records(
    results: Path, runs: Sequence[str] | None = None, wait: float = database.WAIT_SECONDS
) -> list[dict[str, Any]]:
    """Return the records of all runs, newest first, or of some. Only their scores are read then."""
    where = "" if runs is None else f"WHERE run IN ({', '.join('?' * len(runs))})"
    parameters = list(runs or ())
    answer = ask(
        results,
        f"""
        SELECT runs.*, means.measures
        FROM runs LEFT JOIN (
            SELECT run, list({{measure: measure, value: value}}) AS measures
            FROM leaderboard {where} GROUP BY run
        ) AS means ON means.run = runs.id
        {where.replace("run", "runs.id", 1)}
        ORDER BY created DESC, id DESC
        """,  # nosec B608
        [*parameters, *parameters],
        wait=wait,
    )
    return [_record(row) for row in answer.records()]


def scores_of(
    results: Path,
    runs: Sequence[str],
    *,
    scoring: str | None = None,
    measure: str | None = None,
    collection: str | None = None,
) -> Result:
    """Return the mean scores of `runs` (ids), with the facts about each query language.

    The columns are those of the view ``per_language``. The parameters are those of `query_scores_of`.
    """
    return _of(results, "per_language", runs, scoring, measure, collection)


def query_scores_of(
    results: Path,
    runs: Sequence[str],
    *,
    scoring: str | None,
    measure: str | None = None,
    collection: str | None = None,
) -> Result:
    """Return the scores of every query of `runs` (ids), for paired comparisons.

    Parameters
    ----------
    results : path
        The database.
    runs : sequence of str
        Ids of runs.
    scoring : str or None
        Only the rows of this scoring, and those of runs without an encoder. None takes all rows; a query then
        has a row for each scoring of a run, and these must not be averaged.
    measure, collection : str, optional
        Only the rows of this measure and this collection.
    """
    return _of(results, "query_scores", runs, scoring, measure, collection)


def _of(
    results: Path,
    table: str,
    runs: Sequence[str],
    scoring: str | None,
    measure: str | None,
    collection: str | None,
) -> Result:
    where = ["list_contains(?::VARCHAR[], run)"]
    parameters: list[Any] = [list(runs)]
    if scoring is not None:
        condition, values = scoring_condition(scoring)
        where.append(condition)
        parameters += values
    for column, value in (("measure", measure), ("collection", collection)):
        if value is not None:
            where.append(f"{column} = ?")
            parameters.append(value)
    statement = f"SELECT * FROM {table} WHERE {' AND '.join(where)} ORDER BY ALL"  # nosec B608
    return ask(results, statement, parameters)


def _record(row: dict[str, Any]) -> dict[str, Any]:
    for name in _JSON:
        row[name] = json.loads(row[name]) if row[name] else {}
    measures: dict[str, list[float]] = {}
    for mean in row["measures"] or ():
        measures.setdefault(mean["measure"], []).append(mean["value"])
    row["measures"] = measures
    return row
