"""What a search and an explanation return. This module imports no numerical library."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Part:
    """The part of a fused score that comes from one run.

    Attributes
    ----------
    name : str
        Name of the run.
    score : float or None
        The score that the run gave the document; None where it did not find it among its best.
    share : float
        What that adds to the fused score: the normalised score, or the reciprocal rank, times the weight.
    """

    name: str
    score: float | None
    share: float


@dataclass(frozen=True)
class Hit:
    """A document that a query found.

    Attributes
    ----------
    rank : int
        1 for the best document.
    score : float
    document : str
        Id of the document.
    text, language : str
        The document's text and language code.
    grade : int or None
        Its judgement; None where it was not judged, or the query is not one of the collection's.
    parts : list of Part
        What each run adds to the score, if the run fuses others. Their sum is the score.
    """

    rank: int
    score: float
    document: str
    text: str
    language: str
    grade: int | None = None
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True)
class Match:
    """A query token, the document token that is most similar to it, and their similarity."""

    query_token: str
    document_token: str
    score: float
