"""Values as short text for a terminal, measured in cells."""

from __future__ import annotations

import math
import unicodedata
from datetime import datetime
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Span, Text

from engine.visible import controls, escape, visible

LEFT_TO_RIGHT = "\u200e"
_BLANKS = str.maketrans({"\n": "⏎", "\r": "", "\t": " "})


def plain(value: Any) -> str:
    """Return `value` on one line, with escapes for control characters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    text = value if isinstance(value, str) else str(value)
    if text.isascii() and text.isprintable():
        return text
    text = visible(text[:4000].translate(_BLANKS))
    # A token may begin with a combining mark, which needs a base character.
    if unicodedata.category(text[:1] or " ").startswith("M"):
        text = "◌" + text
    # A terminal would lay out the whole line from the right if it begins with an Arabic or Hebrew letter.
    return text + LEFT_TO_RIGHT if right_to_left(text) else text


def inert(content: str | Text) -> Text:
    """Return text for the screen: nothing is markup, and control characters but line breaks are escaped."""
    text = Text(content) if isinstance(content, str) else content
    places = controls(text.plain, keep="\n")
    if not places:
        return text
    shown = text.blank_copy(visible(text.plain, keep="\n"))

    def moved(place: int) -> int:
        return place + sum(len(escape(text.plain[at])) - 1 for at in places if at < place)

    shown.spans = [Span(moved(start), moved(end), style) for start, end, style in text.spans]
    return shown


def right_to_left(text: str) -> bool:
    """Return whether `text` has letters of a script that is written from right to left."""
    return not text.isascii() and any(
        unicodedata.bidirectional(character) in ("R", "AL") for character in text
    )


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Return `text` in exactly `width` cells; a longer text is cut and ends in an ellipsis."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        return set_cell_size(set_cell_size(text, width - 1) + "…", width)
    space = " " * (width - length)
    return space + text if right else text + space


def number(value: float | None, digits: int = 4) -> str:
    """Return `value` with `digits` significant digits; empty for None."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    return f"{value:.{digits}g}"


def score(value: float | None) -> str:
    """Return the value of a measure with three decimals; empty for None."""
    return "" if value is None else f"{value:.3f}"


def signed(value: float) -> str:
    """Return a difference with its sign and three decimals, without the zero before the point."""
    rounded = f"{value:+.3f}"
    if rounded in ("+0.000", "-0.000"):
        return " .000"
    return rounded.replace("-", "−").replace("+0.", "+.").replace("−0.", "−.")


def p_value(value: float) -> str:
    """Return a p value as papers print it."""
    return "<.001" if value < 0.001 else f"{value:.3f}".lstrip("0") if value < 1 else "1"


def bar(value: float, width: int, low: float = 0.0, high: float = 1.0) -> str:
    """Return a thin bar of at most `width` cells, in half cells."""
    share = 0.0 if high <= low else min(max((value - low) / (high - low), 0.0), 1.0)
    halves = round(share * width * 2) if math.isfinite(share) else 0
    return "━" * (halves // 2) + "╸" * (halves % 2)
