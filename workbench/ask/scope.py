"""What a query is searched with and in: the runs, the pool of documents, and the query language."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from engine.extensions.runs import RUN_KINDS
from engine.languages import language_name
from engine.results.record import known_settings
from engine.serving.records import (
    LIST_POOLS,
    LIST_QUERIES,
    CollectionQuery,
    ExplainRequest,
    Pool,
    PoolRequest,
    RunRequest,
    SearchRequest,
)
from workbench.data.runs import Run
from workbench.shell.warm_requests import WarmRequests

MAX_RUNS = 2
"""Number of runs that are searched at the same time at most."""


class AskScope:
    """The choices of the Ask screen.

    Parameters
    ----------
    requests : WarmRequests
        Lists the pools and the queries.
    on_change : callable
        Called without arguments when the pool or the language changed.
    report : callable
        Called with a sentence for the status line and its level.

    Attributes
    ----------
    runs : list of str
        Ids of the runs that are searched.
    pools : list of Pool
        The pools that all of these runs have.
    pool : Pool or None
        The pool that is searched; None until the pools are known.
    language : str
        Code of the query language.
    queries : list of CollectionQuery
        The collection's own queries in that language; empty until they were needed.
    """

    def __init__(
        self,
        requests: WarmRequests,
        on_change: Callable[[], None],
        report: Callable[[str, str], None],
    ) -> None:
        self.runs: list[str] = []
        self.pools: list[Pool] = []
        self.pool: Pool | None = None
        self.language = ""
        self.queries: list[CollectionQuery] = []
        self._requests, self._on_change, self._report = requests, on_change, report
        self._preferred: Pool | None = None
        self._listed: dict[str, list[Pool]] = {}
        self._postponed: Callable[[], None] | None = None

    # -- runs and pools -----------------------------------------------------------------------------

    def set_runs(self, runs: list[str]) -> None:
        """Search `runs` from now on. The pool stays if they have it."""
        self.runs = runs
        self._list_pools()

    def when_ready(self, then: Callable[[], None]) -> None:
        """Call `then` once the pools of the runs are known."""
        if self.pool is not None:
            then()
            return
        self._postponed = then
        if not self._requests.waiting:  # the last attempt failed or was cancelled
            self._list_pools()

    def _list_pools(self) -> None:
        self._requests.cancel_all()
        self._preferred, self.pool, self._listed = self.pool or self._preferred, None, {}
        for run in self.runs:
            request = RunRequest(self._requests.results, run)
            self._requests.send(LIST_POOLS, request, partial(self._add_pools, run))

    def _add_pools(self, run: str, pools: list[Pool]) -> None:
        self._listed[run] = pools
        if set(self._listed) != set(self.runs):
            return
        first, *others = (self._listed[run] for run in self.runs)
        self.pools = [pool for pool in first if all(pool in other for other in others)]
        if not self.pools:
            self._report("these two runs were evaluated on no collection in common; choose others", "warn")
            return
        self._report("", "")
        preferred = self._preferred
        self.set_pool(preferred if preferred is not None and preferred in self.pools else self.pools[0])
        if self._postponed is not None:
            postponed, self._postponed = self._postponed, None
            postponed()

    def set_pool(self, pool: Pool) -> None:
        """Search `pool`. The language stays if the pool has queries in it; else it is the pool's first."""
        self.pool = pool
        self._set_language(self.language if self.language in pool.queries else pool.queries[0])

    # -- language -----------------------------------------------------------------------------------

    def languages_with_queries(self) -> list[str]:
        """Return the languages in which the collection has judged queries, those of the pool first."""
        return list(dict.fromkeys(code for pool in self._collection_pools() for code in pool.queries))

    def set_language(self, language: str) -> None:
        """Ask in `language`, and search the collection's pool for it if there is one a language."""
        pools = self._collection_pools()
        self.pool = next((pool for pool in pools if language in pool.queries), self.pool)
        self._set_language(language)

    def _set_language(self, language: str) -> None:
        self.language, self.queries = language, []
        self._on_change()

    def _collection_pools(self) -> list[Pool]:
        """Return the pools of the collection that is searched, the current one first."""
        if self.pool is None:
            return []
        others = [pool for pool in self.pools if pool.name == self.pool.name and pool != self.pool]
        return [self.pool, *others]

    # -- the collection's own queries ---------------------------------------------------------------

    def with_queries(self, then: Callable[[], None]) -> None:
        """Call `then` once the collection's own queries in this language are known, if there are any."""

        def take(queries: list[CollectionQuery]) -> None:
            self.queries = queries
            if queries:
                self._report("", "")
                then()
            else:
                name = language_name(self.language)
                self._report(f"the collection has no queries of its own in {name}; l changes it", "warn")

        if self.queries:
            then()
        else:
            self._list_queries(take)

    def translate_query(self, text: str, language: str, then: Callable[[str], None]) -> None:
        """Switch to `language`, and call `then` with the same query in it.

        Only the collection's own queries have translations: the queries of the other language with the same
        number. For any other text, and where there is no translation, `then` gets `text`.
        """
        known = [query.id for query in self.queries if query.text == text]
        self.set_language(language)
        if not known:
            then(text)
            return
        translated = f"{language}:{known[0].partition(':')[2]}"

        def take(queries: list[CollectionQuery]) -> None:
            self.queries = queries
            then(next((query.text for query in queries if query.id == translated), text))

        self._list_queries(take)

    def next_query(self, text: str, step: int) -> str:
        """Return the text of the query `step` places after `text`; the first one if `text` is not known."""
        texts = [query.text for query in self.queries]
        place = texts.index(text) + step if text in texts else 0
        return texts[place % len(texts)]

    def _list_queries(self, then: Callable[[list[CollectionQuery]], None]) -> None:
        pool = self._known_pool
        request = PoolRequest(
            self._requests.results, self.runs[0], self.language, collection=pool.collection, pool=pool.pool
        )
        self._requests.send(LIST_QUERIES, request, then)

    # -- requests -----------------------------------------------------------------------------------

    def search_request(self, run: str, text: str, k: int) -> SearchRequest:
        """Return the request that searches for `text` with `run`."""
        pool = self._known_pool
        return SearchRequest(
            results=self._requests.results,
            run=run,
            language=self.language,
            collection=pool.collection,
            pool=pool.pool,
            text=text,
            k=k,
        )

    def explain_request(self, run: str, text: str, document: str) -> ExplainRequest:
        """Return the request that explains the score of `document` for `text`."""
        pool = self._known_pool
        return ExplainRequest(
            results=self._requests.results,
            run=run,
            language=self.language,
            collection=pool.collection,
            pool=pool.pool,
            text=text,
            document=document,
        )

    @property
    def _known_pool(self) -> Pool:
        assert self.pool is not None, "when_ready waits for the pool"
        return self.pool


def is_searchable(run: Run) -> bool:
    """Return whether a run has something to search with and a collection."""
    config = known_settings(run)
    kind = RUN_KINDS.get(config.get("kind", ""))
    if kind is not None and kind.searcher is not None:
        return bool(run["state"] == "finished")
    return bool(config.get("collections")) and (run["folder"] / "checkpoints" / "student").is_dir()
