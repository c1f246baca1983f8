"""Text that someone typed, made fit for an encoder or refused in a sentence."""

from __future__ import annotations

import unicodedata

from engine.errors import InputError

#: Longer than anything an encoder takes in; it is refused, since cutting it would answer another question.
LONGEST = 2000


def typed(text: str, what: str = "the query") -> str:
    """Return `text` on one line, without space around it; `what` names it in errors.

    Raises
    ------
    InputError
        If it is empty or too long, or holds control characters or halves of surrogate pairs.
    """
    text = " ".join(text.split())
    if not text:
        raise InputError(f"{what} is empty; type some words")
    if len(text) > LONGEST:
        raise InputError(f"{what} has {len(text):,} characters; {LONGEST:,} at most are taken")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise InputError(f"{what} holds the control character U+{ord(character):04X}; type plain text")
    return text
