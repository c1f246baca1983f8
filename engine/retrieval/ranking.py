"""`Ranking`: the documents that were found for each query, in order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from engine.retrieval.topk import Found


@dataclass(frozen=True)
class Ranking:
    """Documents found for each query, best first.

    Attributes
    ----------
    query_ids : sequence of str
    document_ids : sequence of sequences of str
        The documents of each query, best first.
    scores : sequence of sequences of float
        Their scores.

    Raises
    ------
    ValueError
        When the three differ in shape, a query or one of its documents occurs twice, or scores rise.
    """

    query_ids: Sequence[str]
    document_ids: Sequence[Sequence[str]]
    scores: Sequence[Sequence[float]]

    def __post_init__(self) -> None:
        if not len(self.query_ids) == len(self.document_ids) == len(self.scores):
            raise ValueError("query_ids, document_ids and scores must have one entry for each query")
        if len(set(self.query_ids)) != len(self.query_ids):
            raise ValueError("a query has two rankings")
        for query, documents, scores in zip(self.query_ids, self.document_ids, self.scores, strict=True):
            if len(documents) != len(scores) or len(set(documents)) != len(documents):
                raise ValueError(f"query {query!r}: every document needs one score, and must occur once")
            if any(later > earlier for earlier, later in itertools.pairwise(scores)):
                raise ValueError(f"query {query!r}: scores must not rise along the ranking")

    @classmethod
    def from_found(cls, found: Found, query_ids: Sequence[str], document_ids: Sequence[str]) -> Ranking:
        """Return the ranking of a search by ids; documents that score -inf are not found and left out."""
        kept = (found.scores > float("-inf")).sum(1).tolist()
        names, scores = [], []
        rows = zip(found.indices.tolist(), found.scores.tolist(), kept, strict=True)
        for indices, values, count in rows:
            names.append([document_ids[index] for index in indices[:count]])
            scores.append(values[:count])
        return cls(query_ids, names, scores)

    def for_measures(self) -> dict[str, dict[str, float]]:
        """Return the run for ir-measures, by query and document, with scores that fall by one a rank.

        trec_eval ignores the order of a run: it sorts by score in 32-bit floats, and equal scores by
        descending document id. With the true scores, an order other than the one found would be measured.
        """
        return {
            query: {document: float(len(documents) - rank) for rank, document in enumerate(documents)}
            for query, documents in zip(self.query_ids, self.document_ids, strict=True)
        }
