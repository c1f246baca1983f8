"""Settings of a source of sentence pairs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.config.base import Fraction, Settings

BitextFormat = Literal[
    "auto",
    "tmx",
    "xliff",
    "gettext",
    "moses",
    "tsv",
    "sentence-transformers",
    "jsonl",
    "parquet",
    "huggingface",
]
"""Formats of sentence pairs; ``auto`` tells one from the name."""


class BitextConfig(Settings):
    """One source of sentence pairs, the second language being English unless it says otherwise."""

    path: str
    """A file or folder (inside the data home when relative), or ``package:NAME`` for installed catalogues."""
    format: BitextFormat = "auto"
    """The file format; ``auto`` tells it from the name."""
    language: str
    """ISO 639 code of the language that queries come in; that of the teacher reads plain text, a sentence a
    line, and puts it on both sides."""
    target_language: str = "en"
    """ISO 639 code of the teacher's language."""
    monolingual: bool = False
    """Put the target side on both sides: text of the teacher's language, with which a student of another
    checkpoint enters the teacher's space. `language` then only says which translations to pass over."""

    start: int = Field(0, ge=0)
    """First pair to use, counted in the source's order before anything is dropped."""
    stop: int | None = Field(None, ge=1)
    """Pair to stop before; none reads to the end."""
    limit: int | None = Field(None, ge=1)
    """Use at most this many pairs, drawn with the run's seed."""
    part: Literal["all", "train", "test"] = "all"
    """All pairs, or one side of a split by a hash of the English sentence, the same in every language."""
    test_share: Fraction = 0.3
    """Share of the English sentences on the test side of that split."""
    max_characters: int = Field(1000, ge=1)
    """Drop pairs with a longer side."""
    max_ratio: float = Field(9.0, ge=1.0)
    """Drop pairs whose sides differ in length by more than this factor."""
    min_score: float | None = None
    """Drop scored pairs below this score (1.04 is WikiMatrix's and CCMatrix's usual threshold)."""
    identify: bool = False
    """Drop pairs with a side that a language identifier takes for another language (4,000 pairs a second)."""

    @property
    def one_language(self) -> bool:
        """Whether both sides are the same text."""
        return self.monolingual or self.language == self.target_language
