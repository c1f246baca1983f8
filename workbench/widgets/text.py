"""Values as short text for a terminal: numbers, ages, foreign scripts, all measured in cells."""

from __future__ import annotations

import math
import unicodedata
from datetime import datetime
from typing import Any

from rich.cells import cell_len, set_cell_size

LEFT_TO_RIGHT = "\u200e"


def plain(value: Any) -> str:
    """Return `value` on one line, with nothing in it that could steer the terminal."""
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
    text = "".join(_visible(character) for character in text[:4000])
    # A token may begin with a mark, which needs a base to stand on.
    if unicodedata.category(text[:1] or " ").startswith("M"):
        text = "◌" + text
    # A line that begins with an Arabic or Hebrew letter would be laid out from the right as a whole.
    return text + LEFT_TO_RIGHT if right_to_left(text) else text


def _visible(character: str) -> str:
    if character in "\n\r\t":
        return {"\n": "⏎", "\r": "", "\t": " "}[character]
    category = unicodedata.category(character)
    if category in ("Cc", "Cs"):
        return "·"
    # Marks that reorder what follows them stay out; joiners are part of their scripts.
    return "" if "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069" else character


def right_to_left(text: str) -> bool:
    """Tell whether `text` has letters that run from right to left."""
    return not text.isascii() and any(
        unicodedata.bidirectional(character) in ("R", "AL") for character in text
    )


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Return `text` in exactly `width` cells, shortened with an ellipsis where it is longer."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        return set_cell_size(set_cell_size(text, width - 1) + "…", width)
    space = " " * (width - length)
    return space + text if right else text + space


def number(value: float | None, digits: int = 4) -> str:
    """Return `value` with about `digits` significant digits and no needless exponent."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    return f"{value:.{digits}g}"


def score(value: float | None) -> str:
    """Return a measure's value with three decimals."""
    return "" if value is None else f"{value:.3f}"


def signed(value: float) -> str:
    """Return a difference with three decimals and its sign, without the zero before the point."""
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
