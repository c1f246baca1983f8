"""Settings of evaluation: how collections are searched and scored."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.config.base import Settings


class EvaluationConfig(Settings):
    """How every collection is searched and scored."""

    scoring: list[Literal["maxsim", "dense", "dense-ivf"]] = ["maxsim"]
    """Late interaction over token vectors, or cosine of sentence vectors; ``dense-ivf`` is the latter through
    FAISS's inverted lists, for pools of millions: faster, and blind to what lies in other lists."""
    documents: Literal["teacher", "student"] = "teacher"
    """Who encodes the documents; OPTICAL leaves them with the teacher."""
    depth: int = Field(100, ge=1)
    """Ranks kept for each query."""
    batch_size: int = Field(64, ge=1)
    """Texts encoded at once."""
    probes: int = Field(64, ge=1)
    """Inverted lists that a query looks into, of about the square root of the documents."""
