"""Evaluate a pair of encoders on the collections of a configuration, and store what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa
import torch
from torch import Tensor

from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.config import CollectionConfig, EvaluationConfig
from engine.config.translation import TranslationConfig
from engine.encoders.encoder import Encoder, Role
from engine.evaluation.language_removal import Isolation
from engine.evaluation.query_translation import QueryTranslation, translation_table
from engine.evaluation.scores import Scores, checked_measures, evaluate_collection
from engine.extensions.scorings import SCORINGS
from engine.paths import cache_home
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder, table_files
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import Kind
from engine.retrieval.vectors import vectors as vectors_of

#: Each search adds one part to each of these.
_TABLES = ("texts", "scores", "query_scores", "rankings")


def evaluate(
    collections: Sequence[CollectionConfig],
    settings: EvaluationConfig,
    *,
    queries: Encoder,
    documents: Encoder,
    precision: torch.dtype,
    run: RunFolder | None = None,
    seed: int = 0,
    reporter: Reporter = SILENT,
    translation: TranslationConfig | None = None,
    isolation: Isolation | None = None,
) -> list[Scores]:
    """Search every collection with `queries` against what `documents` encoded, score and store.

    Document vectors are cached, since documents stay with the teacher while students come and go. Tables
    ``texts``, ``scores``, ``query_scores`` and ``rankings`` of `run` grow with every collection, so that what
    is done is kept whatever comes after; what a resumed run has in them is not searched again, and not
    returned. With `translation` the queries are translated first, and the translations stored as texts; with
    `isolation` languages' components are removed from all vectors, which are cached as they were before.

    Raises
    ------
    InputError
        If a collection is missing or broken, its measures look deeper than the depth that is kept, or its
        queries cannot be translated; nothing is searched then.
    """
    loaded = [(collection, config) for config in collections for collection in load_collections(config, seed)]
    announce([collection for collection, _ in loaded], settings.depth, run, reporter)
    translated: list[list[str]] = []
    if translation is not None:
        translate = QueryTranslation(translation, seed, queries.device, reporter)
        translated = [translate.queries(collection, config) for collection, config in loaded]
    done = searched(run) if run is not None else 0
    if done:
        reporter.say(f"{done} searches were done before the run stopped; those that lack follow")
    results = []
    asked_of = translated or [[query.text for query in collection.queries] for collection, _ in loaded]
    last = {tuple(asked): place for place, asked in enumerate(asked_of)}
    encode = partial(_encode, settings, precision)
    # the same queries may meet several pools
    encoded: dict[tuple[str, ...], dict[Kind, TokenStore | Tensor]] = {}
    for place, (collection, config) in enumerate(loaded):
        texts = document_texts(collection, context=config.context)
        asked = asked_of[place]
        scorings = settings.scoring[done:]
        done = max(0, done - len(settings.scoring))
        if not scorings:
            continue
        kinds = list(dict.fromkeys(vector_kind(scoring) for scoring in scorings))
        name = f"{collection.name}, {'/'.join(collection.query_languages[:4])}"
        reporter.stage(f"{name}: documents", len(texts))
        stores = encode(documents, texts, "passage", kinds, reporter, cached=True)
        key = tuple(asked)
        known = encoded.setdefault(key, {})
        if lacking := [kind for kind in kinds if kind not in known]:
            reporter.stage(f"{name}: queries", len(asked))
            known |= encode(queries, asked, "query", lacking, reporter)
        if last[key] == place:
            del encoded[key]
        for scoring in scorings:
            kind = vector_kind(scoring)
            vectors, store = known[kind], stores[kind]
            if isolation is not None:
                reporter.stage(f"{name}, {scoring}: languages' components", 2)
                again = partial(_encode_again, encode, kind)
                vectors = isolation.isolated(
                    collection, scoring, "query", vectors, partial(again, queries, "query")
                )
                reporter.advance()
                store = isolation.isolated(
                    collection, scoring, "passage", store, partial(again, documents, "passage")
                )
                reporter.advance()
            reporter.stage(f"{name}, {scoring}: search", 1)
            scores = evaluate_collection(
                collection,
                vectors,
                store,
                scoring=scoring,
                depth=settings.depth,
                mining=config.mining,
                probes=settings.probes,
            )
            reporter.advance()
            results.append(scores)
            if run is not None:
                more = None
                if translation is not None:
                    more = translation_table(collection, asked, translation.target_language)
                store_scores(scores, run, more)
    return results


def vector_kind(scoring: str) -> Kind:
    """Return the kind of vectors that an encoder's scoring compares."""
    compares = SCORINGS[scoring].compares
    if compares == "tokens" or compares == "sentences":
        return compares
    raise ValueError(f"the scoring {scoring!r} compares {compares}, not the vectors of an encoder")


def _encode_again(
    encode: Callable[..., dict[Kind, TokenStore | Tensor]],
    kind: Kind,
    encoder: Encoder,
    role: Role,
    texts: Sequence[str],
) -> TokenStore | Tensor:
    """Encode other texts as a collection's were."""
    return encode(encoder, texts, role, [kind], cached=True)[kind]


def announce(
    collections: Sequence[Collection], depth: int, run: RunFolder | None, reporter: Reporter
) -> None:
    """Check that `depth` ranks are enough for the measures, and say and record what collections note.

    Raises
    ------
    InputError
        If a measure looks deeper.
    """
    for collection in collections:
        checked_measures(collection, (), depth)
    references = {collection.name: collection.reference for collection in collections if collection.reference}
    notes = list(dict.fromkeys(note for collection in collections for note in collection.notes))
    for note in notes:
        reporter.say(note)
    if run is not None and (references or notes):
        run.update(summary={"references": references, **({"notes": notes} if notes else {})})


def store_scores(scores: Scores, run: RunFolder, more_texts: pa.Table | None = None) -> None:
    """Append what a search came to to the tables of `run`, and `more_texts` to table ``texts``."""
    texts = scores.text_table()
    run.write_table(
        "texts", texts if more_texts is None else pa.concat_tables([texts, more_texts]), append=True
    )
    run.write_table("scores", scores.score_table(), append=True)
    run.write_table("query_scores", scores.query_score_table(), append=True)
    run.write_table("rankings", scores.ranking_table(), append=True)
    run.heartbeat()


def searched(run: RunFolder) -> int:
    """Return how many searches `run` has stored whole; what is left of one that was cut short goes."""
    parts = [table_files(run.path, name) for name in _TABLES]
    whole = min(map(len, parts))
    for files in parts:
        for file in files[whole:]:
            file.unlink()
    return whole


def document_texts(collection: Collection, *, context: bool) -> list[str]:
    """Return what is encoded of each document: its text, with its paragraph behind it if `context`."""
    return [
        f"{document.text} {document.context}" if context and document.context else document.text
        for document in collection.documents
    ]


def _encode(
    settings: EvaluationConfig,
    precision: torch.dtype,
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    kinds: Sequence[Kind],
    reporter: Reporter = SILENT,
    *,
    cached: bool = False,
) -> dict[Kind, TokenStore | Tensor]:
    """Encode `texts` in one pass, whatever their vectors are searched by."""
    return vectors_of(
        encoder,
        texts,
        role,
        kinds,
        batch_size=settings.batch_size,
        precision=precision,
        cache=cache_home() / "vectors" if cached else None,
        progress=reporter.advance,
    )
