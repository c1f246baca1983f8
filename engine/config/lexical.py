"""Settings of runs that train nothing: lexical search, and the fusion of finished runs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.config.base import RunHeader, Settings
from engine.config.collections import CollectionConfig
from engine.extensions.scorings import LEXICAL_SCORINGS
from engine.registry import OneOf, describe


class LexicalConfig(RunHeader):
    """Search by the words or the characters that a query and a document share: the floor under encoders."""

    kind: Literal["lexical"] = "lexical"
    """The kind of run."""
    preset: str | None = None
    """Recipe this configuration started from; recorded with the run."""
    method: Annotated[str, OneOf(LEXICAL_SCORINGS)] = Field(
        "bm25", description=describe("How texts are compared.", LEXICAL_SCORINGS)
    )
    k1: float = Field(0.9, ge=0)
    """BM25's saturation of a word's count, Anserini's default as `b` is; 0 looks at presence only."""
    b: float = Field(0.4, ge=0, le=1)
    """BM25's share of the normalisation by document length."""
    shortest: int = Field(3, ge=1, le=10)
    """TF-IDF's shortest n-gram in characters."""
    longest: int = Field(5, ge=1, le=10)
    """TF-IDF's longest n-gram in characters."""
    sublinear: bool = True
    """Whether TF-IDF takes 1 + ln(count) for an n-gram's count."""
    depth: int = Field(100, ge=1)
    """Ranks kept for each query."""
    collections: list[CollectionConfig] = Field(min_length=1)
    """Collections to search."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(
                f"shortest = {self.shortest} is above longest = {self.longest}, which leaves no n-gram"
            )
        for collection in self.collections:
            if collection.mining:
                raise ValueError(
                    "collections.mining compares vectors both ways, which a lexical run has not; leave it out"
                )
        return self


class FusedSystem(Settings):
    """One of the rankings that are fused."""

    run: str
    """A finished run beside this one: its id, the beginning of one id, or a name (its newest run)."""
    scoring: str | None = None
    """Which of the run's rankings, such as ``maxsim`` or ``dense``; none takes the only one it has."""


class FuseConfig(RunHeader):
    """Fuse the stored rankings of finished runs by reciprocal rank (Cormack et al. 2009)."""

    kind: Literal["fuse"] = "fuse"
    """The kind of run."""
    preset: str | None = None
    """Recipe this configuration started from; recorded with the run."""
    systems: list[FusedSystem] = Field(min_length=2)
    """What is fused; all that the systems have in common is: collection, revision, protocol, direction."""
    k: int = Field(60, ge=0)
    """Added to every rank: the larger, the less the first ranks stand out."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        seen = set()
        for system in self.systems:
            if (system.run, system.scoring) in seen:
                raise ValueError(f"systems has {system.run!r} twice; name each ranking once")
            seen.add((system.run, system.scoring))
        return self
