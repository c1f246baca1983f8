"""The record of a run, ``run.json``, which is checked before anything uses it.

Every reader of runs, the app as well as the commands and ingest, gets a record from `parse_record`. So a file
that was damaged, or that another program wrote, is refused in one sentence instead of failing where one of
its values is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from engine.errors import InputError
from engine.files import read_file
from engine.visible import visible

FIELDS = (
    *("id", "name", "kind", "state", "failure", "argv", "config", "seed", "tags", "note", "summary"),
    *("versions", "commit", "host", "platform", "device", "pid", "process_started", "boot"),
    *("created", "started", "ended"),
)
"""The keys of ``run.json``, which are the columns of table ``runs``.

Times are ISO 8601 in UTC; `process_started` is in seconds since 1970; `boot` identifies the last start of the
machine; `failure` is one sentence or null; `summary` has further facts about the run (best step, number of
parameters, pairs per second).
"""

State = Literal["queued", "running", "finished", "failed", "stopped"]

LARGEST = 1 << 24
"""The most bytes of a ``run.json``."""

DEEPEST = 100
"""The most lists and objects inside one another."""

_NEEDED = ("name", "kind", "state", "created")
_LARGEST_NUMBER = 1 << 64
_YEARS = range(1970, 2200)


class _Time:
    """The shape of a time."""


_CUT = {"texts": str, "cut": int, "of": int, "setting": str, "length": int}
_ENCODER = {"checkpoint": str}
_LOOP = {"steps": int}
_SOURCE = {"path": str, "language": str}
_SHAPES: dict[str, Any] = {
    **dict.fromkeys(("id", "name", "kind", "state", "failure", "note", "commit"), str),
    **dict.fromkeys(("host", "platform", "device", "boot"), str),
    **dict.fromkeys(("seed", "pid"), int),
    **dict.fromkeys(("created", "started", "ended"), _Time),
    "process_started": float,
    "argv": [str],
    "tags": [str],
    "versions": {...: str},
    "config": {},  # a kind of run of another distribution has any settings
    "summary": {
        "best_step": int,
        "held_out_rr": float,
        "notes": [str],
        "references": {...: str},
        "weights": {...: {...: str}},
        "passages": {...: int},
        "cut": [_CUT],
        "cut_in_training": [_CUT],
    },
}
"""What the values must be, where they are not null: a type, a list of values of one shape (none is null),
or an object with shapes by key. The key ``...`` stands for every key; what has no shape may be anything.
"""

_SETTINGS: dict[str, Any] = {
    **dict.fromkeys(("kind", "preset"), str),
    **dict.fromkeys(("teacher", "student", "encoder"), _ENCODER),
    **dict.fromkeys(("training", "pretraining"), _LOOP),
    "transport": {},
    "bitext": [_SOURCE],
    "collections": [{"name": str, "label": str, "languages": [str], "bitext": [_SOURCE]}],
}
"""The shapes of the settings that lists of runs and screens use, in the kinds of run of this package."""


def read_record(path: Path) -> dict[str, Any]:
    """Return the content of ``run.json`` in the run folder `path`, with None for missing fields.

    Raises
    ------
    InputError
        If it is missing or is not the record of a run.
    """
    file = path / "run.json"
    try:
        return parse_record(read_file(file, most=LARGEST), file)
    except FileNotFoundError:
        if not path.is_dir():
            raise InputError(
                f"the folder of run {path.name!r} is missing; restore it, or remove the run from the "
                f"database with `optical-workbench forget {path.name}`",
                path=path,
            ) from None
        raise InputError("this is not a run folder, because it has no run.json", path=path) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=file) from error


def parse_record(content: bytes, file: Path) -> dict[str, Any]:
    """Return the record in `content`, the bytes of the ``run.json`` at `file`, with None for missing fields.

    Raises
    ------
    InputError
        If it is not the record of a run.
    """
    try:
        file.parent.name.encode()
    except UnicodeEncodeError:
        raise InputError("the name of the folder is not UTF-8; rename it", path=file.parent) from None
    try:
        record = json.loads(content, parse_constant=_refuse_constant)
        if not isinstance(record, dict) or "id" not in record:
            raise ValueError("it is not an object with an 'id'")
        record = {key: record.get(key) for key in FIELDS}
        _check_values(record)
        _check_shape(record, _SHAPES, "")
        for key in _NEEDED:
            if record[key] is None:
                raise ValueError(f"{key} is missing")
        if record["state"] not in get_args(State):
            raise ValueError(f"state {record['state']!r} is not one of {', '.join(get_args(State))}")
    except RecursionError:
        raise InputError(f"this is not the record of a run: {_TOO_DEEP}", path=file) from None
    except ValueError as error:
        raise InputError(f"this is not the record of a run: {error}", path=file) from error
    return record


def known_settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run, without those that are null or have not the shape that they have here.

    Another distribution's kind of run may have a setting such as ``training`` of another type. What lists
    runs takes the settings from here, so that it need not check their types.
    """
    return {key: value for key, value in (record.get("config") or {}).items() if _is_known(key, value)}


def _is_known(key: str, value: Any) -> bool:
    try:
        _check_shape(value, _SETTINGS.get(key, ...), key)
    except ValueError:
        return False
    return value is not None


def utc(text: str | None) -> datetime | None:
    """Return a time of a record in UTC, without a time zone, as the database has it; None for None."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


_TOO_DEEP = f"it has more than {DEEPEST} lists and objects inside one another"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _check_values(record: Mapping[str, Any]) -> None:
    """Raise ValueError for what JSON can express and nothing here can use."""
    level: list[Any] = [record]
    for _ in range(DEEPEST):
        inner = [item for value in level for item in (value.values() if isinstance(value, dict) else value)]
        if any(isinstance(item, int | float) and not abs(item) < _LARGEST_NUMBER for item in inner):
            raise ValueError("it has a number that is too large")
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            break
    else:
        raise ValueError(_TOO_DEEP)
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it has half a character, which no text has") from None


def _check_shape(value: Any, shape: Any, place: str) -> None:
    """Raise ValueError if `value` is neither null nor of `shape`; the sentence names the `place`."""
    if value is None or shape is ...:
        return
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise ValueError(f"{place} is not a list")
        for number, item in enumerate(value):
            if item is None:
                raise ValueError(f"{place}.{number} is null")
            _check_shape(item, shape[0], f"{place}.{number}")
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            raise ValueError(f"{place} is not an object")
        for key, item in value.items():
            if (inner := shape.get(key, shape.get(...))) is not None:
                name = key if key in shape else visible(key)
                _check_shape(item, inner, f"{place}.{name}" if place else name)
    elif shape is str:
        if not isinstance(value, str):
            raise ValueError(f"{place} is {_short(value)}, not text")
    elif shape is int:
        if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
            raise ValueError(f"{place} is {_short(value)}, not a whole number")
    elif shape is float:
        finite = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
        if not finite and value not in ("NaN", "Infinity", "-Infinity"):
            raise ValueError(f"{place} is {_short(value)}, not a number")
    else:
        _check_time(value, place)


def _check_time(value: Any, place: str) -> None:
    try:
        moment = utc(value)
    except (TypeError, ValueError, OverflowError):
        moment = None
    if moment is None or moment.year not in _YEARS:
        raise ValueError(
            f"{place} is {_short(value)}, not a time in ISO 8601 between {_YEARS.start} and {_YEARS.stop - 1}"
        )


def _short(value: Any) -> str:
    text = "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
