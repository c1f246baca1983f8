"""Write settings as TOML, which Python's standard library only reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.visible import inert_json


def dump(settings: Mapping[str, Any]) -> str:
    """Return a TOML document from which the same settings are read.

    A setting that is None, for which TOML has no value, becomes a comment, because a missing key means None.
    """
    return "\n".join(_table(settings, ())) + "\n"


def value_text(value: Any) -> str:
    """Return a value on one line as TOML has it, tables inline; None is "none"."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(name)} = {value_text(item)}" for name, item in value.items())
        return f"{{{inner}}}"
    return f"[{', '.join(map(value_text, value))}]" if isinstance(value, list | tuple) else _value(value)


def _table(settings: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    tables, arrays = {}, {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            tables[name] = value
        elif _is_tables(value):
            arrays[name] = value
        elif value is None:
            yield f"# {_key(name)} is not set"
        else:
            yield f"{_key(name)} = {_value(value)}"
    for name, value in tables.items():
        yield from _headed("[{}]", value, (*path, name))
    for name, entries in arrays.items():
        for entry in entries:
            yield from _headed("[[{}]]", entry, (*path, name))


def _headed(header: str, settings: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    yield ""
    yield header.format(".".join(map(_key, path)))
    yield from _table(settings, path)


def _is_tables(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float):
        return repr(value)
    # Strings, integers and booleans are written as in JSON.
    return inert_json(json.dumps(value, ensure_ascii=False))
