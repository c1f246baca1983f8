"""Check text that a user typed before an encoder reads it."""

from __future__ import annotations

import unicodedata

from engine.errors import InputError

#: The most characters that are accepted. No encoder reads more, and cutting a text would change its meaning.
LONGEST = 2000


def clean_text(text: str, name: str = "the query") -> str:
    """Return `text` on one line, without surrounding space.

    Parameters
    ----------
    text : str
    name : str
        What the text is, for error messages.

    Raises
    ------
    InputError
        If the text is empty, is too long, or contains control characters or unpaired surrogates.
    """
    text = " ".join(text.split())
    if not text:
        raise InputError(f"{name} is empty; type some words")
    if len(text) > LONGEST:
        raise InputError(f"{name} has {len(text):,} characters; type at most {LONGEST:,}")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise InputError(f"{name} contains the control character U+{ord(character):04X}; type plain text")
    return text
