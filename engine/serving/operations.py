"""Answer the requests of `engine.serving.records`, with encoders and documents kept in memory.

Every request names the results database and a run (an id, the beginning of one, or a name). A text is refused
when it is empty, is too long or contains control characters.
"""

from __future__ import annotations

import dataclasses
import time
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from engine.config.base import Settings
from engine.errors import InputError
from engine.inspect.texts import clean_text
from engine.languages import language as find_language
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.serving import records
from engine.serving.records import (
    CollectionQuery,
    ExplainReply,
    ExplainRequest,
    Operation,
    PlanReply,
    PlanRequest,
    Pool,
    PoolRequest,
    RunRequest,
    SearchReply,
    SearchRequest,
    to_json,
)
from engine.validation import validate_settings

if TYPE_CHECKING:
    from engine.inspect.opening import RunSearcher
    from engine.inspect.session import Session


class Operations:
    """The operations, and what they keep between requests; torch is imported when first needed."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def table(self) -> dict[str, Callable[[Mapping[str, Any], Reporter], Any]]:
        """Return the operations by name; each takes a request decoded from JSON and returns JSON."""
        answers: dict[Operation[Any, Any], Callable[[Any, Reporter], Any]] = {
            records.LIST_POOLS: self.list_pools,
            records.LIST_QUERIES: self.list_queries,
            records.SEARCH: self.search,
            records.EXPLAIN: self.explain,
            records.PLAN: self.plan,
        }
        return {operation.name: _over_json(operation, answer) for operation, answer in answers.items()}

    def list_pools(self, request: RunRequest, reporter: Reporter) -> list[Pool]:
        """Return the pools that a run was evaluated on."""
        run, session = self._open(request, reporter)
        reporter.say("reading the run's collections …")
        from engine.inspect.opening import searched_config
        from engine.inspect.pools import pools_of

        pools = [
            Pool(
                collection=label,
                pool=number,
                name=pool.name,
                direction=pool.direction,
                queries=list(pool.query_languages),
                documents=pool.document_language,
                size=len(pool.documents),
            )
            for label, number, pool in pools_of(searched_config(run), session.cache)
        ]
        if not pools:
            raise InputError(f"run {run.id!r} was evaluated on no collection, so there is nothing to search")
        return pools

    def list_queries(self, request: PoolRequest, reporter: Reporter) -> list[CollectionQuery]:
        """Return the judged queries of a pool in one language."""
        run, session = self._open(request, reporter)
        from engine.inspect.opening import searched_config
        from engine.inspect.pools import choose_pool

        code = find_language(request.language).code
        pool, _ = choose_pool(searched_config(run), request.collection, code, request.pool, session.cache)
        return [CollectionQuery(query.id, query.text) for query in pool.queries if query.language == code]

    def search(self, request: SearchRequest, reporter: Reporter) -> SearchReply:
        """Return the best documents for a query."""
        clean_text(request.text)  # before anything is loaded for it
        run, searcher = self._searcher(request, reporter)
        start = time.perf_counter()
        with _one_thread():
            hits = searcher.search(request.text, request.k)
        seconds = time.perf_counter() - start
        judged = searcher.judgements(request.text)
        return SearchReply(
            run=run.id,
            collection=searcher.collection.name,
            hits=hits,
            relevant=None if judged is None else sum(grade > 0 for grade in judged.values()),
            cut=searcher.is_cut(request.text),
            searched=len(searcher.collection.documents),
            seconds=seconds,
            translation=searcher.translated(request.text) if searcher.translates else None,
        )

    def explain(self, request: ExplainRequest, reporter: Reporter) -> ExplainReply:
        """Return which tokens of a document the tokens of a query match."""
        run, searcher = self._searcher(request, reporter)
        from engine.inspect.explain import explain

        with _one_thread():
            matches = explain(searcher, request.text, request.document)
        return ExplainReply(
            run=run.id,
            document=request.document,
            text=searcher.collection.documents[searcher.document_index(request.document)].text,
            score=sum(match.score for match in matches) / (1 if searcher.adds_up else max(1, len(matches))),
            matches=matches,
        )

    def plan(self, request: PlanRequest, reporter: Reporter) -> PlanReply:
        """Return the transport plan of two sentences; a pair that was encoded before is only solved."""
        run, session = self._open(request, reporter)
        from engine.evaluation.finished_run import config_of
        from engine.inspect.plan import transport_settings

        transport = transport_settings(config_of(run), request.transport)
        with _one_thread():
            row = session.planner.plan(
                run, request.source, request.target, transport, language=request.language, reporter=reporter
            )
        matrices = {"plan": row.plan.tolist(), "cost": row.cost.tolist()}
        return PlanReply(run=run.id, transport=transport.model_dump(), **row.columns() | matrices)

    def _open(self, request: RunRequest, reporter: Reporter) -> tuple[RunFolder, Session]:
        """Return the request's run, and the session, which is made at the first request."""
        if self._session is None:
            reporter.say("starting torch …")
            from engine.inspect.session import Session

            self._session = Session()
        from engine.evaluation.finished_run import find_run

        return find_run(Path(request.results), request.run), self._session

    def _searcher(self, request: PoolRequest, reporter: Reporter) -> tuple[RunFolder, RunSearcher]:
        run, session = self._open(request, reporter)
        return run, session.searchers.open(
            run, request.language, collection=request.collection, pool=request.pool, reporter=reporter
        )


def _over_json(
    operation: Operation[Any, Any], answer: Callable[[Any, Reporter], Any]
) -> Callable[[Mapping[str, Any], Reporter], Any]:
    """Return `answer` as a function of a request decoded from JSON, which is checked first."""

    model = _settings(operation.request)

    def answered(parameters: Mapping[str, Any], reporter: Reporter) -> Any:
        settings = validate_settings(model, parameters)
        return to_json(answer(operation.request(**dict(settings)), reporter))

    return answered


def _settings(request: type[RunRequest]) -> type[Settings]:
    """Return a model that validates the fields of a request."""
    hints = typing.get_type_hints(request)
    fields: dict[str, Any] = {}
    for item in dataclasses.fields(request):
        default: dict[str, Any] = {}
        if item.default is not dataclasses.MISSING:
            default["default"] = item.default
        elif item.default_factory is not dataclasses.MISSING:
            default["default_factory"] = item.default_factory
        fields[item.name] = (hints[item.name], Field(**default, **item.metadata))
    return create_model(request.__name__, __base__=Settings, **fields)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one core.

    One query is too little work to share: while a run trains on the other cores, threads that wait for one
    another took ten times as long as one alone.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


OPERATIONS = Operations().table()
