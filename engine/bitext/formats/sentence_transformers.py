"""Tab-separated files for sentence-transformers: a sentence and its translations on each line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.bitext.files import numbered_lines
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, SentencePair


def read_sentence_transformers(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the pairs of a file for sentence-transformers: a sentence, then its translations.

    The first column is in the target language, and every other column is a translation into the source
    language. Each translation is a pair. Its id is the line number, followed by the column number if the line
    has several translations.

    Raises
    ------
    InputError
        If a line has only one column or is not UTF-8.
    """
    for number, line in numbered_lines(path):
        if not line.strip():
            yield SentencePair("", "", source, target, str(number))
            continue
        english, *translations = line.split("\t")
        if not translations:
            raise InputError(
                "1 column, where a sentence and its translations are expected", path=path, line=number
            )
        for column, text in enumerate(translations, 2):
            name = str(number) if len(translations) == 1 else f"{number}:{column}"
            yield SentencePair(text, english, source, target, name)


SENTENCE_TRANSFORMERS = BitextFormat(
    name="sentence-transformers",
    meaning="tab-separated lines for sentence-transformers: a sentence, then its translations",
    title="tab-separated sentences with their translations",
    read=read_sentence_transformers,
)
