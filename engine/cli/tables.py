"""Tables on stdout. On a terminal they are wrapped and coloured; in a pipe or file they are plain."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from engine.cli.output import CsvWriter
from engine.flatten import flatten
from engine.visible import visible

#: The width of a line in a pipe or file: more than any table has, so that nothing is wrapped there.
_UNBOUNDED = 1_000_000

_MARKS = "▁▂▃▄▅▆▇█"
_STYLES = {
    "running": "cyan",
    "queued": "cyan",
    "finished": "green",
    "ok": "green",
    "yes": "green",
    "stopped": "yellow",
    "warning": "yellow",
    "unknown": "yellow",
    "in part": "yellow",
    "failed": "red",
    "crashed": "red",
    "missing": "red",
    "damaged": "red",
}


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Collection[str] = (),
    title: str = "",
) -> None:
    """Print `rows` under the names of `columns`; the columns in `right` are aligned right."""
    if title:
        _print(Text(one_line(title), style="bold"))
    table = _filled(columns, rows, right)
    if columns:
        _print(table)


@dataclass(frozen=True)
class Column:
    """A column of a table that is fitted to the width of a terminal.

    Attributes
    ----------
    name : str
    right : bool
        Whether it is aligned right.
    least : int, optional
        The width to which its cells may be cut, in their middle; None never cuts them.
    leave_out : int
        If the table is too wide, the column with the largest number is left out first, and one with 0 never.
    """

    name: str
    right: bool = False
    least: int | None = None
    leave_out: int = 0


def print_fitted_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print `rows` under `columns`, on a terminal within its width. In a pipe or file nothing is left out."""
    cells = [[column.name for column in columns], *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    if sys.stdout.isatty():
        widths = _fitted(columns, widths, _console(Text()).width)
    kept = [place for place, width in enumerate(widths) if width]
    shown = [[cut_middle(row[place], widths[place]) for place in kept] for row in cells[1:]]
    names = [columns[place].name for place in kept]
    right = [columns[place].name for place in kept if columns[place].right]
    _print(_filled(names, shown, right, wrapped=False))


def _fitted(columns: Sequence[Column], widths: Sequence[int], space: int) -> list[int]:
    """Return the widths with which columns of `widths` fit into `space`; 0 leaves a column out."""
    wanted = list(widths)
    fitted = [
        width if column.least is None else min(width, max(column.least, cell_len(column.name)))
        for column, width in zip(columns, widths, strict=True)
    ]

    def spare() -> int:
        return space - sum(fitted) - 2 * (sum(map(bool, fitted)) - 1)

    while spare() < 0:
        place = max(range(len(columns)), key=lambda i: columns[i].leave_out if fitted[i] else 0)
        if not columns[place].leave_out or not fitted[place]:
            break
        fitted[place] = wanted[place] = 0
    while (left := spare()) > 0:
        growing = [place for place, width in enumerate(fitted) if width < wanted[place]][:left]
        if not growing:
            break
        for place in growing:
            fitted[place] += 1
    return fitted


def cut_middle(text: str, width: int) -> str:
    """Return `text` in at most `width` cells; the middle of a longer text is replaced by an ellipsis."""
    if cell_len(text) <= width:
        return text
    end = _first_cells(text[::-1], (width - 1) // 2)[::-1]
    while end and not cell_len(end[0]):  # a combining mark without its letter
        end = end[1:]
    return f"{_first_cells(text, width // 2)}…{end}"


def _first_cells(text: str, width: int) -> str:
    """Return the beginning of `text` that fits into `width` cells."""
    count = sum(1 for used in itertools.accumulate(map(cell_len, text)) if used <= width)
    return text[:count]


def _filled(
    columns: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str], *, wrapped: bool = True
) -> Table:
    table = _table(show_header=True)
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(Text(one_line(name)), justify=justify, overflow="fold", no_wrap=not wrapped)
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


class GrowingTable:
    """A table that is printed in parts, each as soon as it is added.

    A table of one part is printed as by `print_table`. The first part determines the widths of the columns.
    On a terminal, wider cells of later parts are wrapped; in a pipe or file they shift the rest of the line.

    Parameters
    ----------
    columns : sequence of str
    right : collection of str
        The columns that are aligned right.
    """

    def __init__(self, columns: Sequence[str], *, right: Collection[str] = ()) -> None:
        self._columns, self._right = columns, right
        self._widths: list[int] = []
        self._begun = False

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Print more rows."""
        if not self._begun:
            self._begun = True
            print_table(self._columns, rows, right=self._right)
            self._widths = self._widths_of(rows)
            return
        for row in rows:
            cells = [one_line(cell) for cell in row]
            sizes = [cell_len(cell) for cell in cells]
            fits = all(size <= width for size, width in zip(sizes, self._widths, strict=True))
            if sys.stdout.isatty() and not (fits and self._plain(cells)):
                self._print_wrapped(row)
                continue
            padded = [
                " " * (width - size) + cell if name in self._right else cell + " " * (width - size)
                for name, cell, size, width in zip(self._columns, cells, sizes, self._widths, strict=True)
            ]
            sys.stdout.write("  ".join(padded).rstrip() + "\n")

    def end(self) -> None:
        """Print the names of the columns of a table without rows."""
        if not self._begun:
            print_table(self._columns, [], right=self._right)

    @staticmethod
    def _plain(cells: Sequence[str]) -> bool:
        return not any(cell in _STYLES for cell in cells)

    def _widths_of(self, rows: Sequence[Sequence[str]]) -> list[int]:
        """Return the widths that `print_table` gave the columns."""
        table = _filled(self._columns, rows, self._right)
        console = _console(table)
        widths = table._calculate_column_widths(console, console.options)
        return [max(1, width - 2) for width in widths[:-1]] + widths[-1:]

    def _print_wrapped(self, row: Sequence[str]) -> None:
        table = _table(show_header=False)
        for name, width in zip(self._columns, self._widths, strict=True):
            table.add_column(width=width, justify="right" if name in self._right else "left", overflow="fold")
        table.add_row(*map(_cell, row))
        _print(table)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair on each line; pairs without a value are left out."""
    table = _table(show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        if value:
            table.add_row(Text(name), _cell(value))
    _print(table)


def print_line(text: str = "", *, bold: bool = False) -> None:
    """Print one line."""
    _print(Text(one_line(text), style="bold" if bold else ""))


def print_csv(rows: Sequence[Mapping[str, object]], *, raw: bool = False) -> None:
    """Print `rows`, which have the same keys, as CSV; nested values get a column for each of their keys.

    With `raw` cells are written as they are, as by `CsvWriter`.
    """
    flat = [
        {
            name: " ".join(map(str, value)) if isinstance(value, list) else value
            for name, value in flatten(dict(row)).items()
        }
        for row in rows
    ]
    names = list(flat[0]) if flat else []
    writer = CsvWriter(sys.stdout, raw=raw)
    writer.rows([names])
    writer.rows([row[name] for name in names] for row in flat)


def one_line(text: str) -> str:
    r"""Return `text` with escapes, such as ``\n``, for line breaks and control characters."""
    return visible(text)


def score_text(value: float | None) -> str:
    """Return the value of a measure with three decimals; the text is empty if `value` is None."""
    return "" if value is None else f"{value:.3f}"


def interval_text(low: float | None, high: float | None, sign: str = "") -> str:
    """Return an interval with three decimals, signed if `sign` is ``+``; empty if a bound is None."""
    return "" if low is None or high is None else f"[{low:{sign}.3f}, {high:{sign}.3f}]"


def figure_text(row: Mapping[str, Any] | None) -> str:
    """Return the value of a row of table ``scores``, and its interval if it has one; empty if it is None."""
    if row is None:
        return ""
    return f"{score_text(row['value'])} {interval_text(row['low'], row['high'])}".rstrip()


def size_text(count: float) -> str:
    """Return a number of bytes in its largest fitting decimal unit (1 kB is 1000 B)."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if count < 1000:
            break
        count, unit = count / 1000, larger
    return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """Return a line of block characters, one for each value; ``·`` marks values that are not finite.

    If there are more than `width` values, the means of equal intervals are drawn.
    """
    if len(values) > width:
        edges = [round(place * len(values) / width) for place in range(width + 1)]
        values = [sum(values[start:end]) / (end - start) for start, end in itertools.pairwise(edges)]
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(_MARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_MARKS[round((value - low) * scale)] if math.isfinite(value) else "·" for value in values)


def _table(*, show_header: bool) -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=show_header, header_style="bold")


def _cell(value: str) -> Text:
    return Text(one_line(value), style=_STYLES.get(value, ""))


def _print(content: RenderableType) -> None:
    console = _console(content)
    with console.capture() as capture:
        console.print(content)
    for line in capture.get().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def _console(content: RenderableType) -> Console:
    """Return the console on stdout, wide enough for `content`."""
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _UNBOUNDED
    else:
        # If even wrapped columns do not fit, the terminal wraps the lines; rich would truncate cells.
        console.width = max(console.width, console.measure(content).minimum)
    return console
