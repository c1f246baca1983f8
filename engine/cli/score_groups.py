"""Figures that may share a table: rows of table ``scores``, grouped and in the protocols' order.

Figures meet only where collection, protocol, scoring and direction agree. Revisions are kept by language,
because Tatoeba and each language's own pool are a collection a language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from engine.extensions.collections import protocol_measures
from engine.results.queries import ask

Row = Mapping[str, Any]

#: Measures of mining, a protocol that is added to that of the collection.
_MINING = ("MarginF1", "MarginP", "MarginR", "F1")


class Key(NamedTuple):
    """What the figures of one table have in common."""

    collection: str
    protocol: str
    scoring: str
    direction: str

    def __str__(self) -> str:
        """Return it as a table's title."""
        return " · ".join(self)


@dataclass(frozen=True)
class Group:
    """The figures of one run that share a table, one for each language and measure."""

    key: Key
    rows: Sequence[Row]

    @property
    def measures(self) -> list[str]:
        """The measures, in the protocol's order, others behind by name."""
        mined = self.key.protocol.endswith("/mining")
        order = _MINING if mined else protocol_measures(self.key.protocol)
        found = {row["measure"] for row in self.rows}
        return [name for name in order if name in found] + sorted(found - set(order))

    @property
    def revisions(self) -> dict[str, str]:
        """The collection's revision, by language."""
        return {language_of(row): row["revision"] for row in self.rows}

    def of(self, measure: str) -> dict[str, Row]:
        """Return the rows of one measure by language."""
        return {language_of(row): row for row in self.rows if row["measure"] == measure}

    def mean(self, measure: str) -> float:
        """Return the mean over languages, each weighing the same."""
        return fmean(row["value"] for row in self.of(measure).values())


def language_of(row: Row) -> str:
    """Return the language a figure is about: the queries', or the documents' when queries are English."""
    english = str(row["direction"]).startswith("en-")
    return str(row["document_language"] if english else row["query_language"])


def read_groups(results: Path, runs: Sequence[str]) -> dict[str, list[Group]]:
    """Return the groups of every run in `runs` (ids) that has scores."""
    answer = ask(
        results,
        "SELECT * FROM scores WHERE list_contains(?::VARCHAR[], run) ORDER BY ALL",
        [list(runs)],
    )
    rows: dict[str, list[Row]] = {}
    for row in answer.records():
        rows.setdefault(row["run"], []).append(row)
    return {run: make_groups(found) for run, found in rows.items()}


def make_groups(rows: Iterable[Row]) -> list[Group]:
    """Return the groups of one run's rows of table ``scores``.

    Where one name stands for two revisions of a collection in the same language, each revision is a group.
    """
    together: dict[Key, list[Row]] = {}
    for row in rows:
        key = Key(row["collection"], row["protocol"], row["scoring"], row["direction"])
        together.setdefault(key, []).append(row)
    groups = []
    for key, found in together.items():
        if len({(language_of(row), row["measure"]) for row in found}) == len(found):
            groups.append(Group(key, found))
            continue
        apart: dict[str, list[Row]] = {}
        for row in found:
            apart.setdefault(row["revision"], []).append(row)
        groups += [Group(key, part) for part in apart.values()]
    return groups


def headline(record: Row, groups: Sequence[Group]) -> dict[str, Any] | None:
    """Return the figure a run is known by, or None without scores.

    It is the mean over languages of the first measure of the first collection of its configuration, by the
    first scoring and direction there.
    """
    if not groups:
        return None
    config = record.get("config") or {}
    collections = _dictionaries(config.get("collections"))
    names = [str(entry.get("label") or entry.get("name")) for entry in collections]
    directions = [str(way) for entry in collections for way in _list(entry.get("directions"))]
    scorings = [str(name) for name in _list(_dictionary(config.get("evaluation")).get("scoring"))]
    first = min(
        groups,
        key=lambda group: (
            _place(group.key.collection, names),
            _place(group.key.scoring, scorings),
            _place(group.key.direction, directions),
        ),
    )
    measure = first.measures[0]
    return {
        **first.key._asdict(),
        "measure": measure,
        "value": first.mean(measure),
        "languages": len(first.of(measure)),
    }


def encoder_of(record: Row) -> str:
    """Return the checkpoint a run is about; a student that is not named starts from the teacher."""
    config = record.get("config") or {}
    for role in ("student", "encoder", "teacher"):
        checkpoint = _dictionary(config.get(role)).get("checkpoint")
        if checkpoint:
            return str(checkpoint)
    return ""


#: Which of a text's two languages is the one that is read.
_SIDES = {"source": "language", "target": "target_language"}


def languages_of(record: Row, groups: Sequence[Group]) -> list[str]:
    """Return the languages a run learned from, else those it was evaluated on."""
    config = record.get("config") or {}
    learned = [str(source.get("language")) for source in _dictionaries(config.get("bitext"))]
    learned += [
        str(source.get(_SIDES[str(source.get("side"))])) for source in _dictionaries(config.get("text"))
    ]
    return list(dict.fromkeys(learned or [code for group in groups for code in group.revisions]))


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in _list(value) if isinstance(entry, dict)]
