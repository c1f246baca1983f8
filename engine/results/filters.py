"""A small language to select runs: ``tico training.learning_rate>1e-5 AND NOT state=failed``.

- A word, or ``"some words"`` in quotes, is searched for in a run's name, id, kind, tags and note. Upper and
  lower case are the same.
- ``field=value``, ``field!=value`` and ``<``, ``<=``, ``>``, ``>=`` compare a field: a column of the table of
  runs (``state=finished``, ``created>=2026-11-01``), a place in the configuration (``training.steps>100``,
  ``bitext.language=so``), a place in the summary (``summary.best_step<50``) or a measure (``RR>0.8``).
- ``AND`` (which may be omitted), ``OR``, ``NOT`` and parentheses combine them.

A field may have several values: a list in the configuration, or a measure on several collections, where each
value is a mean over languages. A comparison is true if it is true for one of them. ``!=`` is the opposite of
``=``, so it is also true where the field is absent. Two numbers are compared as numbers, dates by the part
that is given, and everything else as text without regard to case. An expression becomes a predicate, not SQL.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.errors import InputError, nearest

Run = Mapping[str, Any]
Predicate = Callable[[Run], bool]

_TOKEN = re.compile(
    r"""\s*(?: (?P<quoted>"[^"]*"|'[^']*') | (?P<sign>!=|<=|>=|=|<|>) | (?P<bracket>[()])
    | (?P<word>[^\s()"'=<>!]+) | (?P<bad>\S) )""",
    re.VERBOSE,
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SEARCHED = ("name", "id", "kind", "note", "tags")
_DEPTH = 100


@dataclass(frozen=True)
class Filter:
    """A parsed expression: a predicate on runs, and the fields that it names."""

    matches: Predicate
    fields: frozenset[str] = field(default_factory=frozenset)

    def check_fields(self, runs: Sequence[Run]) -> None:
        """Refuse a field that none of `runs` has, because it is misspelt.

        Raises
        ------
        InputError
            Naming the field and the nearest that exists.
        """
        known = {name for run in runs for name in _names(run)}
        for name in sorted(self.fields - known if runs else ()):
            raise InputError(f"no run has a field {name!r}{nearest(name, sorted(known))}")


def parse_filter(expression: str) -> Filter:
    """Return the filter that `expression` describes; an empty one selects every run.

    Raises
    ------
    InputError
        If it is not a valid expression; the sentence names the place of the error.
    """
    parser = _Parser(expression)
    if not parser.tokens:
        return Filter(lambda run: True)
    matches = parser.either(0)
    if parser.tokens[parser.place :]:
        raise parser.error("expected AND, OR or the end")
    return Filter(matches, frozenset(parser.fields))


class _Parser:
    """Recursive descent over ``either := both (OR both)*``, ``both := one (AND? one)*``."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens: list[tuple[str, str]] = []
        self.fields: set[str] = set()
        self.place = 0
        for found in _TOKEN.finditer(expression.rstrip()):
            kind = str(found.lastgroup)
            if kind == "bad":
                what = "'!' without '='" if found[kind] == "!" else f"{found[kind]} without its end"
                raise InputError(f"filter {expression!r}: character {found.end()} is a {what}")
            self.tokens.append((kind, found[kind]))

    def error(self, message: str) -> InputError:
        here = repr(self.tokens[self.place][1]) if self.place < len(self.tokens) else "the end"
        return InputError(f"filter {self.expression!r}: {message}, found {here}")

    def peek(self, text: str | None = None) -> bool:
        if self.place >= len(self.tokens):
            return False
        kind, found = self.tokens[self.place]
        return text is None or (kind != "quoted" and found == text)

    def accept(self, text: str) -> bool:
        if self.peek(text):
            self.place += 1
            return True
        return False

    def take(self, expected: str) -> str:
        if not self.peek() or self.tokens[self.place][0] not in ("word", "quoted"):
            raise self.error(f"expected {expected}")
        kind, found = self.tokens[self.place]
        self.place += 1
        return found[1:-1] if kind == "quoted" else found

    def either(self, depth: int) -> Predicate:
        terms = [self.both(depth)]
        while self.accept("OR"):
            terms.append(self.both(depth))
        return terms[0] if len(terms) == 1 else lambda run: any(term(run) for term in terms)

    def both(self, depth: int) -> Predicate:
        terms = [self.one(depth)]
        while self.accept("AND") or (self.peek() and not self.peek("OR") and not self.peek(")")):
            terms.append(self.one(depth))
        return terms[0] if len(terms) == 1 else lambda run: all(term(run) for term in terms)

    def one(self, depth: int) -> Predicate:
        if depth > _DEPTH:
            raise InputError(f"the filter has more than {_DEPTH} brackets or NOTs inside one another")
        if self.accept("NOT"):
            inner = self.one(depth + 1)
            return lambda run: not inner(run)
        if self.accept("("):
            grouped = self.either(depth + 1)
            if not self.accept(")"):
                raise self.error("expected a closing bracket")
            return grouped
        for reserved in ("AND", "OR"):
            if self.peek(reserved):
                raise self.error("expected a word, a comparison, NOT or a bracket")
        quoted = self.peek() and self.tokens[self.place][0] == "quoted"
        word = self.take("a word, a comparison, NOT or a bracket")
        if not quoted and self.place < len(self.tokens) and self.tokens[self.place][0] == "sign":
            sign = self.tokens[self.place][1]
            self.place += 1
            self.fields.add(word)
            return _comparison(word, sign, self.take(f"a value after {sign!r}"))
        return _search(word.casefold())


def _search(word: str) -> Predicate:
    return lambda run: any(
        word in str(value).casefold() for name in _SEARCHED for value in _flat(run.get(name))
    )


def _comparison(name: str, sign: str, value: str) -> Predicate:
    if sign == "!=":
        equal = _comparison(name, "=", value)
        return lambda run: not equal(run)
    compare, number = _COMPARE[sign], _number(value)

    def holds(found: Any) -> bool:
        if isinstance(found, datetime):
            given = value.replace(" ", "T")
            return compare(found.isoformat()[: len(given)], given)
        if isinstance(found, bool) or not isinstance(found, int | float):
            return compare(str(found).casefold(), value.casefold())
        return number is not None and compare(found, number)

    return lambda run: any(holds(found) for found in _values(run, name))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _values(run: Run, name: str) -> Iterator[Any]:
    """Yield the values of a field: a column, else a place in the configuration, else a measure."""
    if name in run and not isinstance(run[name], Mapping):
        yield from _flat(run[name])
        return
    yield from _walk(run, name.split("."))
    yield from _walk(run.get("config"), name.split("."))
    yield from _flat((run.get("measures") or {}).get(name))


def _walk(value: Any, path: Sequence[str]) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _walk(item, path)
    elif not path:
        yield from _flat(value)
    elif isinstance(value, Mapping):
        yield from _walk(value.get(path[0]), path[1:])


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    elif value is not None and not isinstance(value, Mapping):
        yield value


def _names(run: Run) -> Iterator[str]:
    """Yield the names of all fields of `run`, including those whose value is null."""
    yield from (run.get("measures") or ())
    yield from _paths(run, "")
    yield from _paths(run.get("config"), "")


def _paths(value: Any, prefix: str) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _paths(item, prefix)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield f"{prefix}{name}"
            yield from _paths(inner, f"{prefix}{name}.")
