"""Bars of several runs in one table cell: a baseline, and where the others are longer or shorter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

_BLOCKS = " ▏▎▍▌▋▊▉█"
_LOST = "▄"
SHADES = "█▒░▓"
"""Characters that replace the colours where there are none; the first is that of the baseline."""

Bar = tuple[float, str]
"""A value from 0 to 1 and the paint of its bar: a colour (``#rrggbb``) or one of `SHADES`."""


@dataclass(frozen=True)
class BarDrawing:
    """Coloured characters for one cell of a table.

    Attributes
    ----------
    parts : tuple
        Text, its colour and its background; an empty colour is that of the row.
    """

    parts: tuple[tuple[str, str, str], ...]


def draw_bars(base: Bar, others: Sequence[Bar], width: int) -> BarDrawing:
    """Draw the bar of `base` and where the bars of the others end; `width` cells represent 1.

    Beyond the end of the baseline's bar, each stretch has the colour of the shortest bar that covers it.
    Before it, the lower half of a stretch has the colour of the longest bar that ends before it. Colours are
    exact to an eighth of a cell, shades to half a cell. Of equal values only the first is visible.
    """

    def eighths(value: float) -> int:
        return round(min(max(value, 0.0), 1.0) * width * 8)

    end = eighths(base[0])
    ends = sorted(((eighths(value), paint) for value, paint in others), key=lambda pair: pair[0])

    def cell(places: range) -> tuple[str, str, str]:
        shown = [base[1] if place < end else _first(ends, place) for place in places]
        missed = [paint for place in places if place < end and (paint := _last(ends, place))]
        if not base[1].startswith("#"):
            return (_LOST if len(missed) > 4 else _most(shown) or " "), "", ""
        if missed and places[-1] < end:
            return _LOST, _most(missed), base[1]
        if missed:  # the bar ends in this cell; its last piece is the part that others miss
            shown = [_most(missed) if paint == base[1] else paint for paint in shown]
        count = len(list(takewhile(shown[0].__eq__, shown))) if shown[0] else 0
        return _BLOCKS[count], shown[0], "" if count == 8 else _most(shown[count:])

    return BarDrawing(tuple(cell(range(8 * place, 8 * place + 8)) for place in range(width)))


def _first(ends: list[tuple[int, str]], place: int) -> str:
    """Return the paint of the shortest bar that covers `place`."""
    return next((paint for end, paint in ends if end > place), "")


def _last(ends: list[tuple[int, str]], place: int) -> str:
    """Return the paint of the longest bar that ends before `place`."""
    return next((paint for end, paint in reversed(ends) if end <= place), "")


def _most(paints: list[str]) -> str:
    """Return the most frequent paint, the first of equals."""
    return max(paints, key=paints.count)
