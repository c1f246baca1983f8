"""The curves of a run, ``metrics.jsonl``: one JSON object on each line, which can be read while it grows."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import OpticalError
from engine.files import open_file


class Record(NamedTuple):
    """One line of ``metrics.jsonl``; `elapsed` is in seconds since the run's start."""

    step: int
    elapsed: float
    metrics: dict[str, float]


class Tail(NamedTuple):
    """Records read from one offset of ``metrics.jsonl``, the next offset, and how many lines were corrupt."""

    records: list[Record]
    offset: int
    corrupt: int


def append(path: Path, record: Record) -> None:
    """Append `record` to `path` as one line in a single write.

    NaN and the infinities are written as the strings "NaN", "Infinity" and "-Infinity", which are valid JSON
    and which DuckDB casts to the same doubles. An incomplete last line, left by a killed run, is ended first.

    Raises
    ------
    OpticalError
        If the line cannot be written (a full disk).
    """
    line = {
        "step": record.step,
        "elapsed": round(record.elapsed, 3),
        "metrics": {name: to_json(float(value)) for name, value in record.metrics.items()},
    }
    content = json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    try:
        with path.open("ab+", buffering=0) as stream:
            if stream.seek(0, os.SEEK_END):
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    content = b"\n" + content
            if stream.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise OpticalError(f"{path}: cannot be written: {error.strerror}") from error


def tail(path: Path, offset: int = 0) -> Tail:
    """Read the complete lines of a ``metrics.jsonl``, starting at byte `offset`.

    A last line without a newline is left for the next call. A line that is not a record is skipped and
    counted. A file shorter than `offset` was rewritten and is read from its start. A missing file is empty.
    """
    try:
        with open_file(path) as stream:
            if os.fstat(stream.fileno()).st_size < offset:
                offset = 0
            stream.seek(offset)
            content = stream.read()
    except FileNotFoundError:
        return Tail([], 0, 0)
    found = parse_lines(content)
    return found._replace(offset=offset + found.offset)


def parse_lines(content: bytes) -> Tail:
    """Read the complete lines in `content`, as `tail` does; the offset counts from its start."""
    whole = content[: content.rfind(b"\n") + 1]
    records, corrupt = [], 0
    for line in whole.split(b"\n"):
        record = _parse(line)
        if record is not None:
            records.append(record)
        elif line.strip():
            corrupt += 1
    return Tail(records, len(whole), corrupt)


def to_json(value: Any) -> Any:
    """Return `value` in a form for JSON: arrays as lists, NaN and the infinities as strings."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return str(value) if isinstance(value, Path) else value


def _parse(line: bytes) -> Record | None:
    try:
        found = json.loads(line)
        metrics = {str(name): float(value) for name, value in found["metrics"].items()}
        step = int(found["step"])
        return Record(step, float(found["elapsed"]), metrics) if abs(step) < 2**63 else None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
