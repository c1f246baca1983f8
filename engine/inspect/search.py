"""Search one of a run's collections with the run's encoders, one query at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from engine.collections.human_translations import human_translations
from engine.config import EvaluateConfig
from engine.config.translation import GOLD
from engine.counted import counted
from engine.encoders.encoder import Encoder, Role
from engine.errors import InputError
from engine.evaluation.finished_run import encoders_config_of, saved_encoders
from engine.evaluation.language_removal import COMPONENTS_FILE, place_of, saved_removal
from engine.evaluation.runner import document_texts
from engine.extensions.scorings import SCORINGS
from engine.inspect.cache import Cache, FileStamps, documents_key
from engine.inspect.pools import AskedPool, choose_pool
from engine.inspect.records import Hit, Match
from engine.inspect.texts import clean_text
from engine.languages import language as find_language
from engine.languages import same_language
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.maxsim import maxsim_explain
from engine.retrieval.scorings.vectors import MAXSIM
from engine.retrieval.single import PreparedSearch, SingleSearch
from engine.retrieval.stored import StoredTokens
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import pool_vectors, vectors_folder
from engine.training.precision import precision_of


@dataclass(frozen=True)
class EncodedQuery:
    """Token vectors (Q, H) of a query's counted tokens, their pieces, and the sentence vector (H',)."""

    vectors: Tensor
    pieces: list[str]
    sentence: Tensor


class Searcher:
    """A run's encoders over one of its pools of documents, ready for any number of queries.

    A pool that is on disk, because it is large or quantised, is searched with the first of the run's scorings
    that compares token vectors; candidates are found as that scoring finds them. All other pools are searched
    by exact MaxSim.

    Parameters
    ----------
    run : RunFolder
        A finished run with encoders.
    language : str
        Language of the queries. Where a collection has one pool for each language, it chooses the pool.
    collection : str, optional
        Label of one of the run's collections; None takes the first.
    pool : int, optional
        Number of the pool in the collection, from zero; None takes the first for queries in `language`.
    precision : torch.dtype, optional
        Number format of the matrix products; None takes the run's own on a CPU.
    cache : Cache, optional
        Keeps encoders, collections and document vectors; searchers may share one.
    reporter : Reporter
        Receives the progress of loading.

    Attributes
    ----------
    language : str
        Code of the queries' language.
    collection : Collection
        Queries, documents and judgements of the pool.

    Raises
    ------
    InputError
        If the run has no encoders, no such collection or pool, or they cannot be loaded.
    """

    adds_up = False

    def __init__(
        self,
        run: RunFolder,
        language: str,
        *,
        collection: str | None = None,
        pool: int | None = None,
        precision: torch.dtype | None = None,
        cache: Cache | None = None,
        reporter: Reporter = SILENT,
    ) -> None:
        self._cache = cache or Cache()
        config = encoders_config_of(run)
        queries, documents = saved_encoders(run)
        self._saved_queries = queries
        self._saved_documents = queries if config.evaluation.documents == "student" else documents
        components_file = run.checkpoints / COMPONENTS_FILE
        self._stamps = FileStamps.of(
            [
                run.path / "run.json",
                components_file,
                *self._saved_queries.files(),
                *self._saved_documents.files(),
            ]
        )
        self.language = find_language(language).code
        self.collection, self._entry = choose_pool(config, collection, self.language, pool, self._cache)
        self._pool = AskedPool(self.collection, self.language)
        self.precision = precision or precision_of(config, torch.device("cpu"))
        self.texts = document_texts(self.collection, context=self._entry.context)
        self._role: Role = "passage"
        self._evaluation = config.evaluation
        asked = [SCORINGS[name] for name in config.evaluation.scoring]
        self._scoring = next((one for one in asked if one.compares == "tokens" and one.prepare), MAXSIM)
        self._seed = config.seed
        self._translation = config.translation if isinstance(config, EvaluateConfig) else None
        self._from_query: Callable[[Tensor], Tensor] | None = None
        self._from_documents: Callable[[TokenStore], TokenStore] | None = None
        self._documents_key = ""
        removal = saved_removal(config, components_file)
        if removal is not None:
            if MAXSIM.name not in config.evaluation.scoring:
                raise InputError(
                    f"run {run.id!r} has {removal.title} of sentence vectors only, and a search needs "
                    "those of token vectors; choose a run that was evaluated with the scoring 'maxsim'"
                )
            fitted = removal.of(place_of(self.collection, MAXSIM.name, "query"), self.language)
            self._from_query = partial(removal.without, fitted=fitted)
            self._from_documents = partial(
                removal.remove_from_tokens,
                place_of(self.collection, MAXSIM.name, "passage"),
                languages=[document.language for document in self.collection.documents],
            )
        self._components_name = f"{run.id} {self.collection.name} {FileStamps.of([components_file])}"
        self.load(reporter)

    @property
    def up_to_date(self) -> bool:
        """Whether the run's files are still those that the searcher was made from."""
        return self._stamps.unchanged()

    def load(self, reporter: Reporter = SILENT) -> None:
        """Load what the cache does not hold (any more): encoders and document vectors.

        Raises
        ------
        InputError
            If an encoder cannot be loaded.
        """
        self._cache.encoder(self._saved_queries, reporter)
        encoder = self._cache.encoder(self._saved_documents, reporter)
        if not self._documents_key:
            self._role = encoder.document_role(symmetric=self._entry.reader.symmetric)
            self._documents_key = documents_key(encoder, self.texts, self._role, self.precision)
            evaluation = self._evaluation
            if evaluation.token_bits < 16:
                self._documents_key += f" in {evaluation.token_bits} bits"
            settings = [str(getattr(evaluation, name)) for name in self._scoring.settings]
            self._documents_key += " ".join(["", self._scoring.name, *settings])
            if self._from_documents is not None:
                self._documents_key += f" {self._components_name}"
        self._cache.documents(self._documents_key, partial(self._encode_documents, reporter))

    @property
    def query_encoder(self) -> Encoder:
        """The encoder of queries."""
        return self._cache.encoder(self._saved_queries)

    @property
    def document_encoder(self) -> Encoder:
        """The encoder of documents."""
        return self._cache.encoder(self._saved_documents)

    @property
    def vectors(self) -> PreparedSearch:
        """The token vectors of the documents."""
        return self._cache.documents(self._documents_key, partial(self._encode_documents, SILENT))

    @property
    def translates(self) -> bool:
        """Whether the run translates queries in this language."""
        config = self._translation
        return config is not None and not same_language(self.language, config.target_language)

    def judgements(self, text: str) -> Mapping[str, int] | None:
        """Return the documents' grades for the query `text`, or None if the collection has no such query."""
        return self._pool.judgements(text)

    def search(self, text: str, k: int = 10) -> list[Hit]:
        """Return the `k` best documents for the query `text`, best first.

        A document without a counted token is never found.

        Raises
        ------
        InputError
            If the query has no counted token, is too long or contains control characters.
        """
        query = self.encode_query(text)
        scores, indices = self.vectors.search(query.vectors, k, first=query.sentence)
        return self._pool.hits(text, scores.tolist(), indices.tolist())

    def explain(self, text: str, document: str) -> list[Match]:
        """Return the best match of each counted token of a query in a document.

        The mean of the matches' scores is the document's MaxSim score.

        Parameters
        ----------
        text : str
            The query.
        document : str
            Id of a document in the pool, among the hits or not.

        Raises
        ------
        InputError
            As `search`; also if there is no such document or none of its tokens counts.
        """
        query = self.encode_query(text)
        index = self.document_index(document)
        encoder = self.document_encoder
        (tokens,) = encoder.tokenize([self.texts[index]], self._role)
        pieces = encoder.pieces([i for i, counts in zip(tokens.ids, tokens.counted, strict=True) if counts])
        if not pieces:
            raise InputError(f"the document {document!r} has no token that counts, so it matches nothing")
        best, scores = maxsim_explain(query.vectors, self.vectors.documents[index].float())
        return [
            Match(piece, pieces[found], score)
            for piece, found, score in zip(query.pieces, best.tolist(), scores.tolist(), strict=True)
        ]

    def document_index(self, document: str) -> int:
        """Return the place of the document of id `document` in the pool.

        Raises
        ------
        InputError
            If the pool has no such document.
        """
        return self._pool.document_index(document)

    def is_cut(self, text: str) -> bool:
        """Return whether the query `text` has more tokens than its encoder reads."""
        config = self.query_encoder.config
        whole = config.query_prefix + self.translated(text)
        pieces = self.query_encoder.tokenizer(whole, verbose=False)["input_ids"]
        return len(pieces) > config.query_length

    def translated(self, text: str) -> str:
        """Return the text that is searched for: `text`, or its translation if the run translates queries.

        Raises
        ------
        InputError
            As `search`; also if the run's translations are human and the collection has no such query.
        """
        text, config = clean_text(text), self._translation
        if config is None or not self.translates:
            return text
        if config.checkpoint != GOLD:
            return self._cache.translator(config).translate([text], self.language)[0]
        if (known := self._pool.query_id(text)) is None:
            raise InputError(
                "the run searches for human translations, which exist only for the collection's own queries; "
                "choose one of those, or a run with a translation.checkpoint"
            )
        return self._human_translations[known]

    def encode_query(self, text: str) -> EncodedQuery:
        """Encode a query, translated if the run translates queries.

        Raises
        ------
        InputError
            As `search`.
        """
        encoder = self.query_encoder
        ((_, encoded),) = encoder.encode([self.translated(text)], "query", precision=self.precision)
        mask = encoded.mask[0]
        if not mask.any():
            raise InputError(f"the query {text!r} has no token that counts; type a word")
        vectors = encoded.tokens[0][mask]
        if self._from_query is not None:
            vectors = self._from_query(vectors)
        pieces = encoder.pieces(encoded.ids[0][mask].tolist())
        return EncodedQuery(vectors, pieces, encoded.sentences[0])

    @cached_property
    def _human_translations(self) -> dict[str, str]:
        """Human translations of the collection's queries, by the query's id."""
        assert self._translation is not None
        texts = human_translations(
            self.collection, self._entry, self._translation.target_language, self._seed
        )
        return dict(zip([query.id for query in self.collection.queries], texts, strict=True))

    def _encode_documents(self, reporter: Reporter) -> PreparedSearch:
        reporter.stage(f"{self.collection.name}: documents", len(self.texts))
        found = pool_vectors(
            self.document_encoder,
            self.texts,
            self._role,
            list(self._scoring.kinds),
            precision=self.precision,
            cache=vectors_folder(),
            bits=self._evaluation.token_bits,
            progress=reporter.advance,
        )
        store = found["tokens"]
        assert not isinstance(store, Tensor)
        if self._from_documents is not None:
            return SingleSearch(self._from_documents(store.load()))
        if not isinstance(store, StoredTokens):
            return SingleSearch(store)
        settings: dict[str, Any] = {name: getattr(self._evaluation, name) for name in self._scoring.settings}
        if self._scoring.first_stage is not None:
            settings["first"] = found[self._scoring.first_stage]
        if self._scoring is not MAXSIM:
            reporter.say(f"opening {counted(len(store), 'document')} for {self._scoring.name} …")
        prepared: PreparedSearch = self._scoring.resolve_prepare()(store, **settings)
        return prepared
