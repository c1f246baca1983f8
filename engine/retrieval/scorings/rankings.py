"""Scorings of the documents that other runs found."""

from engine.extensions.scorings import Scoring

RECIPROCAL_RANK_FUSION = Scoring(
    name="rrf",
    meaning="weighted reciprocal ranks of several runs; ranks hide how weak a system's scores are, so fusion "
    "with a system that is much weaker loses",
    compares="rankings",
    shares="engine.retrieval.fusion:reciprocal_ranks",
    settings=("k",),
)

STANDARD_SCORES = Scoring(
    name="zscore",
    meaning="weighted sum of several runs' scores, each less its mean and divided by its standard deviation "
    "over the documents that any of the runs kept for the query",
    compares="rankings",
    shares="engine.retrieval.fusion:standard_scores",
)

UNIT_RANGE = Scoring(
    name="minmax",
    meaning="weighted sum of several runs' scores, each scaled to the range from 0 to 1 over the documents "
    "that any of the runs kept for the query",
    compares="rankings",
    shares="engine.retrieval.fusion:unit_range",
)

IMPORTED = Scoring(
    name="imported",
    meaning="score that another program computed; the ranking or score was imported",
    compares="rankings",
)

CROSS_ENCODER = Scoring(
    name="cross-encoder",
    meaning="score that a cross-encoder gives to the text of a query and a document; it re-ranks another run",
    compares="rankings",
)
