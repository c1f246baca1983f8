"""A heatmap's cell as characters: in its colour, as half of one, or as a shade without colours."""

from __future__ import annotations

from functools import lru_cache

from rich.segment import Segment
from rich.style import Style

from workbench.themes import BINS, GLYPHS, ramp


def ramp_of(name: str, dark: bool, system: str | None) -> tuple[str, ...]:
    """Return the colours of a ramp; with 256 colours only grey is monotone, so grey is what they get."""
    return ramp(name if system == "truecolor" else "grey", dark)


def whole(colour: str, width: int, mark: str, cursor: bool) -> Segment:
    """Return a cell in its colour with its mark in the middle."""
    text = ("◆" * cursor + mark)[:width].center(width)
    return Segment(text, _painted(_contrast(colour), colour, cursor))


def shade(value: int, width: int, mark: str, cursor: bool, base: Style) -> Segment:
    """Return a cell without colours: a character as dark as its value (−1: hidden), the cursor reversed."""
    text = GLYPHS[max(0, -(-value * (len(GLYPHS) - 1) // (BINS - 1)))] * width
    if mark:
        text = text[: width - 1] + mark[0]
    return Segment(text, base + Style(reverse=True) if cursor else base)


def halves(upper: str, lower: str, marks: tuple[bool, bool], cursor: int | None) -> Segment:
    """Return the cells of two rows in one character.

    A mark takes the whole character, since it has one ground only: ``'`` the upper row's, ``.`` the lower's,
    ``:`` both. `cursor` is 0 on the upper row, 1 on the lower, None elsewhere.
    """
    if cursor is not None:
        under = lower if cursor else upper
        return Segment("▼" if cursor else "▲", _painted(_contrast(under), under, True))
    if any(marks):
        under = upper if marks[0] else lower
        text = ":" if all(marks) else "'" if marks[0] else "."
        return Segment(text, _painted(_contrast(under), under, True))
    return Segment("▀", _painted(upper, lower))


@lru_cache(maxsize=4096)
def _painted(colour: str, ground: str, bold: bool = False) -> Style:
    return Style(color=colour, bgcolor=ground, bold=bold)


@lru_cache
def _contrast(colour: str) -> str:
    red, green, blue = bytes.fromhex(colour[1:7])
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else "#ffffff"
