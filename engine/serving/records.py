"""The operations of the warm process: the requests it takes and the replies it gives.

Both ends import this module, and it imports no numerical library. A request or a reply is a frozen dataclass;
on the wire it is an object in JSON with the same field names. The metadata of a field holds the bounds of its
value. A client sends a request and reads the reply like this::

    request = SearchRequest(results="results.duckdb", run="tiny", language="sw", text="maji safi")
    line = {"id": 1, "op": SEARCH.name, **to_json(request)}
    reply = SEARCH.read_reply(result)           # a SearchReply
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Generic, TypeVar

from engine.inspect.records import Hit, Match

# -- requests ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunRequest:
    """A request about one run: the results database, and the run's id, the beginning of it, or its name."""

    results: str
    run: str


@dataclass(frozen=True)
class PoolRequest(RunRequest):
    """A request about one pool of documents.

    Attributes
    ----------
    language : str
        Language of the query.
    collection : str, optional
        Label of one of the run's collections; None takes the first.
    pool : int, optional
        Number of the pool in the collection, from zero; None takes the first for queries in `language`.
    """

    language: str
    collection: str | None = None
    pool: int | None = field(default=None, metadata={"ge": 0})


@dataclass(frozen=True, kw_only=True)
class SearchRequest(PoolRequest):
    """Search for the `k` best documents for `text`."""

    text: str
    k: int = field(default=20, metadata={"ge": 1, "le": 1000})


@dataclass(frozen=True, kw_only=True)
class ExplainRequest(PoolRequest):
    """Explain the score of `document` (an id) for the query `text`."""

    text: str
    document: str


@dataclass(frozen=True)
class PlanRequest(RunRequest):
    """Solve the transport plan between `source`, which the student encodes, and `target`.

    Attributes
    ----------
    language : str
        Language of `source`, which is recorded with the plan.
    transport : mapping
        Settings of `engine.config.TransportConfig` that replace the run's own.
    """

    source: str
    target: str
    language: str = "und"
    transport: Mapping[str, Any] = field(default_factory=dict)


# -- replies -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pool:
    """Documents that are searched together.

    Attributes
    ----------
    collection : str
        Label of the collection in the run's configuration.
    pool : int
        Number of the pool in the collection, from zero.
    name : str
        The collection's name in results.
    direction : str
        ``xx-en``, ``en-xx`` or similar.
    queries : list of str
        Codes of the languages that have judged queries.
    documents : str
        Code of the documents' language, or ``all``.
    size : int
        Number of documents.
    """

    collection: str
    pool: int
    name: str
    direction: str
    queries: list[str]
    documents: str
    size: int


@dataclass(frozen=True)
class CollectionQuery:
    """One of the judged queries of a collection."""

    id: str
    text: str


@dataclass(frozen=True)
class SearchReply:
    """What a search found.

    Attributes
    ----------
    run, collection : str
    hits : list of Hit
        Best first.
    relevant : int or None
        Number of documents judged relevant; None where the query is not one of the collection's.
    cut : bool
        Whether the query has more tokens than its encoder takes.
    searched : int
        Number of documents in the pool.
    seconds : float
        Time of encoding the query and searching.
    translation : str or None
        The text that was searched for, where the run translates queries.
    """

    run: str
    collection: str
    hits: list[Hit]
    relevant: int | None
    cut: bool
    searched: int
    seconds: float
    translation: str | None = None


@dataclass(frozen=True)
class ExplainReply:
    """Why a document has its score: the best match of each query token, whose mean is `score`.

    With a lexical run, they are the shared terms, whose sum is `score`.
    """

    run: str
    document: str
    text: str
    score: float
    matches: list[Match]


@dataclass(frozen=True)
class PlanReply:
    """A transport plan, as a row of the table ``plans``.

    Attributes
    ----------
    run : str
        Id of the run.
    pair : str
        ``typed``.
    source_language, source_text, target_text : str
    source_tokens, target_tokens : list of str
        Pieces of the Q source tokens and D target tokens that have mass.
    plan, cost : list of lists of float, (Q, D)
    solver : str
    epsilon : float
        Strength of the entropy that it was solved with.
    iterations : int
    marginal_error : float
    converged : bool
    value : float
        Cost <T, C> of the plan.
    entropy : float
        Mean entropy of the rows, in nats.
    transport : dict
        Settings that it was solved with.
    """

    run: str
    pair: str
    source_language: str
    source_text: str
    target_text: str
    source_tokens: list[str]
    target_tokens: list[str]
    plan: list[list[float]]
    cost: list[list[float]]
    solver: str
    epsilon: float
    iterations: int
    marginal_error: float
    converged: bool
    value: float
    entropy: float
    transport: dict[str, Any]


# -- operations ----------------------------------------------------------------------------------------

RequestT = TypeVar("RequestT", bound=RunRequest)
ReplyT = TypeVar("ReplyT")


@dataclass(frozen=True)
class Operation(Generic[RequestT, ReplyT]):
    """An operation of the warm process: its name on the wire, its request and its reply."""

    name: str
    request: type[RequestT]
    reply: type[ReplyT]

    def read_reply(self, result: Any) -> ReplyT:
        """Return the reply that `result`, decoded from JSON, holds.

        Raises
        ------
        TypeError, ValueError
            If it is no reply of this operation.
        """
        return typing.cast(ReplyT, from_json(self.reply, result))


LIST_POOLS = Operation("collections", RunRequest, list[Pool])
"""The pools that a run was evaluated on."""
LIST_QUERIES = Operation("queries", PoolRequest, list[CollectionQuery])
"""The judged queries of a pool in one language."""
SEARCH = Operation("search", SearchRequest, SearchReply)
"""The best documents for a query."""
EXPLAIN = Operation("explain", ExplainRequest, ExplainReply)
"""Which document tokens the query's tokens match."""
PLAN = Operation("plan", PlanRequest, PlanReply)
"""The transport plan of two sentences."""


def to_json(record: Any) -> Any:
    """Return a record, or a list of records, as JSON can hold it; requests leave out what is None."""
    if isinstance(record, list | tuple):
        return [to_json(item) for item in record]
    if not dataclasses.is_dataclass(record):
        return record
    values = {item.name: getattr(record, item.name) for item in dataclasses.fields(record)}
    if isinstance(record, RunRequest):
        values = {name: value for name, value in values.items() if value is not None}
    return {name: to_json(value) for name, value in values.items()}


def from_json(kind: Any, value: Any) -> Any:
    """Return `value`, decoded from JSON, as a `kind`: a record, a list of records, or a plain value.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        fields = _fields(kind)
        return kind(**{name: from_json(fields.get(name), item) for name, item in dict(value).items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list and dataclasses.is_dataclass(arguments[0]):
        return [from_json(arguments[0], item) for item in value]
    # NaN and the infinities are text in JSON.
    return float(value) if kind is float else value


@cache
def _fields(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)
