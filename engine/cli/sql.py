"""``sql`` and ``export``: query the results database, and write the result to a file."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import click

from engine.cli.options import json_option, json_text, refreshed, results_option
from engine.cli.output import CsvWriter, check_raw, raw_option, say, warn, write
from engine.cli.tables import GrowingTable
from engine.counted import counted
from engine.errors import InputError, OpticalError, nearest
from engine.results.queries import Result, Stream, ask, ask_arrow, ask_stream

_FORMATS = ("csv", "json", "parquet")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_NUMBERS = {*_INTEGERS, *(f"U{kind}" for kind in _INTEGERS), "FLOAT", "DOUBLE", "DECIMAL"}


@click.command()
@click.argument("query", metavar='"SELECT ..."')
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@raw_option
@click.option("--limit", type=click.IntRange(min=1), help="Print at most this many rows.")
@results_option
@json_option
def sql(query: str, as_csv: bool, raw: bool, limit: int | None, results: Path, as_json: bool) -> None:
    """Run one SQL statement on the results database, read-only.

    Rows are printed as they are read. The columns of a table are as wide as its first 2,000 rows need.

    Tables: runs, steps, scores, query_scores, rankings, topics, texts, plans, bitext, tries, pretraining,
    languages. Views: leaderboard, per_language, high_low_gap, latest.
    """
    if as_csv and as_json:
        raise InputError("give --csv or --json, not both")
    check_raw(raw, as_csv)
    shown, total = 0, 0
    with ask_stream(refreshed(results), query) as answer:
        show = (
            _json_blocks(answer) if as_json else _csv_blocks(answer, raw) if as_csv else _text_blocks(answer)
        )
        next(show)
        for block in answer.blocks:
            total += len(block)
            kept = block if limit is None else block[: max(0, limit - shown)]
            shown += len(kept)
            if kept:
                show.send(kept)
        next(show, None)  # the end; after an error, a list in JSON stays open
    if shown < total:
        warn(f"showing the first {shown:,} of {total:,} rows")


Rows = list[tuple[Any, ...]]


def _text_blocks(answer: Stream) -> Generator[None, Rows | None, None]:
    """Print each block that is sent as a part of one table."""
    kinds = zip(answer.columns, answer.types, strict=True)
    numeric = [name for name, kind in kinds if kind.partition("(")[0] in _NUMBERS]
    table = GrowingTable(answer.columns, right=numeric)
    while rows := (yield):
        table.add([[_cell(value) for value in row] for row in rows])
    table.end()


def _csv_blocks(answer: Stream, raw: bool) -> Generator[None, Rows | None, None]:
    """Print each block that is sent as CSV."""
    writer = CsvWriter(sys.stdout, raw=raw)
    writer.rows([answer.columns])
    while rows := (yield):
        writer.rows([_field(value) for value in row] for row in rows)


def _json_blocks(answer: Stream) -> Generator[None, Rows | None, None]:
    """Print each block that is sent as a part of one JSON list, as `print_json` prints the whole list."""
    _check_names(answer.columns)
    separator = "[\n"
    while rows := (yield):
        for record in _records(Result(answer.columns, answer.types, rows)):
            text = json_text(record).rstrip("\n").replace("\n", "\n  ")
            write(f"{separator}  {text}")
            separator = ",\n"
    write("[]\n" if separator == "[\n" else "\n]\n")


@click.command()
@click.argument("what", metavar="TABLE_OR_SQL_OR_RUN")
@click.argument("file", metavar="FILE_OR_FOLDER", type=click.Path(path_type=Path))
@click.option("--for", "form", type=click.Choice(["trec", "mteb"]), help="Write a run for another program.")
@raw_option
@results_option
def export(what: str, file: Path, form: str | None, raw: bool, results: Path) -> None:
    """Write a table, a view or the result of a SQL query to FILE, which ends in .csv, .json or .parquet.

    FILE is written atomically. In CSV, text that a spreadsheet would take for a formula begins with an
    apostrophe, and control characters are escapes; --raw writes it as it is.

    With --for, WHAT is a run and FILE a folder: trec writes its rankings as TREC runs and the judgements of
    its collections, mteb its scores as results of MTEB.
    """
    if form is not None:
        check_raw(raw, False)
        _export_run(what, file, form, results)
        return
    from engine.atomic import write_file

    ending = file.suffix.removeprefix(".").lower()
    if ending not in _FORMATS:
        raise InputError(
            f"the file name must end in .csv, .json or .parquet{nearest(ending, _FORMATS)}", path=file
        )
    check_raw(raw, ending == "csv")
    if not file.parent.is_dir():
        raise InputError("the folder does not exist; make it first", path=file.parent)
    query = f"FROM {what}" if re.fullmatch(r"\w+", what) else what
    if ending == "parquet":
        count, content = _parquet(refreshed(results), query)
    else:
        answer = ask(refreshed(results), query)
        text = _csv(answer, raw) if ending == "csv" else json_text(_records(answer))
        count, content = len(answer.rows), text.encode()
    write_file(file, content)
    say(f"{file}: {counted(count, 'row')}")


def _export_run(name: str, folder: Path, form: str, results: Path) -> None:
    """Write the rankings or scores of a run into `folder`."""
    from engine.evaluation.exporting import export_mteb, export_trec
    from engine.evaluation.finished_run import find_run

    refreshed(results)
    run = find_run(results, name)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"it is a file; --for {form} writes into a folder", path=folder)
    problems: list[str] = []
    if form == "trec":
        written, problems = export_trec(run, folder, str(run.record["name"]))
    else:
        written = export_mteb(run, folder)
    for path in written:
        say(str(path))
    for problem in problems:
        warn(problem)


def _records(answer: Result) -> list[dict[str, Any]]:
    """Return the rows as dictionaries, with the columns of type JSON decoded."""
    _check_names(answer.columns)
    parsed = {name for name, kind in zip(answer.columns, answer.types, strict=True) if kind == "JSON"}
    return [
        {
            name: json.loads(value) if name in parsed and value is not None else value
            for name, value in record.items()
        }
        for record in answer.records()
    ]


def _csv(answer: Result, raw: bool) -> str:
    stream = io.StringIO()
    writer = CsvWriter(stream, raw=raw)
    writer.rows([answer.columns])
    writer.rows([_field(value) for value in row] for row in answer.rows)
    return stream.getvalue()


def _parquet(results: Path, query: str) -> tuple[int, bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = ask_arrow(results, query)
    _check_names(table.column_names)
    sink = io.BytesIO()
    try:
        pq.write_table(table, sink, compression="zstd")
    except pa.ArrowException as error:
        raise OpticalError(f"Parquet cannot store the result: {error}; CAST the column to VARCHAR") from error
    return table.num_rows, sink.getvalue()


def _check_names(columns: Sequence[str]) -> None:
    """Raise InputError if two columns have the same name, because a record would lose one of them."""
    twice = [name for place, name in enumerate(columns) if name in columns[:place]]
    if twice:
        raise InputError(f"two columns have the name {twice[0]!r}; rename one with AS")


def _field(value: Any) -> Any:
    """Return `value` as CSV can hold it: nested values as JSON, times in ISO 8601, null as an empty field."""
    if isinstance(value, list | dict | tuple):
        return json_text(value, indent=None).rstrip()
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else value


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else repr(value)
    return str(_field(value))
