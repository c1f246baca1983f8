"""Search one of a run's collections by words or characters, one query at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch

from engine.config import LexicalConfig
from engine.counted import counted
from engine.errors import InputError
from engine.evaluation.finished_run import config_of
from engine.evaluation.runner import document_texts
from engine.evaluation.word_translations import translations_for
from engine.extensions.scorings import SCORINGS
from engine.inspect.cache import Cache, FileStamps
from engine.inspect.pools import AskedPool, choose_pool
from engine.inspect.records import Hit, Match
from engine.inspect.texts import clean_text
from engine.languages import language as find_language
from engine.lexicon.translations import FILE, load
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.lexical import SearchIndex, find_lexical


class LexicalSearcher:
    """The documents of a lexical run, ready for any number of queries.

    Parameters and errors are those of `engine.inspect.search.Searcher`.
    """

    translates = False
    adds_up = True

    def __init__(
        self,
        run: RunFolder,
        language: str,
        *,
        collection: str | None = None,
        pool: int | None = None,
        cache: Cache | None = None,
        reporter: Reporter = SILENT,
    ) -> None:
        config = config_of(run)
        assert isinstance(config, LexicalConfig)
        self._config, self._run = config, run
        self._scoring = SCORINGS[config.method]
        learnt = [run.checkpoints / FILE] if self._scoring.translations else []
        self._stamps = FileStamps.of([run.path / "run.json", *learnt])
        if self._scoring.prepare is None:
            raise InputError(
                f"the scoring {config.method!r} of run {run.id!r} cannot be asked single queries"
            )
        self.language = find_language(language).code
        self.collection, entry = choose_pool(config, collection, self.language, pool, cache or Cache())
        self._pool = AskedPool(self.collection, self.language)
        self.texts = document_texts(self.collection, context=entry.context)
        self.load(reporter)

    @property
    def up_to_date(self) -> bool:
        """Whether the run's record is still the one that the searcher was made from."""
        return self._stamps.unchanged()

    def load(self, reporter: Reporter = SILENT) -> None:
        """Prepare the documents, if they are not yet."""
        if "index" not in self.__dict__:
            reporter.say(f"preparing {counted(len(self.texts), 'document')} for {self._scoring.name} …")
        assert self.index is not None

    @cached_property
    def index(self) -> SearchIndex:
        """The terms and weights of the documents."""
        settings = {name: getattr(self._config, name) for name in self._scoring.settings}
        if self._scoring.translations:
            settings["translations"] = translations_for(
                load(self._run.checkpoints / FILE), self.language, self.collection
            )
        index: SearchIndex = self._scoring.resolve_prepare()(self.texts, **settings)
        return index

    def judgements(self, text: str) -> Mapping[str, int] | None:
        """Return the documents' grades for the query `text`, or None if the collection has no such query."""
        return self._pool.judgements(text)

    def search(self, text: str, k: int = 10) -> list[Hit]:
        """Return the `k` best documents for `text`; a document that shares no term with it is not found.

        Raises
        ------
        InputError
            If the query is empty, too long or contains control characters.
        """
        found = find_lexical(self.index.of([clean_text(text)]), k, torch.empty(1, 0, dtype=torch.int64))
        return self._pool.hits(text, found.scores[0].tolist(), found.indices[0].tolist())

    def explain(self, text: str, document: str) -> list[Match]:
        """Return the terms that a query and a document share, each with its part of the score.

        With translations of words, what a query word shares with a document are its translations, with their
        probabilities. The sum of the parts is the document's score.

        Raises
        ------
        InputError
            As `search`; also if there is no such document.
        """
        parts = self.index.explain(clean_text(text), self.document_index(document))
        return [Match(asked, found, part) for asked, found, part in parts]

    def document_index(self, document: str) -> int:
        """Return the place of the document of id `document` in the pool.

        Raises
        ------
        InputError
            If the pool has no such document.
        """
        return self._pool.document_index(document)

    def is_cut(self, text: str) -> bool:
        """Return False: a lexical search reads whole queries."""
        return False

    def translated(self, text: str) -> str:
        """Return the text that is searched for."""
        return clean_text(text)
