"""Text of any origin made inert for each kind of output, so that what reads the output does not obey it.

`visible` is for terminals and logs, `inert_json` for JSON and TOML, `csv_cell` for CSV, `markdown_text` and
`markdown_literal` for Markdown.
"""

from __future__ import annotations

import re
from typing import Any

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


def inert_json(text: str) -> str:
    r"""Return the JSON or TOML document `text` with escapes, such as ``\u009b``, for control characters.

    The document means the same. It is to have no control characters between its values but line breaks.
    """
    if _CONTROLS.search(text) is None:
        return text
    return _CONTROLS.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


_MARKUP = re.compile(r"[`|\\]|<(?=[A-Za-z/!?])|&(?=[#A-Za-z])|(?<=\])\(|(?<=\])\[")


def markdown_text(text: str) -> str:
    r"""Return `text` for a Markdown document, where it is one line and makes no code, table, link or HTML."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", visible(text))


_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|~!]|&(?=[#A-Za-z])")


def markdown_literal(text: str) -> str:
    r"""Return `text` for a Markdown document, where each of its characters is shown as it is.

    Names need this. Sentences go through `markdown_text`, which leaves them legible in the file, too.
    """
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", visible(text))


#: What a formula in a spreadsheet begins with, also in the wide forms of East Asian keyboards.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def csv_cell(value: Any) -> Any:
    r"""Return a cell of a CSV file that a spreadsheet shows instead of computing it.

    Text that begins as a formula begins with an apostrophe, and control characters but tabs and line breaks
    become escapes. Numbers, also as text (``-0.5``), stay as they are.
    """
    if not isinstance(value, str):
        return value
    if value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        value = f"'{value}"
    return visible(value, keep="\t\n")


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
