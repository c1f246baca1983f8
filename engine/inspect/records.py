"""What a search and an explanation return. This module imports no numerical library."""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    rank: int
    score: float
    document: str
    text: str
    language: str
    grade: int | None = None


@dataclass(frozen=True)
class Match:
    """A query token, the document token that is most similar to it, and their similarity."""

    query_token: str
    document_token: str
    score: float
