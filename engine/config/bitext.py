"""Settings of a source of sentence pairs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from engine.config.base import Fraction, Settings
from engine.extensions.bitext import BITEXT_FORMATS
from engine.registry import OneOf


class BitextConfig(Settings):
    """One source of sentence pairs; the second language is English by default."""

    path: str
    """A file or folder (relative to the data home), ``package:NAME`` for the gettext catalogues of an
    installed package, or ``hf://datasets/OWNER/NAME/PATH`` for a dataset of the Hugging Face hub that
    ``data fetch`` downloaded."""
    format: Annotated[str, OneOf(BITEXT_FORMATS, besides=("auto",))] = "auto"
    """The file format; ``auto`` recognises it from the name."""
    language: str
    """Language of the queries, as an ISO 639 code. A script or region (``zh-Hant``, ``pt-BR``) selects among
    several variants of the language in the source; results have the language's code. If it is the teacher's
    language, the source is plain text with one sentence per line, which is used on both sides."""
    target_language: str = "en"
    """Language of the teacher, as an ISO 639 code."""
    monolingual: bool = False
    """Use the target side on both sides: text in the teacher's language, which aligns a student of another
    checkpoint with the teacher's vector space. `language` then only selects the translations to ignore."""
    split: str | None = None
    """Split of a question set to read, such as AfriQA's ``train`` (its default), ``dev``, ``test`` or
    ``all``."""

    start: int = Field(0, ge=0)
    """First pair to use, counted in the order of the source before any pair is dropped."""
    stop: int | None = Field(None, ge=1)
    """Pair to stop before; none reads to the end."""
    limit: int | None = Field(None, ge=1)
    """Use at most this many pairs, drawn with the run's seed, evenly from the documents where they are
    known."""
    part: Literal["all", "train", "test"] = "all"
    """All pairs, or one part of a split by a hash of the English sentence, which is the same in every
    language. If the source knows the document of a sentence (NTREX-128, TICO-19), whole documents are in one
    part."""
    test_share: Fraction = 0.3
    """Share of the English sentences, or of the documents, in the test part of that split."""
    max_characters: int = Field(1000, ge=1)
    """Drop pairs with a longer side."""
    max_ratio: float = Field(9.0, ge=1.0)
    """Drop pairs whose sides differ in length by more than this factor."""
    min_score: float | None = None
    """Drop scored pairs below this score (1.04 is the usual threshold for WikiMatrix and CCMatrix). Pairs
    without a score, which may be written as an empty cell, null or NaN, are kept."""
    identify: bool = False
    """Drop pairs with a side that is identified as another language (4,000 pairs per second)."""

    @property
    def one_language(self) -> bool:
        """Whether both sides are the same text."""
        return self.monolingual or self.language == self.target_language


class TrainingBitextConfig(BitextConfig):
    """One source of sentence pairs to train on."""

    repeat: int = Field(1, ge=1)
    """How often each pair counts: with 3, its language counts it as three pairs and draws it three times as
    often. Held-out pairs count once."""

    @model_validator(mode="before")
    @classmethod
    def _of_any_source(cls, value: Any) -> Any:
        return value.model_dump(exclude_unset=True) if type(value) is BitextConfig else value
