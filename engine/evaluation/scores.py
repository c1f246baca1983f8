"""Evaluate a collection: search it, score it, and put the figures into the shape of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from engine.collections.base import Collection, Document, Query
from engine.errors import InputError
from engine.evaluation.bias import language_bias
from engine.evaluation.figure import Aside
from engine.evaluation.measures import (
    depth_of,
    measure_from_ranks,
    needs_ranks,
    ranks_suffice,
    score_rankings,
)
from engine.evaluation.mining import mine
from engine.evaluation.significance import mean_interval
from engine.extensions.scorings import SCORINGS
from engine.results.tables import TABLES
from engine.retrieval.ranking import Ranking
from engine.retrieval.tokens import TokenStore
from engine.retrieval.topk import Found

#: Ranks whose documents are stored with their texts.
SHOWN = 10


@dataclass(frozen=True)
class Mean:
    """The mean of a measure over the queries of one language, with its 95 % bootstrap interval."""

    language: str
    measure: str
    value: float
    low: float | None
    high: float | None
    queries: int


@dataclass(frozen=True)
class Scores:
    """What a system reached on one collection.

    Attributes
    ----------
    collection : Collection
    scoring : str
        What made the ranking: ``maxsim``, ``dense`` or another's name.
    ranking : Ranking
        The top of each query's ranking.
    values : dict of measure to dict of query language to dict of query id to value
    beside : list of Aside
        Figures under protocols of their own: language bias, mining.
    means : list of Mean
        By measure, then by language.
    """

    collection: Collection
    scoring: str
    ranking: Ranking
    values: dict[str, dict[str, dict[str, float]]]
    beside: list[Aside] = field(default_factory=list)
    means: list[Mean] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "means", [*self._means()])

    def _means(self) -> Any:
        for measure, languages in self.values.items():
            for language, values in languages.items():
                numbers = np.array(list(values.values()))
                low, high = mean_interval(numbers) or (None, None)
                yield Mean(language, measure, float(numbers.mean()), low, high, len(numbers))

    def macro(self, measure: str) -> float:
        """Return the mean of `measure` over query languages, each weighing the same."""
        return float(np.mean([mean.value for mean in self.means if mean.measure == measure]))

    def score_table(self) -> pa.Table:
        """Return the rows of table ``scores``."""
        own = self._table(
            "scores",
            len(self.means),
            query_language=[mean.language for mean in self.means],
            document_language=[self.collection.document_language] * len(self.means),
            measure=[mean.measure for mean in self.means],
            value=[mean.value for mean in self.means],
            low=[mean.low for mean in self.means],
            high=[mean.high for mean in self.means],
            queries=[mean.queries for mean in self.means],
        )
        columns = ("query_language", "document_language", "measure", "value", "low", "high", "queries")
        beside = self._table(
            "scores",
            len(self.beside),
            protocol=[self._beside(figure) for figure in self.beside],
            **{name: [getattr(figure, name) for figure in self.beside] for name in columns},
        )
        return pa.concat_tables([own, beside])

    def query_score_table(self) -> pa.Table:
        """Return the rows of table ``query_scores``."""
        own, every = self.collection.protocol, self.collection.document_language
        rows = [
            (own, language, every, query, measure, value)
            for measure, languages in self.values.items()
            for language, values in languages.items()
            for query, value in values.items()
        ]
        rows += [
            (
                self._beside(figure),
                figure.query_language,
                figure.document_language,
                query,
                figure.measure,
                value,
            )
            for figure in self.beside
            for query, value in figure.values.items()
        ]
        names = ("protocol", "query_language", "document_language", "query_id", "measure", "value")
        found = zip(*rows, strict=True) if rows else [()] * len(names)
        columns: dict[str, Sequence[Any]] = dict(zip(names, map(list, found), strict=True))
        return self._table("query_scores", len(rows), **columns)

    def _beside(self, figure: Aside) -> str:
        """Return the protocol of a figure that stands beside the collection's own."""
        return f"{self.collection.protocol}/{figure.protocol}"

    def ranking_table(self) -> pa.Table:
        """Return the rows of table ``rankings``; ``grade`` is null where a document was not judged."""
        language = {query.id: query.language for query in self.collection.queries}
        columns: dict[str, list[Any]] = {
            name: [] for name in ("query_language", "query_id", "rank", "document_id", "score", "grade")
        }
        ranking = self.ranking
        for query, documents, scores in zip(
            ranking.query_ids, ranking.document_ids, ranking.scores, strict=True
        ):
            grades = self.collection.judgements[query]
            columns["query_language"] += [language[query]] * len(documents)
            columns["query_id"] += [query] * len(documents)
            columns["rank"] += range(1, len(documents) + 1)
            columns["document_id"] += documents
            columns["score"] += scores
            columns["grade"] += [grades.get(document) for document in documents]
        return self._table("rankings", len(columns["rank"]), **columns)

    def text_table(self) -> pa.Table:
        """Return the rows of table ``texts``: queries, relevant documents, and the tops of the rankings."""
        collection = self.collection
        shown = {document for documents in self.ranking.document_ids for document in documents[:SHOWN]}
        for grades in collection.judgements.values():
            shown.update(document for document, grade in grades.items() if grade > 0)
        documents = [document for document in collection.documents if document.id in shown]
        texts: list[Query | Document] = [*collection.queries, *documents]
        return self._table(
            "texts",
            len(texts),
            role=["query"] * len(collection.queries) + ["document"] * len(documents),
            id=[item.id for item in texts],
            language=[item.language for item in texts],
            text=[item.text for item in texts],
        )

    def _table(self, name: str, rows: int, **columns: Sequence[Any]) -> pa.Table:
        collection = self.collection
        constant = {
            "collection": collection.name,
            "revision": collection.revision,
            "protocol": collection.protocol,
            "scoring": self.scoring,
            "direction": collection.direction,
        }
        schema = TABLES[name]
        return pa.table(
            {
                column: columns[column] if column in columns else [constant[column]] * rows
                for column in schema.names
            },
            schema=schema,
        )


def evaluate_collection(
    collection: Collection,
    queries: TokenStore | Tensor,
    documents: TokenStore | Tensor,
    *,
    scoring: str,
    depth: int = 100,
    measures: Sequence[str] = (),
    mining: bool = False,
    probes: int = 64,
) -> Scores:
    """Search a collection and score what was found.

    Parameters
    ----------
    collection : Collection
    queries, documents : TokenStore, or Tensor of shape (N, H) and (M, H)
        The encoded queries and documents, in the collection's order. A query without counted tokens
        finds nothing, and a document without them is never found.
    scoring : str
        A scoring of `engine.extensions.scorings.ENCODER_SCORINGS`. With an approximate one, a relevant
        document that is not among the first `depth` counts as not found.
    depth : int
        Ranks kept for each query.
    probes : int
        Inverted lists that a query looks into.
    measures : sequence of str
        Besides the protocol's own.
    mining : bool
        Whether to mine the collection's pairs too (`engine.evaluation.mining`).

    Raises
    ------
    InputError
        When a measure is unknown or looks deeper than `depth` without being one of relevant documents'
        ranks, or there is no query.
    ValueError
        When the vectors are not those of the collection.
    DivergedError
        When a score is not a number.
    """
    checked_measures(collection, measures, depth)
    if len(queries) != len(collection.queries) or len(documents) != len(collection.documents):
        raise ValueError(
            f"{len(queries)} queries and {len(documents)} documents were encoded, and the collection has "
            f"{len(collection.queries)} and {len(collection.documents)}"
        )
    found = _find(queries, documents, depth, relevant_documents(collection), scoring, {"probes": probes})
    scores = score_found(collection, found, scoring=scoring, measures=measures)
    return (
        replace(scores, beside=[*scores.beside, *mine(collection, queries, documents)]) if mining else scores
    )


def score_found(
    collection: Collection, found: Found, *, scoring: str, measures: Sequence[str] = ()
) -> Scores:
    """Score what a search found for the queries of a collection, with the ranks of `relevant_documents`.

    Parameters and errors as in `evaluate_collection`; the depth is that of `found`.
    """
    names = checked_measures(collection, measures, max(found.indices.shape[1], 1))
    ids = [query.id for query in collection.queries]
    ranking = Ranking.from_found(found, ids, [document.id for document in collection.documents])
    language = {query.id: query.language for query in collection.queries}
    values: dict[str, dict[str, dict[str, float]]] = {
        name: {code: {} for code in collection.query_languages} for name in names
    }
    depth = found.indices.shape[1]
    deep = [
        name for name in names if needs_ranks(name) or not _within(name, depth, len(collection.documents))
    ]
    for query, name, value in score_rankings(
        ranking, collection.judgements, [name for name in names if name not in deep]
    ):
        values[name][language[query]][query] = value
    ranks = found.ranks.cpu().numpy()
    relevant = np.array([sum(grade > 0 for grade in collection.judgements[query].values()) for query in ids])
    for name in deep:
        for query, value in zip(ids, measure_from_ranks(name, ranks, relevant).tolist(), strict=True):
            values[name][language[query]][query] = value
    beside = []
    if len(collection.document_languages) > 1:
        beside = language_bias(collection, found, relevant_documents(collection).numpy())
    return Scores(collection, scoring, ranking, values, beside)


def checked_measures(collection: Collection, extra: Sequence[str], depth: int) -> list[str]:
    """Return the measures to compute, those of the collection and `extra`.

    Raises
    ------
    InputError
        As `evaluate_collection`.
    """
    measures = list(dict.fromkeys((*collection.measures, *extra)))
    if not collection.queries:
        raise InputError(f"collection {collection.name!r} has no query to evaluate")
    for name in measures:
        if needs_ranks(name):
            continue
        cutoff = depth_of(name)
        if cutoff is None:
            raise InputError(f"measure {name!r} has no cutoff; give it one, as in {name}@10")
        if not _within(name, depth, len(collection.documents)) and not ranks_suffice(name):
            raise InputError(f"measure {name!r} looks deeper than depth = {depth}; raise depth to {cutoff}")
    return measures


def _within(name: str, depth: int, documents: int) -> bool:
    """Tell whether the first `depth` of so many documents are all that a measure looks at."""
    return depth >= min(depth_of(name) or documents, documents)


def relevant_documents(collection: Collection) -> Tensor:
    """Return the places of each query's relevant documents in the pool, (N, R) int64, -1 for none.

    Relevant documents that the pool lacks are left out here and still count in every measure.
    """
    place = {document.id: index for index, document in enumerate(collection.documents)}
    rows = [
        [
            place[document]
            for document, grade in collection.judgements[query.id].items()
            if grade > 0 and document in place
        ]
        for query in collection.queries
    ]
    relevant = torch.full((len(rows), max(map(len, rows))), -1, dtype=torch.int64)
    for index, row in enumerate(rows):
        relevant[index, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return relevant


def _find(
    queries: TokenStore | Tensor,
    documents: TokenStore | Tensor,
    depth: int,
    relevant: Tensor,
    name: str,
    settings: Mapping[str, Any],
) -> Found:
    scoring = SCORINGS[name]
    expected = TokenStore if scoring.compares == "tokens" else Tensor
    if not (isinstance(queries, expected) and isinstance(documents, expected)):
        form = "token stores" if expected is TokenStore else "matrices"
        raise ValueError(f"the scoring {name!r} takes {form}")
    chosen = {key: settings[key] for key in scoring.settings}
    found: Found = scoring.resolve_search()(queries, documents, depth, relevant, **chosen)
    return found
