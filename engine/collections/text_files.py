"""Lines, JSON objects and table rows of a collection's files, each with its line's number for errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.bitext.files import open_bytes, read_lines
from engine.errors import InputError


def read_numbered(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file, gzipped if it is called ``.gz``, with their numbers from one.

    Blank lines are left out.

    Raises
    ------
    InputError
        If the file cannot be opened, or as `engine.bitext.files.read_lines`.
    """
    with open_bytes(path) as stream:
        for number, line in enumerate(read_lines(stream, path), 1):
            if line.strip():
                yield number, line


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a JSON Lines file with their lines' numbers.

    Raises
    ------
    InputError
        As `read_numbered`, or if a line is not a JSON object.
    """
    for number, line in read_numbered(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "nested too deeply or a number too long")
            raise InputError(
                f"it is not JSON ({reason}); fetch the file again", path=path, line=number
            ) from error
        if not isinstance(record, dict):
            raise InputError("every line should be a JSON object", path=path, line=number)
        yield number, record


def read_rows(path: Path, columns: int, names: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of a tab-separated file with their lines' numbers; quotes have no meaning.

    Parameters
    ----------
    path : path
    columns : int
        Cells that each line has.
    names : str
        What they are, for errors.

    Raises
    ------
    InputError
        As `read_numbered`, or if a line has another number of cells.
    """
    for number, line in read_numbered(path):
        cells = line.split("\t")
        if len(cells) != columns:
            raise InputError(
                f"{len(cells)} columns where {columns} are expected ({names}, between tabs)",
                path=path,
                line=number,
            )
        yield number, cells


def text_of(record: dict[str, Any], names: tuple[str, ...], path: Path, line: int) -> str:
    """Return the text that `record` has under the first of `names` that it has; a number counts as text.

    Raises
    ------
    InputError
        If it has none of them, or that is no text.
    """
    for name in names:
        if name in record:
            value = record[name]
            if isinstance(value, int) and not isinstance(value, bool):
                value = str(value)
            if not isinstance(value, str):
                raise InputError(f"{name!r} should be a text", path=path, line=line)
            if any("\ud800" <= character <= "\udfff" for character in value):
                raise InputError(
                    f"{name!r} has half a surrogate pair, which is no character", path=path, line=line
                )
            if "\0" in value:
                raise InputError(f"{name!r} holds a NUL, which no text does", path=path, line=line)
            return value
    raise InputError(f"it has no {names[0]!r}; every line needs one", path=path, line=line)
