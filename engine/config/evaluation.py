"""Settings of evaluation: how collections are searched and scored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.config.base import Settings
from engine.extensions.scorings import ENCODER_SCORINGS
from engine.registry import OneOf, describe


class EvaluationConfig(Settings):
    """How every collection is searched and scored."""

    scoring: list[Annotated[str, OneOf(ENCODER_SCORINGS)]] = Field(
        ["maxsim"],
        description=describe(
            "How documents are scored for a query; each collection is searched once with each scoring.",
            ENCODER_SCORINGS,
        ),
    )
    documents: Literal["teacher", "student"] = "teacher"
    """The encoder of the documents. OPTICAL keeps the teacher's."""
    depth: int = Field(100, ge=1)
    """Number of ranks kept for each query."""
    batch_size: int = Field(64, ge=1)
    """Number of texts encoded at once."""
    token_bits: Literal[16, 4, 2] = 16
    """Bits in which each element of the documents' token vectors is stored. With 4 or 2 they are quantised as
    in ColBERTv2 and take a quarter or an eighth of the disk; scores change slightly, and the run's log says
    how near the vectors are to the exact ones."""
    probes: int = Field(64, ge=1)
    """Number of inverted lists that are searched for a query, with a scoring that has such lists; there are
    about as many lists as the square root of the number of documents."""
    candidates: int = Field(1000, ge=1)
    """Number of documents of each query that the first stage of a scoring finds and MaxSim scores; at least
    ``depth`` are."""
