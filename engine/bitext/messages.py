"""From a program's message to the sentence in it."""

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
    \s?\([&_]\w\)                       # after a word in a script without cases: (&F)
    | &(?!\w+;)(?=\w)(?!(?<=\w&)[A-Z])  # &File and E&xit, but neither &nbsp; nor R&D
    | (?<!\w)_(?=[^\W_])                # _File, but not snake_case
    """,
    re.VERBOSE,
)


def plain(message: str) -> str:
    """Return what a reader sees of a message: no placeholders, mark-up or mnemonics.

    Placeholders are cut out. They are the same characters on both sides, so left in they would teach an
    encoder to match ``%(name)s`` and let retrieval succeed without any language; and no query has them.
    HTML tags are cut out and character references resolved, tags that break a line leaving a space. The
    marks of keyboard mnemonics (``&File``, ``_File``) are cut out. A message without a letter left is
    empty.
    """
    text = _PLACEHOLDER.sub(lambda match: "%" if match["percent"] else "", message)
    text = html.unescape(_MNEMONIC.sub("", _TAG.sub("", _BREAK.sub(" ", text))))
    return text if any(character.isalpha() for character in text) else ""
