"""Answer the requests of `engine.serving.records`, with encoders and documents kept in memory.

Every request names the results database and a run (an id, the beginning of one, or a name). A text is refused
when it is empty, is too long or contains control characters.
"""

from __future__ import annotations

import dataclasses
import time
import typing
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from engine.config.base import Settings
from engine.errors import InputError
from engine.inspect.typed_text import typed
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
from engine.validation import validated

if TYPE_CHECKING:
    from engine.inspect.cache import Shelf
    from engine.inspect.plan import EncodedPair
    from engine.inspect.search import Searcher

_PAIRS = 32
"""Number of encoded pairs that are kept; each takes some ten kilobytes."""


class Operations:
    """The operations, and what they keep between requests; torch is imported when first needed."""

    def __init__(self) -> None:
        self._shelf: Shelf | None = None
        self._pairs: OrderedDict[str, EncodedPair] = OrderedDict()

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
        run, shelf = self._open(request, reporter)
        reporter.say("reading the run's collections …")
        from engine.evaluation.finished_run import encoders_config_of
        from engine.inspect.search import pools_of

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
            for label, number, pool in pools_of(encoders_config_of(run), shelf)
        ]
        if not pools:
            raise InputError(f"run {run.id!r} was evaluated on no collection, so there is nothing to search")
        return pools

    def list_queries(self, request: PoolRequest, reporter: Reporter) -> list[CollectionQuery]:
        """Return the judged queries of a pool in one language."""
        run, shelf = self._open(request, reporter)
        from engine.evaluation.finished_run import encoders_config_of
        from engine.inspect.search import choose_pool

        code = find_language(request.language).code
        pool, _ = choose_pool(encoders_config_of(run), request.collection, code, request.pool, shelf)
        return [CollectionQuery(query.id, query.text) for query in pool.queries if query.language == code]

    def search(self, request: SearchRequest, reporter: Reporter) -> SearchReply:
        """Return the best documents for a query."""
        run, shelf = self._open(request, reporter)
        typed(request.text)  # refused before anything is loaded for it
        searcher = _searcher(run, request, shelf, reporter)
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
            cut=searcher.too_long(request.text),
            searched=len(searcher.collection.documents),
            seconds=seconds,
            translation=searcher.searched_for(request.text) if searcher.translates else None,
        )

    def explain(self, request: ExplainRequest, reporter: Reporter) -> ExplainReply:
        """Return which tokens of a document the tokens of a query match."""
        run, shelf = self._open(request, reporter)
        searcher = _searcher(run, request, shelf, reporter)
        with _one_thread():
            matches = searcher.explain(request.text, request.document)
        return ExplainReply(
            run=run.id,
            document=request.document,
            text=searcher.collection.documents[searcher.place(request.document)].text,
            score=sum(match.score for match in matches) / len(matches),
            matches=matches,
        )

    def plan(self, request: PlanRequest, reporter: Reporter) -> PlanReply:
        """Return the transport plan of two sentences; a pair that was encoded before is only solved."""
        run, shelf = self._open(request, reporter)
        from engine.evaluation.finished_run import config_of, saved_encoders
        from engine.inspect.plan import encode_pair, load_frequencies, solve_pair, transport_of

        transport, role = transport_of(config_of(run), request.transport)
        saved = saved_encoders(run)
        key = "\0".join([*(encoder.key() for encoder in saved), role, request.source, request.target])
        pair = self._pairs.get(key)
        if pair is None:
            student, teacher = (shelf.encoder(encoder, reporter) for encoder in saved)
            with _one_thread():
                pair = encode_pair(student, teacher, request.source, request.target, role)
            self._pairs[key] = pair
            while len(self._pairs) > _PAIRS:
                self._pairs.popitem(last=False)
        self._pairs.move_to_end(key)
        frequencies = load_frequencies(run.path / "checkpoints")
        with _one_thread():
            row = solve_pair(pair, transport, language=request.language, idf=frequencies)
        matrices = {name: row[name].tolist() for name in ("plan", "cost")}
        return PlanReply(**{**row, **matrices}, run=run.id, transport=transport.model_dump())

    def _open(self, request: RunRequest, reporter: Reporter) -> tuple[RunFolder, Shelf]:
        """Return the request's run, and the cache, which is made at the first request."""
        if self._shelf is None:
            reporter.say("starting torch …")
            from engine.inspect.cache import Shelf

            self._shelf = Shelf()
        from engine.evaluation.finished_run import find_run

        return find_run(Path(request.results), request.run), self._shelf


def _over_json(
    operation: Operation[Any, Any], answer: Callable[[Any, Reporter], Any]
) -> Callable[[Mapping[str, Any], Reporter], Any]:
    """Return `answer` as a function of a request decoded from JSON, which is checked first."""

    model = _settings(operation.request)

    def answered(parameters: Mapping[str, Any], reporter: Reporter) -> Any:
        settings = validated(model, parameters)
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


def _searcher(run: RunFolder, request: PoolRequest, shelf: Shelf, reporter: Reporter) -> Searcher:
    import torch

    from engine.evaluation.finished_run import config_of
    from engine.inspect.search import Searcher
    from engine.training.precision import precision_of

    precision = precision_of(config_of(run), torch.device("cpu"))
    return Searcher(
        run, request.collection, request.language, precision, reporter, pool=request.pool, shelf=shelf
    )


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
