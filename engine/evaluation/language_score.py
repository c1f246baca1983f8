"""The value of a measure for the queries of one language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from engine.evaluation.significance import mean_interval


@dataclass(frozen=True)
class LanguageScore:
    """The value of a measure for the queries of one language.

    Attributes
    ----------
    query_language, document_language : str
        Language codes; the latter is ``all`` where the pool has several languages.
    measure : str
    value : float
    queries : int
        Number of queries, or of sentence pairs, that the value is computed from.
    low, high : float, optional
        Ends of the 95 % bootstrap interval of a mean.
    values : mapping of query id to value
        Values of single queries; empty where they are not stored.
    protocol : str
        Suffix of the collection's protocol, such as ``bias``; empty for the collection's own measures.
    """

    query_language: str
    document_language: str
    measure: str
    value: float
    queries: int
    low: float | None = None
    high: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    protocol: str = ""

    @classmethod
    def mean(
        cls,
        query_language: str,
        document_language: str,
        measure: str,
        values: Mapping[str, float],
        protocol: str = "",
    ) -> LanguageScore:
        """Return the mean of at least one value, with its interval; `values` are by query id."""
        numbers = np.array(list(values.values()))
        low, high = mean_interval(numbers) or (None, None)
        return cls(
            query_language,
            document_language,
            measure,
            float(numbers.mean()),
            len(numbers),
            low,
            high,
            values,
            protocol,
        )
