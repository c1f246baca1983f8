"""Read the files of a run folder that changed since the last time as rows of the database."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.atomic import is_staging, sweep
from engine.counted import counted
from engine.errors import InputError, OpticalError
from engine.files import read_file
from engine.hashes import Hashes, hash_of, stamp_of
from engine.results.metrics_log import parse_lines
from engine.results.record import LARGEST, parse_record, utc
from engine.results.run_folder import part_number
from engine.results.sealed import check_seal
from engine.results.tables import KEYS, RUNS, STEPS, TABLES, coded, conform, last_of_each, varying_keys

THREADED = 1 << 18
"""The most bytes of a Parquet file that one thread decodes. With more threads a small file takes longer."""

LARGE = 1 << 20
"""The most rows of a table that are decoded at once. Larger tables are decoded in groups of parts."""


_FIXED = {"run.json": "runs", "metrics.jsonl": "steps"}
_PART = re.compile(rf"({'|'.join(TABLES)})(?:-\d+)?\.parquet")


@dataclass(frozen=True)
class Rows:
    """The rows of a table, with only the last row of each key. They are decoded each time they are read.

    A run over hundreds of pools has more rankings than fit into memory, although its files are small.

    Attributes
    ----------
    table, run : str
    groups : list of dict of path to bytes
        Parquet files; no key is in two groups.
    """

    table: str
    run: str
    groups: list[dict[Path, bytes]] = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Their size in memory, undecoded."""
        return sum(len(content) for group in self.groups for content in group.values())

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield the rows of each group, with the run's id."""
        for group in self.groups:
            yield _with_run(last_of_each(_joined(self.table, group), KEYS[self.table]), self.run)


class Known(NamedTuple):
    """What the database has of a file.

    Attributes
    ----------
    hash : str
        The hash of its content; ``""`` if it could not be read.
    problem : str or None
        The sentence that says why the table of the file was left out.
    """

    hash: str
    problem: str | None = None


@dataclass
class Reading:
    """The content of one run folder for the database.

    Attributes
    ----------
    run : str
        The run's id. It is the name of the folder, not the id in ``run.json``, so that a copy is another run.
    files : dict
        What the database will have of every file, by file name.
    tables : dict
        The new rows of each table whose files changed, by table, as Arrow tables in several parts. A table
        whose files were deleted or are damaged is empty.
    lines : list of str
        A sentence for each file with lines that were left out now.
    """

    run: str
    files: dict[str, Known] = field(default_factory=dict)
    tables: dict[str, Iterable[pa.Table]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """One sentence for each table or line that was left out."""
        return self.lines + [file.problem for file in self.files.values() if file.problem]

    def leave_out(self, table: str, file: str, reason: object) -> None:
        """Leave `table` out, because `file` is damaged for `reason`. The other tables of the run stay."""
        problem = f"run {self.run}: table {table!r} was left out: {reason}"
        self.files[file] = Known(self.files[file].hash, problem)
        self.tables[table] = []


def read_run(folder: Path, known: dict[str, Known], hashes: Hashes) -> Reading:
    """Read the run in `folder`, and parse only the tables whose files differ from those in `known`.

    A file is opened only if its hash is not in `hashes`, or its table is parsed. A table that cannot be read
    is left out, with a problem at its file.

    Raises
    ------
    OpticalError
        If the folder or the run's record cannot be read.
    """
    reading = Reading(folder.name)
    for table, paths in _files(folder).items():
        stamps = {path: stamp for path in paths if (stamp := stamp_of(path)) is not None}
        if table == "runs" and not stamps:
            raise InputError("this is not a run folder, because it has no run.json", path=folder)
        before = {name: known[name] for name in known if table_of(name) == table}
        digests = {name: file.hash for name, file in before.items()}
        if {path.name: hashes.recall(path, stamps[path]) for path in stamps} == digests:
            reading.files.update(before)
            continue
        contents: dict[Path, bytes] = {}
        unreadable: dict[Path, OSError] = {}
        for path in stamps:
            try:
                contents[path] = read_file(path, most=LARGEST if table == "runs" else None)
            except FileNotFoundError:
                continue
            except OSError as error:
                if table == "runs":
                    raise InputError(f"cannot be read: {error.strerror}", path=path) from error
                unreadable[path] = error
        now = {path.name: hash_of(content) for path, content in contents.items()}
        for path in contents:
            hashes.remember(path, stamps[path], now[path.name])
        now |= {path.name: "" for path in unreadable}
        if now == digests:
            reading.files.update(before)
            continue
        reading.files.update({name: Known(digest) for name, digest in now.items()})
        if table == "runs" and not contents:
            raise InputError("this is not a run folder, because it has no run.json", path=folder)
        for path, reason in unreadable.items():
            reading.leave_out(table, path.name, f"{path}: cannot be read: {reason.strerror}")
        if not unreadable:
            reading.tables[table] = _parse(table, contents, reading)
    return reading


def _files(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each table in `folder`, which is listed once."""
    files: dict[str, list[Path]] = {"runs": [], "steps": [], **{name: [] for name in TABLES}}
    try:
        with os.scandir(folder) as entries:  # much faster than Path.iterdir over thousands of folders
            names = [entry.name for entry in entries]
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=folder) from error
    if any(map(is_staging, names)):
        sweep(folder)
    sweep(folder / "checkpoints")
    for name in names:
        part = _PART.fullmatch(name)
        table = part[1] if part else _FIXED.get(name)
        if table in files:
            files[table].append(folder / name)
    for paths in files.values():
        paths.sort(key=part_number)
    return files


def table_of(file: str) -> str:
    """Return the table that the file of a run folder is of."""
    return _FIXED.get(file) or file.removesuffix(".parquet").partition("-")[0]


def _parse(table: str, contents: dict[Path, bytes], reading: Reading) -> Iterable[pa.Table]:
    if table == "runs":
        return [_run_row(*next(iter(contents.items())))]
    try:
        if table == "steps":
            rows = _steps(contents, reading)
        elif sum(_length(table, path, content) for path, content in contents.items()) > LARGE:
            return Rows(table, reading.run, _groups(table, contents))
        else:
            rows = _joined(table, contents)
    except InputError as error:
        assert error.path is not None
        reading.leave_out(table, Path(error.path).name, error)
        return []
    return [_with_run(last_of_each(rows, KEYS[table]), reading.run)]


def _with_run(rows: pa.Table, run: str) -> pa.Table:
    places = pa.array(np.zeros(len(rows), dtype=np.int32))
    return rows.append_column("run", pa.DictionaryArray.from_arrays(places, pa.array([run], pa.string())))


def _joined(table: str, contents: Mapping[Path, bytes]) -> pa.Table:
    if not contents:
        return _schema(table).empty_table()
    return pa.concat_tables([_part(table, path, content) for path, content in contents.items()])


def _groups(table: str, contents: Mapping[Path, bytes]) -> list[dict[Path, bytes]]:
    """Return the parts in groups, so that rows of two groups never have the same key.

    Parts that share a query, for example, are in one group. Keys are hashed to save memory.
    """
    coarse = [key for key in KEYS[table] if key not in ("rank", "measure")]
    group_of: dict[int, int] = {}
    groups: dict[int, dict[Path, bytes]] = {}
    for number, (path, content) in enumerate(contents.items()):
        rows = _part(table, path, content).select(coarse)
        varying = varying_keys(rows, coarse)
        distinct = rows.group_by(varying).aggregate([]) if varying else rows.slice(0, 1)
        columns = [
            distinct[key].to_pylist() if key in varying else [rows[key][0].as_py()] * len(distinct)
            for key in coarse
            if len(rows)
        ]
        known = set(map(hash, zip(*columns, strict=True)))
        met = {group_of[row] for row in known if row in group_of}
        joined = {name: file for group in sorted(met) for name, file in groups.pop(group).items()}
        groups[number] = {**joined, path: content}
        for row, group in group_of.items() if met else ():
            if group in met:
                group_of[row] = number
        group_of.update(dict.fromkeys(known, number))
    return list(groups.values())


def _length(table: str, path: Path, content: bytes) -> int:
    try:
        check_seal(content)
        return int(pq.read_metadata(pa.BufferReader(content)).num_rows)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"this is not a part of table {table!r}: {reason}", path=path) from error


def _run_row(path: Path, content: bytes) -> pa.Table:
    record = parse_record(content, path)
    row: dict[str, Any] = {**record, "id": path.parent.name}
    for name in ("config", "summary", "versions"):
        row[name] = json.dumps(record[name], ensure_ascii=False)
    for name in ("created", "started", "ended"):
        row[name] = utc(record[name])  # DuckDB ignores the offset when it casts to TIMESTAMP
    try:
        return conform("runs", [row], RUNS)
    except OpticalError as error:
        raise InputError(f"this is not the record of a run: {error}", path=path) from error


def _steps(contents: dict[Path, bytes], reading: Reading) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in STEPS.names}
    for path, content in contents.items():
        lines = parse_lines(content)
        if lines.corrupt:
            reading.lines.append(
                f"{path}: {counted(lines.corrupt, 'corrupt line was', 'corrupt lines were')} left out"
            )
        for step, elapsed, metrics in lines.records:
            for name, value in metrics.items():
                columns["step"].append(step)
                columns["metric"].append(name)
                columns["value"].append(value)
                columns["elapsed"].append(elapsed)
    try:
        return pa.Table.from_pydict(columns, schema=STEPS)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"cannot be read: {error}", path=next(iter(contents))) from error


def _schema(table: str) -> pa.Schema:
    fields = coded(table)
    return pa.schema([fields.get(field.name, field) for field in TABLES[table]])


def _part(table: str, path: Path, content: bytes) -> pa.Table:
    texts = coded(table)
    try:
        check_seal(content)
        rows = pq.read_table(
            pa.BufferReader(content),
            use_threads=len(content) > THREADED,
            read_dictionary=list(texts),
            page_checksum_verification=True,
        )
        for field in TABLES[table]:
            if field.nullable and field.name not in rows.column_names:  # added since the run was made
                rows = rows.append_column(field, pa.nulls(len(rows), field.type))
            elif field.name in texts.keys() & rows.column_names:
                place = rows.column_names.index(field.name)
                if not pa.types.is_dictionary(rows.column(place).type):
                    rows = rows.set_column(place, field, rows.column(place).cast(field.type))
        return conform(table, rows, _schema(table)).unify_dictionaries()
    except (pa.ArrowException, OSError, OpticalError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"this is not a part of table {table!r}: {reason}", path=path) from error
