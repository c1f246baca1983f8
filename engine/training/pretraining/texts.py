"""The text of a pre-training by language, and its held-out sentences."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from engine.bitext.text import code_of, read_text
from engine.config.pretraining import TextConfig
from engine.errors import InputError

#: Maximum share of a language's sentences that is held out.
HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Texts:
    """The distinct sentences of one language."""

    training: list[str]
    held_out: list[str]

    def hash(self) -> str:
        """Return a hash of the training sentences in their order."""
        return hashlib.blake2b("\n".join(self.training).encode(), digest_size=12).hexdigest()


def read_texts(sources: Sequence[TextConfig], held_out: int, seed: int) -> dict[str, Texts]:
    """Read all `sources` and return the text of each language, in order of its code.

    `held_out` sentences of each language, at most a tenth, are held out: those with the smallest hash, so
    that they do not depend on other text.

    Raises
    ------
    InputError
        If a source is missing, broken or empty.
    """
    together: dict[str, dict[str, None]] = {}
    for source in sources:
        together.setdefault(code_of(source), {}).update(dict.fromkeys(read_text(source, seed)))
    return {language: _split(list(together[language]), held_out) for language in sorted(together)}


def _split(sentences: list[str], held_out: int) -> Texts:
    count = min(held_out, int(HELD_OUT_SHARE * len(sentences)))
    ranks = sorted(range(len(sentences)), key=lambda i: hashlib.blake2b(sentences[i].encode()).digest())
    aside = set(ranks[:count])
    return Texts(
        [text for i, text in enumerate(sentences) if i not in aside],
        [text for i, text in enumerate(sentences) if i in aside],
    )


def sizes(texts: dict[str, Texts]) -> dict[str, int]:
    """Return each language's number of training sentences.

    Raises
    ------
    InputError
        If a language has none.
    """
    counts = {language: len(found.training) for language, found in texts.items()}
    empty = [language for language, count in counts.items() if not count]
    if empty:
        raise InputError(f"there is no text in {', '.join(empty)} to train on; add some or leave it out")
    return counts
