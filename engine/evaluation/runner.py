"""Evaluate a pair of encoders on the collections of a configuration, and store the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor

from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.config import CollectionConfig, EvaluationConfig
from engine.config.translation import TranslationConfig
from engine.encoders.encoder import Encoder, Role
from engine.errors import InputError
from engine.evaluation.language_removal import Removal
from engine.evaluation.query_translation import QueryTranslation, translation_table
from engine.evaluation.scores import Scores, checked_measures, evaluate_collection
from engine.extensions.scorings import SCORINGS
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder, table_files
from engine.retrieval.cut_texts import CutTexts
from engine.retrieval.stored import StoredTokens, Tokens
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import Kind, pool_vectors, vectors_folder
from engine.retrieval.vectors import vectors as vectors_of

Vectors = TokenStore | Tensor

#: The tables to which each search appends one part.
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
    isolation: Removal | None = None,
) -> list[Scores]:
    """Search and score every collection, and store the results.

    Document vectors are cached, because several students search the documents of one teacher. The results of
    each search are appended to the tables ``texts``, ``scores``, ``query_scores`` and ``rankings`` of `run`
    at once. In a resumed run, searches that are stored already are neither repeated nor returned.

    Parameters
    ----------
    collections : sequence of CollectionConfig
    settings : EvaluationConfig
    queries, documents : Encoder
        The encoders of queries and documents.
    precision : torch.dtype
        Number format of the encoders' matrix products.
    run : RunFolder, optional
        Stores the results.
    seed : int
        Seed of the choices that collections make.
    reporter : Reporter
    translation : TranslationConfig, optional
        Translates the queries first; the translations are stored as texts.
    isolation : Removal, optional
        Removes what vectors have from their language. The cached vectors still have them.

    Returns
    -------
    list of Scores
        One for each collection and scoring.

    Raises
    ------
    InputError
        If a collection is missing or broken, a measure needs more ranks than are kept, or queries cannot be
        translated. Nothing is searched in these cases.
    """
    loaded = [(collection, config) for config in collections for collection in load_collections(config, seed)]
    return evaluate_loaded(
        loaded,
        settings,
        queries=queries,
        documents=documents,
        precision=precision,
        run=run,
        seed=seed,
        reporter=reporter,
        translation=translation,
        isolation=isolation,
    )


def evaluate_loaded(
    loaded: Sequence[tuple[Collection, CollectionConfig]],
    settings: EvaluationConfig,
    *,
    queries: Encoder,
    documents: Encoder,
    precision: torch.dtype,
    run: RunFolder | None = None,
    seed: int = 0,
    reporter: Reporter = SILENT,
    translation: TranslationConfig | None = None,
    isolation: Removal | None = None,
    cache: Path | None = None,
) -> list[Scores]:
    """Search and score collections that are loaded, each with its configuration.

    `cache` is the folder in which vectors are kept; None takes that of the user. All else is as in
    `evaluate`.

    Raises
    ------
    InputError
        As `evaluate`.
    """
    staged = [name for name in settings.scoring if SCORINGS[name].first_stage is not None]
    if isolation is not None and staged:
        raise InputError(
            f"the scoring {staged[0]!r} finds candidates with sentence vectors, from which nothing is "
            f"removed; use {SCORINGS[staged[0]].exact!r} with language components or shifts"
        )
    noted = [collection.with_notes(_prefix_note(config, documents)) for collection, config in loaded]
    announce([one for one, _ in loaded] if run is None else noted, settings.depth, run, reporter)
    translated: list[list[str]] = []
    if translation is not None:
        translate = QueryTranslation(translation, seed, queries.device, reporter)
        translated = [translate.queries(collection, config) for collection, config in loaded]
    done = stored_searches(run) if run is not None else 0
    if done:
        reporter.say(f"{done} searches were finished before the run stopped; the others follow")
    query_texts = translated or [[query.text for query in collection.queries] for collection, _ in loaded]
    last_use = {tuple(texts): place for place, texts in enumerate(query_texts)}
    encode = _Encode(settings, precision, reporter, cache or vectors_folder())
    cut = None if run is None else CutTexts(reporter)
    # Several pools may have the same queries.
    encoded: dict[tuple[str, ...], dict[Kind, Vectors]] = {}
    results = []
    for place, (collection, config) in enumerate(loaded):
        passages = document_texts(collection, context=config.context)
        role = documents.document_role(symmetric=config.reader.symmetric)
        if cut is not None:
            cut.count(documents, passages, role, f"documents of {collection.name}")
            cut.count(queries, query_texts[place], "query", f"queries of {collection.name}")
        scorings = settings.scoring[done:]
        done = max(0, done - len(settings.scoring))
        if not scorings:
            continue
        kinds = list(dict.fromkeys(kind for scoring in scorings for kind in SCORINGS[scoring].kinds))
        name = f"{collection.name}, {'/'.join(collection.query_languages[:4])}"
        reporter.stage(f"{name}: documents", len(passages))
        document_vectors = encode.pool(documents, passages, role, kinds)
        stored = document_vectors.get("tokens")
        if isinstance(stored, StoredTokens) and stored.codec is not None:
            reporter.say(
                f"{collection.name}: token vectors of documents are stored in {stored.codec.bits} bits; "
                f"their mean cosine with the exact ones is {stored.codec.cosine:.4f}"
            )
        texts = tuple(query_texts[place])
        query_vectors = encoded.setdefault(texts, {})
        if missing := [kind for kind in kinds if kind not in query_vectors]:
            reporter.stage(f"{name}: queries", len(texts))
            query_vectors |= encode(queries, texts, "query", missing)
        if last_use[texts] == place:
            del encoded[texts]
        for scoring in scorings:
            kind = vector_kind(scoring)
            asked, searched = query_vectors[kind], document_vectors[kind]
            if isolation is not None:
                reporter.stage(f"{name}, {scoring}: language components", 2)
                again = partial(encode.again, kind)
                asked = isolation.isolated(
                    collection, scoring, "query", asked, partial(again, queries, "query")
                )
                reporter.advance()
                if isinstance(searched, StoredTokens):
                    searched = searched.load()  # what is removed is removed from all of them at once
                searched = isolation.isolated(
                    collection, scoring, role, searched, partial(again, documents, role)
                )
                reporter.advance()
            reporter.stage(f"{name}, {scoring}: search", 1)
            scores = evaluate_collection(
                collection,
                asked,
                searched,
                scoring=scoring,
                depth=settings.depth,
                mining=config.mining,
                probes=settings.probes,
                candidates=settings.candidates,
                first=_first_stage(scoring, query_vectors, document_vectors),
            )
            reporter.advance()
            results.append(scores)
            if run is not None:
                translations = None
                if translation is not None:
                    translations = translation_table(collection, texts, translation.target_language)
                store_scores(scores, run, translations)
    if cut is not None and run is not None:
        cut.record(run, "cut")
    return results


def _prefix_note(config: CollectionConfig, documents: Encoder) -> list[str]:
    """Return a note about documents that are encoded with the prefix of queries; none about others."""
    role = documents.document_role(symmetric=config.reader.symmetric)
    if documents.prefix(role) == documents.prefix("passage"):
        return []
    return [
        f"{config.label or config.name}: queries and documents are texts of one kind, so both are encoded "
        f"with the prefix {documents.prefix(role)!r}; passage_prefix sets another one for documents"
    ]


def _first_stage(
    scoring: str, queries: Mapping[Kind, Vectors], documents: Mapping[Kind, Tokens | Tensor]
) -> tuple[Tensor, Tensor] | None:
    """Return the sentence vectors that a scoring finds candidates with, if it does."""
    kind = SCORINGS[scoring].first_stage
    if kind is None:
        return None
    asked, searched = queries[kind], documents[kind]
    assert isinstance(asked, Tensor) and isinstance(searched, Tensor)
    return asked, searched


def vector_kind(scoring: str) -> Kind:
    """Return the kind of vectors that an encoder's scoring compares."""
    compares = SCORINGS[scoring].compares
    if compares == "tokens" or compares == "sentences":
        return compares
    raise ValueError(f"the scoring {scoring!r} compares {compares}, not the vectors of an encoder")


@dataclass(frozen=True)
class _Encode:
    """Encodes texts once for all kinds of vectors that are needed of them."""

    settings: EvaluationConfig
    precision: torch.dtype
    reporter: Reporter
    cache: Path

    def __call__(
        self, encoder: Encoder, texts: Sequence[str], role: Role, kinds: Sequence[Kind]
    ) -> dict[Kind, Vectors]:
        """Return vectors of `texts` of each kind."""
        return self._vectors(encoder, texts, role, kinds, None, self.reporter)

    def pool(
        self, encoder: Encoder, texts: Sequence[str], role: Role, kinds: Sequence[Kind]
    ) -> dict[Kind, Tokens | Tensor]:
        """Return vectors of the documents `texts` of each kind, from the cache if they are there."""
        return pool_vectors(
            encoder,
            texts,
            role,
            kinds,
            bits=self.settings.token_bits,
            batch_size=self.settings.batch_size,
            precision=self.precision,
            cache=self.cache,
            progress=self.reporter.advance,
        )

    def again(self, kind: Kind, encoder: Encoder, role: Role, texts: Sequence[str]) -> Vectors:
        """Return vectors of other texts that are comparable with a collection's."""
        return self._vectors(encoder, texts, role, [kind], self.cache, SILENT)[kind]

    def _vectors(
        self,
        encoder: Encoder,
        texts: Sequence[str],
        role: Role,
        kinds: Sequence[Kind],
        cache: Path | None,
        reporter: Reporter,
    ) -> dict[Kind, Vectors]:
        return vectors_of(
            encoder,
            texts,
            role,
            kinds,
            batch_size=self.settings.batch_size,
            precision=self.precision,
            cache=cache,
            progress=reporter.advance,
        )


def announce(
    collections: Sequence[Collection], depth: int, run: RunFolder | None, reporter: Reporter
) -> None:
    """Check that `depth` ranks suffice for the measures, and report and record the notes of collections.

    Raises
    ------
    InputError
        If a measure needs more ranks.
    """
    for collection in collections:
        checked_measures(collection, (), depth)
    references = {collection.name: collection.reference for collection in collections if collection.reference}
    notes = list(dict.fromkeys(note for collection in collections for note in collection.notes))
    for note in notes:
        reporter.say(note)
    if run is not None and (references or notes):
        run.update(summary={"references": references, **({"notes": notes} if notes else {})})


def store_scores(scores: Scores, run: RunFolder, translations: pa.Table | None = None) -> None:
    """Append the results of a search, and rows of table ``texts``, to the tables of `run`."""
    texts = scores.text_table()
    run.write_table(
        "texts", texts if translations is None else pa.concat_tables([texts, translations]), append=True
    )
    topics = scores.topic_table()
    if topics.num_rows:
        run.write_table("topics", topics, append=True)
    run.write_table("scores", scores.score_table(), append=True)
    run.write_table("query_scores", scores.query_score_table(), append=True)
    run.write_table("rankings", scores.ranking_table(), append=True)
    run.heartbeat()


def stored_searches(run: RunFolder) -> int:
    """Return how many searches `run` has stored, and delete the files of one that was interrupted."""
    parts = [table_files(run.path, name) for name in _TABLES]
    whole = min(map(len, parts))
    for files in parts:
        for file in files[whole:]:
            file.unlink()
    return whole


def document_texts(collection: Collection, *, context: bool) -> list[str]:
    """Return the text of each document that is encoded, followed by its paragraph if `context`."""
    return [
        f"{document.text} {document.context}" if context and document.context else document.text
        for document in collection.documents
    ]
