"""Control characters in text, written as escapes, so that a terminal shows them instead of obeying them."""

from __future__ import annotations

import re

_CONTROLS = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0 and C1 controls, such as the ESC that begins a command to the terminal
    "\u2028\u2029"  # separators of lines and paragraphs
    "\u202a-\u202e\u2066-\u206f"  # embeddings, overrides and isolates of direction; deprecated controls
    "\ufff9-\ufffb"  # interlinear annotations
    "\ud800-\udfff"  # lone surrogates, which no encoding has
    "]"
)


def visible(text: str, keep: str = "") -> str:
    r"""Return `text` with escapes, such as ``\x1b`` and ``\u202e``, for control characters.

    Joiners and the marks for text direction (U+200C to U+200F) are part of their scripts and stay.

    Parameters
    ----------
    text : str
        Text of any origin.
    keep : str
        Control characters that stay, such as line breaks.
    """
    if text.isprintable() or _CONTROLS.search(text) is None:
        return text
    return _CONTROLS.sub(lambda found: found[0] if found[0] in keep else escape(found[0]), text)


def escape(character: str) -> str:
    r"""Return the escape of a character, such as ``\x1b``."""
    return character.encode("unicode_escape").decode()


def controls(text: str, keep: str = "") -> list[int]:
    """Return the places of the control characters in `text` that are not in `keep`."""
    if text.isprintable():
        return []
    return [found.start() for found in _CONTROLS.finditer(text) if found[0] not in keep]


def without_controls(text: str) -> str:
    """Return `text` without control characters."""
    return text if text.isprintable() else _CONTROLS.sub("", text)
