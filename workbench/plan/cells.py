"""Cells of a heatmap as characters: a colour, two colours in one character, or a shade without colours."""

from __future__ import annotations

from functools import lru_cache

from rich.segment import Segment
from rich.style import Style

from workbench.themes import BINS, GLYPHS, ramp


def ramp_of(name: str, dark: bool, system: str | None) -> tuple[str, ...]:
    """Return the colours of a ramp; the grey ramp if there are 256 colours, where only grey is monotone."""
    return ramp(name if system == "truecolor" else "grey", dark)


def full_cell(colour: str, width: int, mark: str, cursor: bool) -> Segment:
    """Return a cell in its colour with its mark in the middle; ◆ shows the cursor."""
    text = ("◆" * cursor + mark)[:width].center(width)
    return Segment(text, _style(_contrast(colour), colour, cursor))


def glyph_cell(value: int, width: int, mark: str, cursor: bool, base: Style) -> Segment:
    """Return a cell without colours: characters as dense as its value; −1 is a hidden cell.

    The cursor is shown in reverse video.
    """
    text = GLYPHS[max(0, -(-value * (len(GLYPHS) - 1) // (BINS - 1)))] * width
    if mark:
        text = text[: width - 1] + mark[0]
    return Segment(text, base + Style(reverse=True) if cursor else base)


def half_cells(upper: str, lower: str, marks: tuple[bool, bool], cursor: int | None) -> Segment:
    """Return the cells of two rows as one character.

    A mark replaces the half blocks: ``'`` marks the upper row, ``.`` the lower row and ``:`` both. `cursor`
    is 0 if the cursor is on the upper row, 1 if it is on the lower row, and None elsewhere.
    """
    if cursor is not None:
        under = lower if cursor else upper
        return Segment("▼" if cursor else "▲", _style(_contrast(under), under, True))
    if any(marks):
        under = upper if marks[0] else lower
        text = ":" if all(marks) else "'" if marks[0] else "."
        return Segment(text, _style(_contrast(under), under, True))
    return Segment("▀", _style(upper, lower))


@lru_cache(maxsize=4096)
def _style(colour: str, ground: str, bold: bool = False) -> Style:
    return Style(color=colour, bgcolor=ground, bold=bold)


@lru_cache
def _contrast(colour: str) -> str:
    red, green, blue = bytes.fromhex(colour[1:7])
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else "#ffffff"
