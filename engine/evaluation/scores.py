"""Evaluate a collection: search it, score the rankings, and make the rows of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from engine.collections.base import Collection, Document, Query
from engine.counted import counted
from engine.errors import InputError
from engine.evaluation.bias import language_bias
from engine.evaluation.clusters import topic_clusters
from engine.evaluation.language_score import LanguageScore
from engine.evaluation.measures import (
    depth_of,
    measure_from_ranks,
    needs_ranks,
    ranks_suffice,
    score_rankings,
)
from engine.evaluation.mining import mine
from engine.evaluation.searching import relevant_documents, search_collection, search_filled
from engine.extensions.scorings import SCORINGS
from engine.results.tables import TABLES
from engine.retrieval.ranking import Ranking
from engine.retrieval.stored import StoredTokens, Tokens
from engine.retrieval.tokens import TokenStore
from engine.retrieval.topk import Found

#: Number of ranks whose documents are stored with their texts.
SHOWN = 10


@dataclass(frozen=True)
class Scores:
    """The scores of a system on one collection.

    Attributes
    ----------
    collection : Collection
    scoring : str
        Name of the scoring that made the ranking.
    ranking : Ranking
        The first documents of each query's ranking.
    values : dict of measure to dict of query language to dict of query id to value
        Values of the collection's measures.
    extra : list of LanguageScore
        Scores under protocols of their own: language bias and mining.
    means : list of LanguageScore
        Means of `values` over the queries of a language, by measure, then by language.
    """

    collection: Collection
    scoring: str
    ranking: Ranking
    values: dict[str, dict[str, dict[str, float]]]
    extra: list[LanguageScore] = field(default_factory=list)
    means: list[LanguageScore] = field(init=False)

    def __post_init__(self) -> None:
        means = [
            LanguageScore.mean(language, self.collection.document_language, measure, values)
            for measure, languages in self.values.items()
            for language, values in languages.items()
        ]
        object.__setattr__(self, "means", means)

    def macro(self, measure: str) -> float:
        """Return the mean of `measure` over query languages, each with the same weight."""
        return float(np.mean([mean.value for mean in self.means if mean.measure == measure]))

    def score_table(self) -> pa.Table:
        """Return the rows of table ``scores``."""
        scores = [*self.means, *self.extra]
        columns = ("query_language", "document_language", "measure", "value", "low", "high", "queries")
        return self._table(
            "scores",
            len(scores),
            protocol=[self._protocol(score) for score in scores],
            **{name: [getattr(score, name) for score in scores] for name in columns},
        )

    def query_score_table(self) -> pa.Table:
        """Return the rows of table ``query_scores``."""
        rows = [
            (score, query, value)
            for score in (*self.means, *self.extra)
            for query, value in score.values.items()
        ]
        columns = ("query_language", "document_language", "measure")
        return self._table(
            "query_scores",
            len(rows),
            protocol=[self._protocol(score) for score, _, _ in rows],
            query_id=[query for _, query, _ in rows],
            value=[value for _, _, value in rows],
            **{name: [getattr(score, name) for score, _, _ in rows] for name in columns},
        )

    def _protocol(self, score: LanguageScore) -> str:
        own = self.collection.protocol
        return f"{own}/{score.protocol}" if score.protocol else own

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

    def topic_table(self) -> pa.Table:
        """Return the rows of table ``topics``: the clusters of topics that depend on each other."""
        clusters = topic_clusters(self.collection)
        return self._table(
            "topics",
            len(clusters),
            topic=list(clusters),
            kind=["cluster"] * len(clusters),
            value=list(clusters.values()),
        )

    def text_table(self) -> pa.Table:
        """Return the rows of table ``texts``: queries, relevant documents, and the first of each ranking."""
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
    documents: Tokens | Tensor,
    *,
    scoring: str,
    depth: int = 100,
    measures: Sequence[str] = (),
    mining: bool = False,
    probes: int = 64,
    candidates: int = 1000,
    first: tuple[Tensor, Tensor] | None = None,
) -> Scores:
    """Search a collection and score the rankings.

    Parameters
    ----------
    collection : Collection
    queries, documents : TokenStore (documents also StoredTokens), or Tensor of shape (N, H) and (M, H)
        The encoded queries and documents, in the collection's order. A query without counted tokens
        finds nothing, and a document without them is never found; so it is with empty texts where sentence
        vectors are compared.
    scoring : str
        A scoring of `engine.extensions.scorings.ENCODER_SCORINGS`. With an approximate one, a relevant
        document that is not among the first `depth` counts as not found.
    depth : int
        Number of ranks that are kept for each query.
    probes : int
        Number of inverted lists that are searched for each query, by the scorings that use them.
    candidates : int
        Number of documents of each query that are scored, by the scorings that have a first stage.
    first : tuple of Tensor, optional
        Sentence vectors of queries and documents, for the scorings that find candidates with them.
    measures : sequence of str
        Measures in addition to those of the protocol.
    mining : bool
        Whether to mine the collection's pairs as well (`engine.evaluation.mining`).

    Raises
    ------
    InputError
        If a measure is unknown, needs more than `depth` ranks and cannot be computed from the ranks of the
        relevant documents, or there is no query.
    ValueError
        If the vectors do not belong to the collection.
    DivergedError
        If a score is not a number.
    """
    checked_measures(collection, measures, depth)
    if len(queries) != len(collection.queries) or len(documents) != len(collection.documents):
        raise ValueError(
            f"{counted(len(queries), 'query', 'queries')} and {counted(len(documents), 'document')} were "
            "encoded, "
            "and the collection has "
            f"{len(collection.queries)} and {len(collection.documents)}"
        )
    settings = {"probes": probes, "candidates": candidates}
    found = _find(collection, queries, documents, depth, scoring, settings, first)
    scores = score_found(collection, found, scoring=scoring, measures=measures)
    return replace(scores, extra=[*scores.extra, *mine(collection, queries, documents)]) if mining else scores


def score_found(
    collection: Collection, found: Found, *, scoring: str, measures: Sequence[str] = ()
) -> Scores:
    """Score the result of a search for the queries of a collection.

    Parameters
    ----------
    collection : Collection
    found : Found
        The first documents of each query, and the exact ranks of `relevant_documents`.
    scoring : str
        Name of the scoring.
    measures : sequence of str
        Measures in addition to those of the protocol.

    Raises
    ------
    InputError
        As `evaluate_collection`; the depth is the number of documents in `found`.
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
    extra = []
    if len(collection.document_languages) > 1:
        extra = language_bias(collection, found, relevant_documents(collection).numpy())
    return Scores(collection, scoring, ranking, values, extra)


def checked_measures(collection: Collection, extra: Sequence[str], depth: int) -> list[str]:
    """Return the measures to compute: those of the collection, and `extra`.

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
            raise InputError(
                f"measure {name!r} needs more ranks than depth = {depth}; raise depth to {cutoff}"
            )
    return measures


def _within(name: str, depth: int, documents: int) -> bool:
    """Return whether a measure needs no more than the first `depth` of so many documents."""
    return depth >= min(depth_of(name) or documents, documents)


def _find(
    collection: Collection,
    queries: TokenStore | Tensor,
    documents: Tokens | Tensor,
    depth: int,
    name: str,
    settings: Mapping[str, Any],
    first: tuple[Tensor, Tensor] | None,
) -> Found:
    scoring = SCORINGS[name]
    late = scoring.compares == "tokens"
    asked, searched = (TokenStore, TokenStore | StoredTokens) if late else (Tensor, Tensor)
    if not (isinstance(queries, asked) and isinstance(documents, searched)):
        form = "token stores" if late else "matrices"
        raise ValueError(f"the scoring {name!r} takes {form}")
    chosen = {key: settings[key] for key in scoring.settings}
    if scoring.first_stage is not None:
        if first is None:
            raise ValueError(f"the scoring {name!r} needs other vectors to find candidates with")
        chosen["first"] = first
    search = partial(scoring.resolve_search(), **chosen)
    if isinstance(documents, Tensor):
        by_vectors = search_filled(collection, documents, partial(search, queries))
    else:
        by_vectors = partial(search, queries, documents)
    return search_collection(collection, by_vectors, depth)
