"""Groups of scores that can be shown in one table.

A group has one collection, protocol, scoring and direction. Its revisions are kept by language, because
Tatoeba, and every collection with a pool for each language, has a revision for each language.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from engine.results.headline import order_measures
from engine.results.queries import ask

Row = Mapping[str, Any]


class Key(NamedTuple):
    """What the scores in one table have in common."""

    collection: str
    protocol: str
    scoring: str
    direction: str

    def __str__(self) -> str:
        """Return the key as the title of a table."""
        return " · ".join(self)


@dataclass(frozen=True)
class Group:
    """The scores of one run that are shown in one table, one for each language and measure."""

    key: Key
    rows: Sequence[Row]

    @property
    def measures(self) -> list[str]:
        """The measures in the protocol's order, then all others by name."""
        return order_measures(self.key.protocol, (row["measure"] for row in self.rows))

    @property
    def revisions(self) -> dict[str, str]:
        """The revision of the collection by language."""
        return {language_of(row): row["revision"] for row in self.rows}

    def of(self, measure: str) -> dict[str, Row]:
        """Return the rows of one measure by language."""
        return {language_of(row): row for row in self.rows if row["measure"] == measure}

    def lines(self) -> Iterator[tuple[str, int, list[Row | None]]]:
        """Yield each language, the number of its queries, and its row (or None) of each of `measures`."""
        by_measure = [self.of(measure) for measure in self.measures]
        for code in self.revisions:
            found = [rows.get(code) for rows in by_measure]
            yield code, next(row["queries"] for row in found if row is not None), found

    def mean(self, measure: str) -> float:
        """Return the unweighted mean over languages."""
        return fmean(row["value"] for row in self.of(measure).values())


def language_of(row: Row) -> str:
    """Return the language of a score: that of the queries, or of the documents if the queries are English."""
    english = str(row["direction"]).startswith("en-")
    return str(row["document_language"] if english else row["query_language"])


def read_groups(results: Path, runs: Sequence[str]) -> dict[str, list[Group]]:
    """Return the groups of each run in `runs` (ids) that has scores, by id."""
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
    """Group the rows of one run in the table ``scores``.

    If a run has two revisions of a collection in one language, each revision is a group.
    """
    by_key: dict[Key, list[Row]] = {}
    for row in rows:
        key = Key(row["collection"], row["protocol"], row["scoring"], row["direction"])
        by_key.setdefault(key, []).append(row)
    groups = []
    for key, found in by_key.items():
        if len({(language_of(row), row["measure"]) for row in found}) == len(found):
            groups.append(Group(key, found))
            continue
        by_revision: dict[str, list[Row]] = {}
        for row in found:
            by_revision.setdefault(row["revision"], []).append(row)
        groups += [Group(key, part) for part in by_revision.values()]
    return groups


#: The setting with the language of each side of a text.
_SIDES = {"source": "language", "target": "target_language"}


def languages_of(record: Row, groups: Sequence[Group]) -> list[str]:
    """Return the languages that a run was trained on, or those it was evaluated on if it was not trained."""
    config = record.get("config") or {}
    learned = [str(source.get("language")) for source in _dictionaries(config.get("bitext"))]
    learned += [
        str(source.get(_SIDES[str(source.get("side"))])) for source in _dictionaries(config.get("text"))
    ]
    return list(dict.fromkeys(learned or [code for group in groups for code in group.revisions]))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dictionaries(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in _list(value) if isinstance(entry, dict)]
