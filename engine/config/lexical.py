"""Settings of a lexical search."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.config.base import RunHeader
from engine.config.collections import CollectionConfig
from engine.config.inputs import ANY_COLLECTION
from engine.extensions.runs import RunKind
from engine.extensions.scorings import LEXICAL_SCORINGS
from engine.registry import OneOf, describe


class LexicalConfig(RunHeader):
    """Search by the words or characters that a query and a document share: a baseline for encoders."""

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
        for collection in self.collections:
            if collection.mining:
                raise ValueError(
                    "collections.mining compares vectors, and a lexical run has none; leave it out"
                )
        return self


LEXICAL = RunKind(
    settings=LexicalConfig,
    execute="engine.runs.lexical:lexical_run",
    searcher="engine.inspect.lexical:LexicalSearcher",
    placeholders={"collections": ANY_COLLECTION},
)
