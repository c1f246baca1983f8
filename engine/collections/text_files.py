"""Table rows and fields of a collection's files, with line numbers for messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.bitext.files import numbered_lines
from engine.counted import counted
from engine.errors import InputError
from engine.languages import language


def read_rows(path: Path, columns: int, names: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of a tab-separated file with their line numbers; quotes have no special meaning.

    Parameters
    ----------
    path : path
    columns : int
        Number of cells in each line.
    names : str
        What the cells are, for messages.

    Raises
    ------
    InputError
        As `numbered_lines`, or if a line has another number of cells.
    """
    for number, line in numbered_lines(path, blank=False):
        cells = line.split("\t")
        if len(cells) != columns:
            raise InputError(
                f"{counted(len(cells), 'column')} where {columns} are expected ({names}, separated by tabs)",
                path=path,
                line=number,
            )
        yield number, cells


def text_of(record: dict[str, Any], names: tuple[str, ...], path: Path, line: int) -> str:
    """Return the text of `record` under the first of `names` that it has; a whole number counts as text.

    Raises
    ------
    InputError
        If it has none of them, or the value is not a text.
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
                    f"{name!r} has half a surrogate pair, which is not a character", path=path, line=line
                )
            if "\0" in value:
                raise InputError(f"{name!r} contains a NUL, which is not text", path=path, line=line)
            return value
    raise InputError(f"this line has no {names[0]!r}; every line needs one", path=path, line=line)


def language_code_at(tag: str, path: Path, line: int) -> str:
    """Return the code of the language that `tag` means, in line `line` of the file `path`.

    Raises
    ------
    InputError
        If the language is not known.
    """
    try:
        return language(tag).code
    except InputError as error:
        raise InputError(str(error), path=path, line=line) from error
