"""Explain the score of a document."""

from __future__ import annotations

from engine.inspect.opening import RunSearcher
from engine.inspect.records import Match


def explain(searcher: RunSearcher, text: str, document: str) -> list[Match]:
    """Return what of a query matches what of a document.

    With encoders, these are the best match of each counted token, and the mean of their scores is the
    document's MaxSim score. With a lexical run they are the shared terms, and the sum of their parts is the
    score (`RunSearcher.adds_up`). A run that fuses others is explained by the first of them.

    Raises
    ------
    InputError
        As the searcher's `explain`.
    """
    return searcher.explain(text, document)
