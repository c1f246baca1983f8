"""Run folders with a ``run.json`` that this program did not write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: Values of every kind, for places where another kind is expected.
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 1e300, 10**30, float("nan"), float("inf")),
    *("", "text", "\ud800", "\x1b[2J[red]"),
    *("2026-01-01", "0001-01-01T00:00:00", "9999-12-31T23:59:59+00:00"),
    *([], [None], [[]], [{}], ["a"], [1], {}, {"": None}, {"a": [{}]}),
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def places(record: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the path of every value in `record`."""
    return list(_places(record))


def changed(record: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return `record` with another value at `path`."""
    copy: dict[str, Any] = json.loads(json.dumps(record))
    inner: Any = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


#: How a file is made that is no record, by what it is.
FILES: dict[str, Callable[[Path, dict[str, Any]], object]] = {
    "empty": lambda file, record: file.write_bytes(b""),
    "null": lambda file, record: file.write_bytes(b"null"),
    "a list": lambda file, record: file.write_bytes(b"[1, 2]"),
    "half": lambda file, record: file.write_text(json.dumps(record)[:40]),
    "not UTF-8": lambda file, record: file.write_bytes(b'{"id": "\xff\xfe"}'),
    "zeros": lambda file, record: file.write_bytes(bytes(4096)),
    "deep list": lambda file, record: file.write_text(nested(100_000)),
    "deep value": lambda file, record: file.write_text(
        json.dumps({**record, "summary": {"deep": 0}}).replace('"deep": 0', f'"deep": {nested(100_000)}')
    ),
    "less deep value": lambda file, record: file.write_text(
        json.dumps({**record, "summary": {"deep": 0}}).replace('"deep": 0', f'"deep": {nested(700)}')
    ),
    "a number of 10,000 digits": lambda file, record: file.write_text(
        json.dumps({**record, "seed": 0}).replace('"seed": 0', f'"seed": {"9" * 10_000}')
    ),
    "NaN": lambda file, record: file.write_text(json.dumps({**record, "summary": {"best": float("nan")}})),
    "a pipe": lambda file, record: os.mkfifo(file),
    "a folder": lambda file, record: file.mkdir(),
    "a link to nothing": lambda file, record: file.symlink_to("nothing"),
    "a device": lambda file, record: file.symlink_to("/dev/zero"),
}


def write_odd_files(runs: Path, good: Path) -> dict[str, Path]:
    """Make a run folder for each entry of `FILES`; return them by entry."""
    record = json.loads((good / "run.json").read_text())
    folders = {}
    for number, (what, write) in enumerate(FILES.items()):
        folders[what] = runs / f"odd-file-{number:02}"
        folders[what].mkdir()
        write(folders[what] / "run.json", record)
    return folders


def write_odd_values(runs: Path, good: Path, *, every: int = 1) -> list[Path]:
    """Make a run folder for each value of `VALUES` at each place of the record of `good`, or `every` nth."""
    record = json.loads((good / "run.json").read_text())
    record["summary"] = {
        **{"best_step": 0, "held_out_rr": 0.5, "notes": ["n"], "references": {"tico": "r"}},
        **{"passages": {"tico": 5}},
        "cut": [{"texts": "queries", "cut": 3, "of": 9, "setting": "query_length", "length": 8}],
    }
    wanted = [(path, value) for path in places(record) for value in VALUES][::every]
    folders = []
    for number, (path, value) in enumerate(wanted):
        folder = runs / f"odd-value-{number:05}"
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(changed(record, path, value)))
        folders.append(folder)
    return folders
