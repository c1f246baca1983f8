"""Scorings of the documents that other runs found."""

from engine.extensions.scorings import Scoring

RECIPROCAL_RANK_FUSION = Scoring(
    name="rrf",
    meaning="reciprocal rank fusion of the stored rankings of several runs",
    compares="rankings",
)

CROSS_ENCODER = Scoring(
    name="cross-encoder",
    meaning="score that a cross-encoder gives to the text of a query and a document; it re-ranks another run",
    compares="rankings",
)
