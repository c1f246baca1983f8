"""What the process can be asked, and what it keeps between two questions.

Every operation is addressed by ``results`` (the database) and ``run`` (an id, the beginning of one, or a
name). Texts are refused when they are empty, too long or hold control characters.

``collections``
    What the run can be asked: a list of pools of documents, each with its ``collection``, its number
    ``pool`` in it, ``name``, ``direction``, ``queries`` (language codes), ``documents`` (a code or ``all``)
    and ``size``.
``queries``
    The own queries of a pool in ``language``: a list of ``id`` and ``text``.
``search``
    ``text`` in ``language`` among the documents of ``collection`` (the run's first when left out) and
    ``pool`` (the first for that language when left out): the ``k`` best ``hits`` with ``rank``, ``score``,
    ``document``, ``text``, ``language`` and ``grade``; ``relevant``, the number of documents judged
    relevant, null where the text is no query of the collection; ``cut``, whether the query's end was cut
    off; ``translation``, what was searched for where the run translates queries, else null; how many
    documents were ``searched`` in how many ``seconds``.
``explain``
    The same address and a ``document``: its ``score``, ``text`` and ``matches`` (``query_token``,
    ``document_token``, ``score``), whose mean is the score.
``plan``
    The transport plan between ``source`` (in ``language``, for the record) and ``target``, solved with the
    run's settings and over them ``transport``, any settings of `engine.config.TransportConfig`: a row of
    the table ``plans`` (tokens, ``plan`` and ``cost`` as lists of rows, diagnostics) and the ``transport``
    it was solved with. A pair that was encoded before is only solved.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field

from engine.config import Settings
from engine.errors import InputError
from engine.inspect.typed_text import typed
from engine.languages import language as find_language
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.validation import validated

if TYPE_CHECKING:
    from engine.inspect.cache import Shelf
    from engine.inspect.plan import EncodedPair
    from engine.inspect.search import Searcher

_PAIRS = 32
"""Encoded pairs that are kept; one takes some ten kilobytes."""


class _Run(Settings):
    results: str
    run: str


class _Pool(_Run):
    language: str
    collection: str | None = None
    pool: int | None = Field(None, ge=0)


class _Search(_Pool):
    text: str
    k: int = Field(20, ge=1, le=1000)


class _Explain(_Pool):
    text: str
    document: str


class _Plan(_Run):
    source: str
    target: str
    language: str = "und"
    transport: dict[str, Any] = Field(default_factory=dict)


Request = TypeVar("Request", bound=_Run)


class Operations:
    """The operations over what is kept between requests; torch is imported when first needed."""

    def __init__(self) -> None:
        self._shelf: Shelf | None = None
        self._pairs: OrderedDict[str, EncodedPair] = OrderedDict()

    def table(self) -> dict[str, Callable[[Mapping[str, Any], Reporter], Any]]:
        """Return the operations by name."""
        return {
            "collections": self.collections,
            "queries": self.queries,
            "search": self.search,
            "explain": self.explain,
            "plan": self.plan,
        }

    def collections(self, parameters: Mapping[str, Any], reporter: Reporter) -> list[dict[str, Any]]:
        """Return the pools that a run can be asked."""
        _, run, shelf = self._open(_Run, parameters, reporter)
        reporter.say("reading the run's collections …")
        from engine.evaluation.finished_run import encoders_config_of
        from engine.inspect.search import pools_of

        pools = [
            {
                "collection": label,
                "pool": number,
                "name": pool.name,
                "direction": pool.direction,
                "queries": list(pool.query_languages),
                "documents": pool.document_language,
                "size": len(pool.documents),
            }
            for label, number, pool in pools_of(encoders_config_of(run), shelf)
        ]
        if not pools:
            raise InputError(f"run {run.id!r} was evaluated on no collection, so there is nothing to search")
        return pools

    def queries(self, parameters: Mapping[str, Any], reporter: Reporter) -> list[dict[str, str]]:
        """Return a pool's own queries in one language."""
        asked, run, shelf = self._open(_Pool, parameters, reporter)
        from engine.evaluation.finished_run import encoders_config_of
        from engine.inspect.search import choose_pool

        code = find_language(asked.language).code
        pool, _ = choose_pool(encoders_config_of(run), asked.collection, code, asked.pool, shelf)
        return [{"id": query.id, "text": query.text} for query in pool.queries if query.language == code]

    def search(self, parameters: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
        """Return the documents that a query finds."""
        asked, run, shelf = self._open(_Search, parameters, reporter)
        typed(asked.text)  # refused before anything is loaded for it
        searcher = _searcher(run, asked, shelf, reporter)
        start = time.perf_counter()
        with _one_thread():
            hits = searcher.search(asked.text, asked.k)
        seconds = time.perf_counter() - start
        judged = searcher.judgements(asked.text)
        return {
            "run": run.id,
            "collection": searcher.collection.name,
            "hits": [
                {
                    "rank": hit.rank,
                    "score": hit.score,
                    "document": hit.document.id,
                    "text": hit.document.text,
                    "language": hit.document.language,
                    "grade": hit.grade,
                }
                for hit in hits
            ],
            "relevant": None if judged is None else sum(grade > 0 for grade in judged.values()),
            "cut": searcher.too_long(asked.text),
            "translation": searcher.searched_for(asked.text) if searcher.translates else None,
            "searched": len(searcher.collection.documents),
            "seconds": seconds,
        }

    def explain(self, parameters: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
        """Return which tokens of a document a query's tokens met."""
        asked, run, shelf = self._open(_Explain, parameters, reporter)
        searcher = _searcher(run, asked, shelf, reporter)
        with _one_thread():
            matches = searcher.explain(asked.text, asked.document)
        return {
            "run": run.id,
            "document": asked.document,
            "text": searcher.collection.documents[searcher.place(asked.document)].text,
            "score": sum(match.score for match in matches) / len(matches),
            "matches": [vars(match) for match in matches],
        }

    def plan(self, parameters: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
        """Return the transport plan of a typed pair."""
        asked, run, shelf = self._open(_Plan, parameters, reporter)
        from engine.evaluation.finished_run import config_of, saved_encoders
        from engine.inspect.plan import encode_pair, load_frequencies, solve_pair, transport_of

        transport, role = transport_of(config_of(run), asked.transport)
        saved = saved_encoders(run)
        key = "\0".join([*(encoder.key() for encoder in saved), role, asked.source, asked.target])
        pair = self._pairs.get(key)
        if pair is None:
            student, teacher = (shelf.encoder(encoder, reporter) for encoder in saved)
            with _one_thread():
                pair = encode_pair(student, teacher, asked.source, asked.target, role)
            self._pairs[key] = pair
            while len(self._pairs) > _PAIRS:
                self._pairs.popitem(last=False)
        self._pairs.move_to_end(key)
        frequencies = load_frequencies(run.path / "checkpoints")
        with _one_thread():
            row = solve_pair(pair, transport, language=asked.language, idf=frequencies)
        matrices = {name: row[name].tolist() for name in ("plan", "cost")}
        return {**row, **matrices, "run": run.id, "transport": transport.model_dump()}

    def _open(
        self, model: type[Request], parameters: Mapping[str, Any], reporter: Reporter
    ) -> tuple[Request, RunFolder, Shelf]:
        """Return the request, its run, and the shelf, which is made at the first request."""
        asked = validated(model, parameters)
        if self._shelf is None:
            reporter.say("starting torch …")
            from engine.inspect.cache import Shelf

            self._shelf = Shelf()
        from engine.evaluation.finished_run import find_run

        return asked, find_run(Path(asked.results), asked.run), self._shelf


def _searcher(run: RunFolder, asked: _Pool, shelf: Shelf, reporter: Reporter) -> Searcher:
    import torch

    from engine.evaluation.finished_run import config_of
    from engine.inspect.search import Searcher
    from engine.training.precision import precision_of

    precision = precision_of(config_of(run), torch.device("cpu"))
    return Searcher(run, asked.collection, asked.language, precision, reporter, pool=asked.pool, shelf=shelf)


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
