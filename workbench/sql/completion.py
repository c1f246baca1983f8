"""Completion of SQL: tables, columns, keywords and functions, as the database itself lists them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_WORD = re.compile(r'(?:("[^"]+"|\w+)\.)?(\w*)$')
_NAME = r'("[^"]+"|[A-Za-z_]\w*)'
_SOURCE = re.compile(rf"(?:\b(?:from|join)\s+|,\s*){_NAME}(?:\s+(?:as\s+)?{_NAME})?", re.IGNORECASE)
_NAMES_A_TABLE = re.compile(r"\b(?:from|join|describe|summarize|table)\s+$", re.IGNORECASE)
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_TEXT_OR_COMMENT = re.compile(r"'(?:[^']|'')*'?|--[^\n]*|/\*.*?(?:\*/|$)", re.DOTALL)


class Completion(NamedTuple):
    """A text that can replace the word before the cursor, and what it is."""

    text: str
    kind: str


@dataclass(frozen=True)
class Names:
    """What can be written in a statement.

    Attributes
    ----------
    tables : mapping
        The columns of each table or view with their types.
    keywords, functions : tuple of str
        In lower case.
    reserved : frozenset of str
        The keywords that are names only in quotes.
    """

    tables: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)
    keywords: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    reserved: frozenset[str] = frozenset()


def word_before(text: str) -> str:
    """Return the beginning of a word at the end of `text`; empty inside a text in quotes or a comment."""
    return "" if _is_in_text(text) else _WORD.search(text)[2]  # type: ignore[index]


def complete(before: str, after: str, names: Names) -> list[Completion]:
    """Return what the word at the end of `before` can become, the most likely first.

    After a table's name or alias and a point these are its columns, after ``FROM`` or ``JOIN`` tables.
    Elsewhere the columns of the tables that the statement names come first, then tables, keywords and
    functions. A keyword is written in lower case if the word is.

    Parameters
    ----------
    before, after : str
        The statement before and after the cursor.
    names : Names
        What the database has.
    """
    found = _WORD.search(before)
    if found is None or _is_in_text(before):
        return []
    owner, word = found.groups()
    rest = before[: found.start()]
    used = _tables_of(f"{before} {after}", names)
    if owner is not None:
        table = used.get(owner.strip('"').casefold(), "")
        offered = _columns([table], names)
    elif _NAMES_A_TABLE.search(rest):
        offered = [(name, "table") for name in names.tables]
    else:
        of_statement = list(dict.fromkeys(used.values()))
        offered = _columns(of_statement or names.tables, names)
        offered += [(name, "table") for name in names.tables]
        offered += [(name, "keyword") for name in names.keywords]
        offered += [(name, "function") for name in names.functions]
    upper = not word or not word.islower()
    completions: dict[str, str] = {}
    for name, kind in offered:
        if name.casefold().startswith(word.casefold()) and name.casefold() != word.casefold():
            completions.setdefault(_written(name, kind, upper, names), kind)
    return [Completion(text, kind) for text, kind in completions.items()]


def _written(name: str, kind: str, upper: bool, names: Names) -> str:
    if kind == "keyword":
        return name.upper() if upper else name
    if kind == "function":
        return f"{name}("
    plain = _PLAIN.fullmatch(name) and name not in names.reserved
    return name if plain else '"' + name.replace('"', '""') + '"'


def _columns(tables: Iterable[str], names: Names) -> list[tuple[str, str]]:
    return [(column, kind.lower()) for table in tables for column, kind in names.tables.get(table, ())]


def _tables_of(text: str, names: Names) -> dict[str, str]:
    """Return the tables that a statement names, by name and by alias."""
    known = {name.casefold(): name for name in names.tables}
    used = {}
    for name, alias in _SOURCE.findall(_TEXT_OR_COMMENT.sub(" ", text)):
        table = known.get(name.strip('"').casefold())
        if table is not None:
            used[table.casefold()] = table
            if alias and alias.casefold() not in names.keywords:
                used[alias.strip('"').casefold()] = table
    return used


def _is_in_text(text: str) -> bool:
    """Return whether `text` ends inside a text in quotes or a comment."""
    found = [*_TEXT_OR_COMMENT.finditer(text)][-1:]
    if not found or found[0].end() < len(text):
        return False
    token = found[0][0]
    if token.startswith("--"):
        return True
    if token.startswith("/*"):
        return not token.endswith("*/") or len(token) < 4
    return token.count("'") % 2 == 1
