"""Nested settings as a flat table."""

from __future__ import annotations

from typing import Any


def flatten(value: Any, prefix: str = "", *, first_item: int = 0) -> dict[str, Any]:
    """Return nested settings by dotted key.

    Parameters
    ----------
    value : object
        Settings: dictionaries, lists of dictionaries, and plain values. A list of plain values is one value.
    prefix : str
        What all keys begin with.
    first_item : int
        The number of the first item of a list of dictionaries.
    """
    if isinstance(value, dict) and value:
        pairs = [(str(name), inner) for name, inner in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        pairs = [(str(number), item) for number, item in enumerate(value, first_item)]
    else:
        return {prefix: value}
    found: dict[str, Any] = {}
    for name, inner in pairs:
        found |= flatten(inner, f"{prefix}.{name}" if prefix else name, first_item=first_item)
    return found
