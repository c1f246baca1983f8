"""The headline of a run: the one named figure that stands for it in lists of runs.

The headline is the main measure of the run's first collection, with the first scoring and the first direction
of its configuration. It is the mean over the languages of that one table. Collections, scorings and
directions are never averaged. A run without scores has the figure on its held-out pairs, if it has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.extensions.collections import protocol_measures
from engine.results import database

HELD_OUT = "held-out pairs"
"""What a headline names as its collection if the run was scored on its held-out pairs only."""

#: The measures of mining, whose protocol is added to that of the collection.
_MINING = ("MarginF1", "MarginP", "MarginR", "F1")

# Of two revisions of a collection in one language, one counts: revisions are not averaged.
_MEANS = """
SELECT run, collection, protocol, scoring, direction, measure, avg(value) AS value, count(*) AS languages
FROM (
    SELECT * FROM per_language
    QUALIFY row_number() OVER (
        PARTITION BY run, collection, protocol, scoring, direction, measure, language ORDER BY revision
    ) = 1
)
GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class Headline:
    """The figure that stands for a run, and what it is a figure of.

    Attributes
    ----------
    collection, protocol, scoring, direction : str
        What was searched, and how. On held-out pairs, all but the collection are empty.
    measure : str
        The name of the measure.
    value : float
        Its mean over languages.
    languages : int
        The number of languages; 0 if it was not recorded.
    """

    collection: str
    protocol: str
    scoring: str
    direction: str
    measure: str
    value: float
    languages: int

    @property
    def place(self) -> str:
        """What the value was measured on, such as ``tatoeba · bitext · maxsim · xx-en``."""
        return " · ".join(filter(None, (self.collection, self.protocol, self.scoring, self.direction)))

    def __str__(self) -> str:
        """Return the measure and its value, such as ``RR 0.512``."""
        return f"{self.measure} {self.value:.3f}"


def headline(record: Mapping[str, Any], means: Iterable[Mapping[str, Any]]) -> Headline | None:
    """Return the headline of a run, or None if it has no scores and no figure on held-out pairs.

    Parameters
    ----------
    record : mapping
        The run's record, with ``config`` and ``summary``.
    means : iterable of mappings
        The means over languages of the run's scores: `collection`, `protocol`, `scoring`, `direction`,
        `measure`, `value` and `languages`.
    """
    config = record.get("config") or {}
    collections = [entry for entry in _list(config.get("collections")) if isinstance(entry, dict)]
    names = [str(entry.get("label") or entry.get("name")) for entry in collections]
    directions = [str(way) for entry in collections for way in _list(entry.get("directions"))]
    evaluation = config.get("evaluation")
    scorings = _list(evaluation.get("scoring")) if isinstance(evaluation, dict) else []
    found = list(means)
    if not found:
        value = (record.get("summary") or {}).get("held_out_rr")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return Headline(HELD_OUT, "", "", "", "RR", float(value), 0)

    def order(place: tuple[str, str, str, str]) -> tuple[Any, ...]:
        collection, protocol, scoring, direction = place
        added = "/" in protocol  # to that of the collection, such as mining
        ranks = _rank(collection, names), added, _rank(scoring, scorings), _rank(direction, directions)
        return *ranks, place

    first = min(map(_place, found), key=order)
    table = {str(row["measure"]): row for row in found if _place(row) == first}
    measure = order_measures(first[1], table)[0]
    return Headline(*first, measure, float(table[measure]["value"]), int(table[measure]["languages"]))


def read_headlines(
    results: Path, records: Sequence[Mapping[str, Any]], *, wait: float = database.WAIT_SECONDS
) -> dict[str, Headline]:
    """Return the headlines of the runs with `records`, by id; runs without one are left out.

    Raises
    ------
    InputError, BusyError, OpticalError
        As `engine.results.queries.ask`.
    """
    means = read_means(results, wait=wait)
    found = {record["id"]: headline(record, means.get(record["id"], ())) for record in records}
    return {run: figure for run, figure in found.items() if figure is not None}


def read_means(results: Path, *, wait: float = database.WAIT_SECONDS) -> dict[str, list[dict[str, Any]]]:
    """Return the means over languages of all runs, by run, as `headline` takes them.

    Raises
    ------
    InputError, BusyError, OpticalError
        As `engine.results.queries.ask`.
    """
    from engine.results.queries import ask

    means: dict[str, list[dict[str, Any]]] = {}
    for row in ask(results, _MEANS, wait=wait).records():
        means.setdefault(row["run"], []).append(row)
    return means


def order_measures(protocol: str, measures: Iterable[str]) -> list[str]:
    """Return `measures` in the order of `protocol`, main measure first, then all others by name."""
    known = _MINING if protocol.endswith("/mining") else protocol_measures(protocol)
    found = set(measures)
    return [name for name in known if name in found] + sorted(found - set(known))


def _place(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return str(row["collection"]), str(row["protocol"]), str(row["scoring"]), str(row["direction"])


def _rank(name: str, order: Sequence[Any]) -> int:
    return order.index(name) if name in order else len(order)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
