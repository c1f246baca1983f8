"""Settings of a lexical search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.config.base import Fraction, RunHeader
from engine.config.bitext import BitextConfig
from engine.config.collections import CollectionConfig
from engine.config.inputs import ANY_BITEXT, ANY_COLLECTION, bitext_inputs
from engine.extensions.runs import Input, RunKind
from engine.extensions.scorings import LEXICAL_SCORINGS
from engine.registry import OneOf, describe


class LexicalConfig(RunHeader):
    """Search by the words or characters that a query and a document share, or by translations of words.

    It is a baseline for encoders, and evidence that can be fused with theirs.
    """

    kind: Literal["lexical"] = "lexical"
    """The kind of run."""
    preset: str | None = None
    """The preset that this configuration is based on; recorded with the run."""
    method: Annotated[str, OneOf(LEXICAL_SCORINGS)] = Field(
        "bm25", description=describe("How texts are compared.", LEXICAL_SCORINGS)
    )
    k1: float = Field(0.9, ge=0)
    """BM25's saturation of a word's count (Anserini's default, as `b` is); 0 uses presence only."""
    b: float = Field(0.4, ge=0, le=1)
    """BM25's share of the normalisation by document length."""
    shortest: int = Field(3, ge=1, le=10)
    """TF-IDF's shortest n-gram in characters."""
    longest: int = Field(5, ge=1, le=10)
    """TF-IDF's longest n-gram in characters."""
    sublinear: bool = True
    """Whether TF-IDF uses 1 + ln(count) instead of an n-gram's count."""
    same_word: Fraction = 0.3
    """PSQ's probability that a query word which occurs in the documents stands for itself (names, numbers); a
    word without translations always does."""
    bitext: list[BitextConfig] = Field(default_factory=list)
    """Sentence pairs from which PSQ learns translations of words, in every query language that is not the
    documents'."""
    overlap: Literal["drop", "keep"] = "drop"
    """Drop pairs with a sentence that is in an evaluation collection, spelled the same or nearly the same."""
    depth: int = Field(100, ge=1)
    """Ranks that are kept for each query."""
    collections: list[CollectionConfig] = Field(min_length=1)
    """Collections to search."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(
                f"shortest = {self.shortest} is above longest = {self.longest}, so no n-gram fits; lower it"
            )
        self._check_bitext()
        for collection in self.collections:
            if collection.mining:
                raise ValueError(
                    "collections.mining compares vectors, and a lexical run has none; leave it out"
                )
        return self

    def _check_bitext(self) -> None:
        learns = LEXICAL_SCORINGS[self.method].translations
        if learns and not self.bitext:
            raise ValueError(
                f"the method {self.method!r} learns translations of words from [[bitext]], and there is "
                "none; add it"
            )
        if not learns and self.bitext:
            raise ValueError(f"the method {self.method!r} learns nothing from bitext; leave it out")
        if any(source.one_language for source in self.bitext):
            raise ValueError("bitext needs two different languages to learn translations of words from")
        targets = sorted({source.target_language for source in self.bitext})
        if len(targets) > 1:
            raise ValueError(
                f"bitext has the target languages {', '.join(targets)}; documents have one language, so give "
                "bitext with one"
            )


def _read_by_lexical(config: LexicalConfig) -> Iterator[Input]:
    yield from bitext_inputs(config.bitext)


LEXICAL = RunKind(
    settings=LexicalConfig,
    execute="engine.runs.lexical:lexical_run",
    searcher="engine.inspect.lexical:LexicalSearcher",
    inputs=_read_by_lexical,
    placeholders={"collections": ANY_COLLECTION, "bitext": ANY_BITEXT},
)
