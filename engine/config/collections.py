"""Settings of a collection."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from engine.config.base import Settings
from engine.config.bitext import BitextConfig

CollectionName = Literal[
    "bitext",
    "lareqa",
    "mlqa-r",
    "tatoeba",
    "mewsli-x",
    "mmarco",
    "miracl",
    "bi-139",
    "multi-8",
    "wikiclir",
    "ciral",
    "africlirmatrix",
    "neuclir",
    "hc4",
    "folder",
    "ir-datasets",
]

_POOLED = ("mewsli-x", "mmarco", "bi-139", "multi-8", "wikiclir", "ciral", "africlirmatrix", "neuclir", "hc4")

#: Settings that only some collections have.
COLLECTIONS_WITH: dict[str, tuple[str, ...]] = {
    "dataset": ("ir-datasets",),
    "split": ("mewsli-x", "miracl", "bi-139", "multi-8", "ciral", "neuclir", "hc4", "folder"),
    "document_languages": (*_POOLED, "lareqa", "mlqa-r", "folder", "ir-datasets"),
    "pool_limit": (*_POOLED, "miracl", "folder", "ir-datasets"),
    "mining": ("bitext", "tatoeba"),
}


class CollectionConfig(Settings):
    """One collection to evaluate on."""

    name: CollectionName
    """Bitext retrieval on sources named in `bitext`, a benchmark, a ``folder`` of one's own in BEIR's or
    TREC's shape, or any dataset that the library ir_datasets reads."""
    path: str | None = None
    """Its folder; none takes that of its name in the data home (``xquad-r`` for LAReQA)."""
    dataset: str | None = None
    """Id of ir_datasets, such as ``beir/scifact/test``, when `name` is ``ir-datasets``."""
    split: str | None = None
    """Which of the collection's parts asks, such as ``dev``; none takes the one that papers report."""
    languages: list[str] = Field(default_factory=list)
    """Query languages; empty takes all that the collection has. Tatoeba's (of the side that is not English)
    may be ``xtreme`` (36), ``xtreme-r`` (41) or ``all`` (112) together."""
    document_languages: list[str] = Field(default_factory=list)
    """Document languages, of collections that have several; empty takes the collection's own."""
    bitext: list[BitextConfig] = Field(default_factory=list)
    """The pairs of a bitext collection: queries on one side, their translations relevant."""
    distractors: list[str] = Field(default_factory=list)
    """English sentences that join the pool: files of one a line, or Tatoeba's folder."""
    distractor_bitext: list[BitextConfig] = Field(default_factory=list)
    """Bitext sources whose English sides join the pool (of direction xx-en)."""
    upper_line: bool = False
    """Also ask for bitext's English sentences in English, as another collection: what transfer can reach."""
    pool: Literal["all", "own"] = "all"
    """One pool of all document languages (LAReQA, MLQA-R, MULTI-8, NeuCLIR), or one for each alone."""
    pool_limit: int | None = Field(None, ge=0)
    """Search the judged documents and at most this many others, drawn by hash, to fit a small machine;
    figures then compare with no other pool's (recorded with the scores)."""
    context: bool = False
    """Encode LAReQA's sentences with their paragraph behind them, as XTREME does (slower)."""
    label: str | None = None
    """Name under which the scores are stored; none takes `name`."""
    directions: list[Literal["xx-en", "en-xx"]] = ["xx-en"]
    """Retrieval directions of bitext and Tatoeba."""
    mining: bool = False
    """Also mine the pairs of bitext and Tatoeba out of all sentences: F1 with margin scores, as LASER does,
    and of nearest neighbours, as MTEB does (searches once more)."""
    limit: int | None = Field(None, ge=1)
    """Use only the first queries of each language (a quick look; recorded with the scores)."""

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if self.name == "bitext" and not self.bitext:
            raise ValueError("a bitext collection needs at least one [[bitext]] source")
        if self.pool == "own" and self.document_languages and self.name in ("lareqa", "mlqa-r"):
            raise ValueError("with pool = 'own' each language searches its own; leave out document_languages")
        if self.name == "folder" and not self.path:
            raise ValueError("a folder collection needs its path")
        if self.name == "ir-datasets" and not self.dataset:
            raise ValueError("an ir-datasets collection needs the dataset's id")
        for setting, value in (
            ("dataset", self.dataset),
            ("split", self.split),
            ("document_languages", self.document_languages),
            ("pool_limit", self.pool_limit),
            ("mining", self.mining or None),
        ):
            if value not in (None, []) and self.name not in COLLECTIONS_WITH[setting]:
                raise ValueError(f"the collection {self.name!r} has no {setting}; leave it out")
        return self
