"""Remove what is not text from the messages of programs: placeholders, markup and keyboard mnemonics."""

from __future__ import annotations

import html
import re

_PLACEHOLDER = re.compile(
    r"""
    (?P<percent>%%)                                          # a percent sign
    | %\([^()]*\)[-+#0]*\d*(?:\.\d+)?[a-zA-Z]                # Python: %(name)s
    | (?<!\d)%(?:\d+\$)?[-+#0]*\d*(?:\.\d+)?(?:hh?|ll?|[jzt])?[diouxXeEfFgGcrsan@]  # C: %s %1$d %5.2f
    | (?<!\d)%L?\d{1,2}(?!\d)                                # Qt: %1
    | \{\{\s*[\w.]+\s*\}\}                                   # templates: {{ name }}
    | \$?\{[\w.!:\[\]<>+,%-]*\}                              # Python and shells: {name} ${name}
    """,
    re.VERBOSE,
)
_BREAK = re.compile(r"</?(?:br|p|li|ul|ol|div|table|tr|td|th|h\d)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_MNEMONIC = re.compile(
    r"""
    \s?\([&_]\w\)                       # after a word in a script without upper case: (&F)
    | &(?!\w+;)(?=\w)(?!(?<=\w&)[A-Z])  # &File and E&xit, but neither &nbsp; nor R&D
    | (?<!\w)_(?=[^\W_])                # _File, but not snake_case
    """,
    re.VERBOSE,
)


def plain(message: str) -> str:
    """Return the text of a message without placeholders, markup and mnemonics.

    Placeholders are removed because they are identical in both languages: an encoder would learn to match
    ``%(name)s``, and retrieval would succeed without any translation. Queries do not contain them. HTML tags
    are removed (those that break a line become a space) and character references are resolved. The marks of
    keyboard mnemonics (``&File``, ``_File``) are removed. If no letter remains, the result is empty.
    """
    text = _PLACEHOLDER.sub(lambda match: "%" if match["percent"] else "", message)
    text = html.unescape(_MNEMONIC.sub("", _TAG.sub("", _BREAK.sub(" ", text))))
    return text if any(character.isalpha() for character in text) else ""
