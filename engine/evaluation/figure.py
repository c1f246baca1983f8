"""Figures that stand beside a collection's own measures, under a protocol of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from engine.evaluation.significance import mean_interval


@dataclass(frozen=True)
class Aside:
    """One figure of a language.

    Attributes
    ----------
    protocol : str
        What is put behind the collection's protocol, such as ``bias``.
    query_language, document_language : str
    measure : str
    value : float
    queries : int
        Queries, or pairs, that it is about.
    low, high : float, optional
        Ends of the 95 % bootstrap interval of a mean.
    values : mapping of query id to value
        Values of single queries, where they are worth keeping.
    """

    protocol: str
    query_language: str
    document_language: str
    measure: str
    value: float
    queries: int
    low: float | None = None
    high: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def mean(
        cls,
        protocol: str,
        query_language: str,
        document_language: str,
        measure: str,
        values: Mapping[str, float],
    ) -> Aside:
        """Return the mean of `values`, by query id, with its interval; there is at least one."""
        numbers = np.array(list(values.values()))
        low, high = mean_interval(numbers) or (None, None)
        return cls(
            protocol,
            query_language,
            document_language,
            measure,
            float(numbers.mean()),
            len(numbers),
            low,
            high,
            values,
        )
