"""Open a finished run for single queries, by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from engine.collections.base import Collection
from engine.evaluation.finished_run import config_of, encoders_config_of
from engine.evaluation.stored_rankings import find_finished_run
from engine.extensions.runs import RUN_KINDS
from engine.inspect.cache import Cache, Recent
from engine.inspect.records import Hit, Match
from engine.inspect.search import Searcher
from engine.registry import resolve_reference
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder


class RunSearcher(Protocol):
    """A finished run over one of its pools of documents, as `engine.inspect.search.Searcher` describes it."""

    language: str
    collection: Collection

    @property
    def up_to_date(self) -> bool:
        """Whether the run's files are still those that the searcher was made from."""

    @property
    def adds_up(self) -> bool:
        """Whether the sum of an explanation's scores, and not their mean, is the document's score."""

    @property
    def translates(self) -> bool:
        """Whether the run translates queries in this language."""

    def load(self, reporter: Reporter = SILENT) -> None:
        """Load what is not in memory (any more)."""

    def judgements(self, text: str) -> Mapping[str, int] | None:
        """Return the documents' grades for the query `text`, or None if the collection has no such query."""

    def search(self, text: str, k: int = 10) -> list[Hit]:
        """Return the `k` best documents for the query `text`, best first."""

    def explain(self, text: str, document: str) -> list[Match]:
        """Return what of the query matches what of the document."""

    def document_index(self, document: str) -> int:
        """Return the place of the document of id `document` in the pool."""

    def is_cut(self, text: str) -> bool:
        """Return whether the end of the query `text` is not read."""

    def translated(self, text: str) -> str:
        """Return the text that is searched for."""


def open_searcher(
    run: RunFolder,
    language: str,
    *,
    collection: str | None = None,
    pool: int | None = None,
    cache: Cache | None = None,
    reporter: Reporter = SILENT,
) -> RunSearcher:
    """Return a searcher for a run of any kind that can be asked; parameters as `Searcher`.

    Raises
    ------
    InputError
        If the run cannot be asked, or as `Searcher`.
    """
    searcher = RUN_KINDS[config_of(run).kind].searcher
    made: Any = Searcher if searcher is None else resolve_reference(searcher)
    opened: RunSearcher = made(
        run, language, collection=collection, pool=pool, cache=cache, reporter=reporter
    )
    return opened


def searched_config(run: RunFolder) -> Any:
    """Return the configuration with the collections that a run can be asked to search.

    Raises
    ------
    InputError
        If the run cannot be asked.
    """
    config = config_of(run)
    kind = RUN_KINDS[config.kind]
    if kind.searcher is None:
        return encoders_config_of(run)
    if kind.collections_of is None:
        return config
    fused = run.record["summary"].get("fused")
    return searched_config(find_finished_run(fused[0]["run"] if fused else kind.collections_of(config), run))


class Searchers:
    """Searchers that are kept between queries, by run, collection, pool and language.

    A kept searcher is used as long as the run's files do not change. Finding one computes no hash.

    Parameters
    ----------
    cache : Cache, optional
        Shared by all searchers.
    most : int
        The most searchers that are kept. Their encoders and vectors are in the cache, which bounds them.
    """

    def __init__(self, cache: Cache | None = None, most: int = 16) -> None:
        self.cache = cache or Cache()
        self._searchers: Recent[RunSearcher] = Recent(most)

    def open(
        self,
        run: RunFolder,
        language: str,
        *,
        collection: str | None = None,
        pool: int | None = None,
        reporter: Reporter = SILENT,
    ) -> RunSearcher:
        """Return a searcher with its encoders and vectors loaded; parameters and errors as `Searcher`."""
        key = "\0".join([str(run.path.absolute()), language, collection or "", str(pool)])
        searcher = self._searchers.find(key)
        if searcher is not None and searcher.up_to_date:
            searcher.load(reporter)
            return searcher
        self._searchers.drop(key)

        def make() -> RunSearcher:
            return open_searcher(
                run, language, collection=collection, pool=pool, cache=self.cache, reporter=reporter
            )

        return self._searchers.get(key, make)
