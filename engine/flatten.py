"""Nested settings as a flat table."""

from __future__ import annotations

from typing import Any


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted key. Items of lists are counted from 0, as in errors and ``--set``.

    Parameters
    ----------
    value : object
        Settings: dictionaries, lists of dictionaries, and plain values. A list of plain values is one value.
    prefix : str
        What all keys begin with.
    """
    if isinstance(value, dict) and value:
        pairs = [(str(name), inner) for name, inner in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        pairs = [(str(number), item) for number, item in enumerate(value)]
    else:
        return {prefix: value}
    found: dict[str, Any] = {}
    for name, inner in pairs:
        found |= flatten(inner, f"{prefix}.{name}" if prefix else name)
    return found
