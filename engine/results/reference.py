"""Reference results: a study's scores that are part of the package, separate from the user's own results.

They are Parquet files in ``engine/assets/reference``, one for each table. A separate database in the cache is
built from them, which ingest never changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from engine.atomic import move, staging
from engine.errors import InputError, OpticalError
from engine.hashes import hash_of
from engine.paths import assets_folder, cache_home
from engine.results.ingest import definitions, ingest
from engine.results.queries import ask, ask_arrow
from engine.results.tables import RUNS

TAG = "reference"
"""The tag of every run of the reference results."""

#: The curves that a report draws.
_METRICS = ("held_out_loss", "held_out_rr")
_TABLES = ("runs", "pretraining", "scores", "query_scores", "topics", "steps")


def reference_folder() -> Path:
    """Return the folder of the Parquet files in the package."""
    return assets_folder() / "reference"


def newest_study(results: Path) -> str | None:
    """Return the id of the newest study in the database `results`, or None."""
    if not results.is_file():
        return None
    rows = ask(
        results, "SELECT id FROM runs WHERE kind = 'study' ORDER BY created DESC, id DESC LIMIT 1"
    ).rows
    return str(rows[0][0]) if rows else None


def reference_results(folder: Path | None = None) -> Path:
    """Return the database of the reference results, which is built in the cache from `folder` if needed.

    Raises
    ------
    InputError
        If no reference results are installed.
    OpticalError
        If the database cannot be built.
    """
    folder = folder or reference_folder()
    parts = {name: path for name in _TABLES if (path := folder / f"{name}.parquet").is_file()}
    if "runs" not in parts:
        raise InputError("no reference results are installed here; run a study of your own", path=folder)
    home = cache_home() / "reference"
    try:
        digest = hash_of(b"".join(path.read_bytes() for path in parts.values()) + definitions()[1].encode())
        place = home / digest / "results.duckdb"
        if place.is_file():
            return place
        home.mkdir(parents=True, exist_ok=True)
        with staging(home) as made:
            building = made / "results.duckdb"
            ingest(building, building.parent / "runs")  # an empty database of this version's tables
            with closing(duckdb.connect(building)) as connection:
                for name, path in parts.items():
                    connection.register("rows", pq.read_table(path))
                    connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM rows")  # nosec B608
                    connection.unregister("rows")
            place.parent.mkdir(exist_ok=True)
            move(building, place, sync=False)
    except (OSError, duckdb.Error, pa.ArrowException) as error:
        raise OpticalError(f"{folder}: the reference database cannot be built in {home}: {error}") from error
    return place


def save_reference(results: Path, study: str, measures: Mapping[str, str], folder: Path) -> None:
    """Write the data of a study's report into `folder`, one Parquet file for each table.

    Facts about the machine are omitted: its name, processes, commands, and the folders of checkpoints.

    Parameters
    ----------
    results : path
        The database.
    study : str
        The study's id.
    measures : mapping
        The measure by which each collection is reported. Scores of single queries by other measures are
        omitted.
    folder : path

    Raises
    ------
    OpticalError
        If a file cannot be written.
    """
    owned = f"(run = {_quoted(study)} OR starts_with(run, {_quoted(study + '.')}))"
    records = ask(
        results,
        "SELECT * FROM runs WHERE id = ? OR starts_with(id, ?) ORDER BY created, id",
        [study, f"{study}."],
    ).records()
    reported = " OR ".join(
        f"(collection = {_quoted(collection)} AND measure = {_quoted(measure)})"
        for collection, measure in measures.items()
    )
    kept = ", ".join(f"'{metric}'" for metric in _METRICS)
    tables = {
        "runs": _runs(records, study),
        "pretraining": _of(results, "pretraining", owned),
        "scores": _of(results, "scores", owned),
        "query_scores": _of(results, "query_scores", f"{owned} AND ({reported})"),
        "topics": _of(results, "topics", owned),
        "steps": _of(results, "steps", f"{owned} AND metric IN ({kept})"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            pq.write_table(table, folder / f"{name}.parquet", compression="zstd", compression_level=19)
    except OSError as error:
        raise OpticalError(f"{folder}: cannot be written: {error.strerror or error}") from error


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _of(results: Path, table: str, where: str) -> pa.Table:
    return ask_arrow(results, f"SELECT * FROM {table} WHERE {where} ORDER BY ALL")  # nosec B608


def _runs(records: Sequence[Mapping[str, Any]], study: str) -> pa.Table:
    checkpoint = re.compile(rf'"[^"]*/({re.escape(study)}\.[^"]*)"')
    rows = []
    for record in records:
        rows.append(
            {
                **record,
                "config": checkpoint.sub(r'"runs/\1"', str(record["config"])),
                "tags": [*(record["tags"] or []), TAG],
                "argv": None,
                "host": None,
                "pid": None,
                "process_started": None,
                "boot": None,
                "summary": json.dumps(json.loads(record["summary"] or "{}"), sort_keys=True),
            }
        )
    return pa.Table.from_pylist(rows, schema=RUNS)
