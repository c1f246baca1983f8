"""The cost of an evaluation: encoding queries and documents, and searching."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.config import CollectionConfig, EvaluationConfig
from engine.config.translation import GOLD, TranslationConfig
from engine.encoders.encoder import Encoder, Role
from engine.estimate.encoding import Encoding, measure
from engine.estimate.sheet import Cost, Sheet
from engine.evaluation.runner import document_texts, vector_kind
from engine.evaluation.scores import Scores, evaluate_collection
from engine.extensions.scorings import SCORINGS
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import IN_MEMORY
from engine.translation.translator import Translator

#: Queries of the two searches that are measured, and the most documents of them.
FEW, MORE, DOCUMENTS = 8, 40, 4000
#: Queries that are translated to measure the cost.
TRANSLATED = 4


def add_evaluation(
    sheet: Sheet,
    collections: Sequence[CollectionConfig],
    settings: EvaluationConfig,
    *,
    queries: Encoder,
    documents: Encoder,
    precision: torch.dtype,
    seed: int,
    translation: TranslationConfig | None = None,
) -> None:
    """Add the stages of an evaluation to an estimate.

    The cache is taken for empty, so all documents are encoded.

    Raises
    ------
    InputError
        If a collection is missing or broken, or queries cannot be translated.
    """
    if not collections:
        return
    loading = Cost()
    encoded: set[tuple[Role, tuple[str, ...]]] = set()
    rates: dict[tuple[int, Role], Encoding] = {}
    most = 0
    for entry in collections:
        cost, loaded = sheet.meter.of(partial(load_collections, entry, seed))
        loading += cost
        role = documents.document_role(symmetric=entry.reader.symmetric)
        for collection in loaded:
            passages = document_texts(collection, context=entry.context)
            asked = [query.text for query in collection.queries]
            if translation is not None:
                _add_translation(sheet, collection, translation)
            of_documents = _rate(sheet, rates, documents, passages, role, precision)
            of_queries = _rate(sheet, rates, queries, asked, "query", precision)
            size = of_documents.bytes_of(passages)
            if settings.token_bits < 16:
                size = size * settings.token_bits // 16
            for one, texts, kind, name in (
                (of_documents, passages, role, "documents"),
                (of_queries, asked, "query", "queries"),
            ):
                key: tuple[Role, tuple[str, ...]] = (kind, tuple(texts))
                if key in encoded:
                    continue
                encoded.add(key)
                sheet.add(f"{collection.name}: {name}", len(texts), name, one.of(texts))
                if name == "documents":
                    sheet.disk["cache"] += size
            for scoring in settings.scoring:
                _add_search(sheet, collection, entry, settings, scoring, of_queries, of_documents)
            most = max(most, min(size, IN_MEMORY) + of_queries.bytes_of(asked))
    sheet.add("reading the collections", len(collections), "collections", loading)
    sheet.need(most)


def _rate(
    sheet: Sheet,
    known: dict[tuple[int, Role], Encoding],
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    precision: torch.dtype,
) -> Encoding:
    """Return the cost of encoding texts in a role, measured on the first texts that are asked for."""
    key = (id(encoder), role)
    if key not in known:
        known[key] = measure(sheet.meter, encoder, texts, role, precision)
    return known[key]


def _add_search(
    sheet: Sheet,
    collection: Collection,
    entry: CollectionConfig,
    settings: EvaluationConfig,
    scoring: str,
    queries: Encoding,
    documents: Encoding,
) -> None:
    """Add the search of a collection, measured with few queries and repeated vectors."""
    share = min(1.0, DOCUMENTS / max(1, len(collection.documents)))
    kind = vector_kind(scoring)
    first = SCORINGS[scoring].first_stage
    stages: list[tuple[int, Cost]] = []
    stored: list[int] = []
    for count in (FEW, FEW, MORE):  # the first one prepares kernels
        part = part_of(collection, count, DOCUMENTS)
        asked, searched = len(part.queries), len(part.documents)
        cost, scores = sheet.meter.of(
            partial(
                evaluate_collection,
                part,
                repeated(queries, kind, asked),
                repeated(documents, kind, searched),
                scoring=scoring,
                depth=settings.depth,
                mining=entry.mining,
                probes=settings.probes,
                candidates=min(settings.candidates, searched),
                first=None
                if first is None
                else (repeated(queries, first, asked), repeated(documents, first, searched)),  # type: ignore[arg-type]
            )
        )
        stages.append((asked, cost))
        stored.append(_stored_bytes(scores))
    whole = extended(stages[1], stages[2], len(collection.queries)) * (1 / share)
    sheet.add(f"{collection.name}: search by {scoring}", len(collection.queries), "queries", whole)
    rows = [(asked, Cost(size)) for (asked, _), size in zip(stages[1:], stored[1:], strict=True)]
    sheet.disk["run folder"] += round(extended(rows[0], rows[1], len(collection.queries)).seconds)


def extended(few: tuple[int, Cost], more: tuple[int, Cost], count: int) -> Cost:
    """Return the cost of `count` queries, linear in their number: through two measured points."""
    (n, first), (m, second) = few, more
    if m <= n:
        return second * (count / max(1, m))
    return first + second.less(first) * ((count - n) / (m - n)) if count > n else first * (count / n)


def part_of(collection: Collection, queries: int, documents: int) -> Collection:
    """Return a collection with at most so many evenly spaced queries, and its first documents."""
    places = np.linspace(0, len(collection.queries), min(queries, len(collection.queries)), endpoint=False)
    chosen = tuple(collection.queries[int(place)] for place in places)
    return replace(
        collection,
        queries=chosen,
        documents=collection.documents[:documents],
        judgements={query.id: collection.judgements[query.id] for query in chosen},
        ignored={
            query.id: collection.ignored[query.id] for query in chosen if query.id in collection.ignored
        },
    )


def repeated(encoding: Encoding, kind: str, count: int) -> TokenStore | Tensor:
    """Return vectors of `count` texts: those that were encoded, again and again."""
    rows = torch.arange(count) % max(1, len(encoding.sentences))
    return encoding.sentences[rows] if kind == "sentences" else encoding.sample.select(rows)


def _stored_bytes(scores: Scores) -> int:
    """Return the size of the tables of a search in a run folder."""
    total = 0
    for table in (scores.ranking_table(), scores.query_score_table(), scores.text_table()):
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        total += len(buffer.getvalue())
    return total


def _add_translation(sheet: Sheet, collection: Collection, config: TranslationConfig) -> None:
    """Add the translation of a collection's queries, measured on a few of each language."""
    if config.checkpoint == GOLD:
        return
    translator = Translator(config, device=sheet.meter.device)
    total = Cost()
    for code in collection.query_languages:
        texts = [query.text for query in collection.queries if query.language == code]
        some = texts[:: max(1, len(texts) // TRANSLATED)][:TRANSLATED]
        cost, _ = sheet.meter.of(partial(translator.translate, some, code))
        total += cost * (len(texts) / len(some))
    sheet.add(f"{collection.name}: translation", len(collection.queries), "queries", total)
