"""The columns of the tables of a run.

`TABLES` are the tables that a run writes as Parquet. `RUNS` and `STEPS` are made from ``run.json`` and
``metrics.jsonl``. The files do not have the run's id, which is added on reading, so that a run folder may be
copied or renamed. The database defines the same tables in ``schema.sql``; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import OpticalError, nearest


def _text(name: str) -> pa.Field:
    return pa.field(name, pa.string(), nullable=False)


def _number(name: str) -> pa.Field:
    return pa.field(name, pa.float64(), nullable=False)


def _count(name: str) -> pa.Field:
    return pa.field(name, pa.int64(), nullable=False)


_MATRIX = pa.list_(pa.list_(pa.float32()))

TABLES: dict[str, pa.Schema] = {
    # One mean in each row; `measure` is spelled as in ir-measures. `low` and `high` are the ends of its
    # confidence interval, or null if none was computed.
    "scores": pa.schema(
        [
            *map(_text, ("collection", "revision", "protocol", "scoring", "direction")),
            *map(_text, ("query_language", "document_language", "measure")),
            _number("value"),
            pa.field("low", pa.float64()),
            pa.field("high", pa.float64()),
            _count("queries"),
        ]
    ),
    "query_scores": pa.schema(
        [
            *map(_text, ("collection", "revision", "protocol", "scoring", "direction")),
            _text("query_language"),
            pa.field("document_language", pa.string()),
            *map(_text, ("query_id", "measure")),
            _number("value"),
        ]
    ),
    # Ranks start at one; `grade` is null if the document was not judged.
    "rankings": pa.schema(
        [
            _text("collection"),
            *(pa.field(name, pa.string()) for name in ("revision", "protocol")),
            *map(_text, ("scoring", "direction", "query_language", "query_id")),
            _count("rank"),
            _text("document_id"),
            _number("score"),
            pa.field("grade", pa.int64()),
        ]
    ),
    # What topics have in common: with kind ``cluster``, the group of topics that depend on each other.
    "topics": pa.schema([*map(_text, ("collection", "revision", "topic", "kind", "value"))]),
    # `role` is ``query``, ``document`` or ``translation``; documents are the relevant and first-ranked ones.
    "texts": pa.schema([*map(_text, ("collection", "revision", "role", "id", "language", "text"))]),
    # `plan` and `cost` are (source tokens, target tokens); entropy is in nats.
    "plans": pa.schema(
        [
            *map(_text, ("pair", "source_language", "source_text", "target_text")),
            pa.field("source_tokens", pa.list_(pa.string()), nullable=False),
            pa.field("target_tokens", pa.list_(pa.string()), nullable=False),
            pa.field("plan", _MATRIX, nullable=False),
            pa.field("cost", _MATRIX, nullable=False),
            _text("solver"),
            _number("epsilon"),
            _count("iterations"),
            _number("marginal_error"),
            pa.field("converged", pa.bool_(), nullable=False),
            _number("value"),
            _number("entropy"),
        ]
    ),
    # `dropped` is a JSON object of counts by reason; `hash` identifies the pairs that were used.
    "bitext": pa.schema(
        [
            *map(_text, ("name", "source_language", "target_language")),
            _count("pairs"),
            *map(_text, ("dropped", "hash")),
        ]
    ),
    # The tries of a run that tunes, in the order of the choices; `settings` is a JSON object of the chosen
    # values by dotted key, `value` the mean of `measure` over held-out languages and collections.
    "tries": pa.schema([_count("number"), *map(_text, ("settings", "measure")), _number("value")]),
    # The runs of a sweep: the number of the combination, from 1, its settings as a JSON object by dotted key,
    # and the id of the run, `member`.
    "sweep_runs": pa.schema([_count("number"), _count("seed"), *map(_text, ("settings", "member"))]),
    # The text of each language in pre-training. `tokens` is the number in one pass over it, `probability`
    # that of the sampling, `share` the share that was drawn, and `unknown` the share of unknown pieces.
    "pretraining": pa.schema(
        [
            _text("language"),
            *map(_count, ("sentences", "held_out", "tokens", "tokens_seen")),
            *map(_number, ("epochs", "share", "probability", "pieces_per_word", "unknown")),
            _text("hash"),
        ]
    ),
}


RUNS = pa.schema(
    [
        *map(_text, ("id", "name", "kind", "state")),
        pa.field("failure", pa.string()),
        pa.field("argv", pa.list_(pa.string())),
        pa.field("config", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("tags", pa.list_(pa.string())),
        *(pa.field(name, pa.string()) for name in ("note", "summary", "versions", "commit")),
        *(pa.field(name, pa.string()) for name in ("host", "platform", "device")),
        pa.field("pid", pa.int64()),
        pa.field("process_started", pa.float64()),
        pa.field("boot", pa.string()),
        pa.field("created", pa.timestamp("us"), nullable=False),
        pa.field("started", pa.timestamp("us")),
        pa.field("ended", pa.timestamp("us")),
    ]
)

STEPS = pa.schema([_count("step"), _text("metric"), _number("value"), _number("elapsed")])

_FIGURE = ("collection", "revision", "protocol", "scoring", "direction", "query_language")
KEYS: dict[str, tuple[str, ...]] = {
    "steps": ("step", "metric"),
    "scores": (*_FIGURE, "document_language", "measure"),
    "query_scores": (*_FIGURE, "query_id", "measure"),
    "rankings": (*_FIGURE, "query_id", "rank"),
    "topics": ("collection", "revision", "topic", "kind"),
    "texts": ("collection", "revision", "role", "id"),
    "plans": ("pair", "solver", "epsilon"),
    "bitext": ("name", "source_language", "target_language"),
    "tries": ("number",),
    "sweep_runs": ("number", "seed"),
    "pretraining": ("language",),
}
"""The columns that identify a row of a run's table. Of rows with equal values, the last counts."""

_REPEATED = {*_FIGURE, "document_language", "query_id", "document_id", "measure", "role", "language"}


def to_table(name: str, rows: Sequence[Mapping[str, Any]] | pa.Table) -> pa.Table:
    """Return `rows` as an Arrow table with the columns of the Parquet table `name`.

    Arrays and tensors are converted to lists, so a plan may be a NumPy array of shape (Q, D).

    Raises
    ------
    OpticalError
        If the table is unknown, a column is missing or unknown, or a value has the wrong type or is null
        where the table does not allow it.
    """
    if name not in TABLES:
        known = sorted(TABLES)
        raise OpticalError(
            f"{name!r} is not a table of a run{nearest(name, known)}; choose from {', '.join(known)}"
        )
    return conform(name, rows, TABLES[name])


def conform(name: str, rows: Sequence[Mapping[str, Any]] | pa.Table, schema: pa.Schema) -> pa.Table:
    """Return `rows` as an Arrow table of `schema`; errors as in `to_table`."""
    try:
        if isinstance(rows, pa.Table):
            _same_columns(name, rows.column_names, schema)
            table = rows.select(schema.names).cast(schema)
        else:
            for row in rows:
                _same_columns(name, row, schema)
            plain = [{key: _plain(value) for key, value in row.items()} for row in rows]
            table = pa.Table.from_pylist(plain, schema=schema)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise OpticalError(f"table {name!r}: a value does not fit its column: {error}") from error
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise OpticalError(
                f"table {name!r}: column {field.name!r} has no value in some row; it needs one"
            )
    return table


def coded(table: str) -> dict[str, pa.Field]:
    """Return the text columns of a Parquet table in which values repeat, as dictionary-encoded columns.

    So encoded they are read, compared and written to the database in about half the time and memory.
    """
    return {
        field.name: field.with_type(pa.dictionary(pa.int32(), pa.string()))
        for field in TABLES[table]
        if field.type == pa.string() and field.name in _REPEATED
    }


def last_of_each(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Return the last row of each combination of `keys`, in the order of `table`."""
    varying = varying_keys(table, keys)
    if not varying:
        return table.slice(max(0, len(table) - 1))
    groups = np.zeros(len(table), dtype=np.int64)
    count = 1
    for key in varying:
        column = table.column(key).unify_dictionaries()
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        codes = column.combine_chunks()
        size = len(codes.dictionary) + 1  # one more for null
        if count > np.iinfo(np.int64).max // size:
            distinct, groups = np.unique(groups, return_inverse=True)
            count = len(distinct)
        groups = groups * size + codes.indices.fill_null(size - 1).to_numpy(zero_copy_only=False)
        count *= size
    if count <= 16 * len(table):
        repeated = np.bincount(groups, minlength=1).max(initial=0) > 1
    else:
        repeated = len(np.unique(groups)) < len(table)
    if not repeated:
        return table
    _, from_the_end = np.unique(groups[::-1], return_index=True)
    return table.take(np.sort(len(table) - 1 - from_the_end))


def varying_keys(table: pa.Table, keys: Sequence[str]) -> list[str]:
    """Return those of `keys` that may have more than one value in `table`."""
    return [key for key in keys if _varies(table.column(key))]


def _varies(column: pa.ChunkedArray) -> bool:
    if pa.types.is_dictionary(column.type) and not column.null_count:
        values = {chunk.dictionary[0].as_py() for chunk in column.chunks if len(chunk.dictionary)}
        return len(values) > 1 or any(len(chunk.dictionary) > 1 for chunk in column.chunks)
    return len(column.unique()) > 1


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _same_columns(name: str, columns: Sequence[str] | Mapping[str, Any], schema: pa.Schema) -> None:
    expected = schema.names
    unknown = [column for column in columns if column not in expected]
    if unknown:
        hint = nearest(unknown[0], expected) if unknown[0] != "run" else " (the run's id is added by ingest)"
        raise OpticalError(f"table {name!r} has no column {unknown[0]!r}{hint}")
    missing = [column for column in expected if column not in columns]
    if missing:
        raise OpticalError(
            f"table {name!r}: column {missing[0]!r} is missing; give it, or None where it may be null"
        )
