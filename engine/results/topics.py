"""What topics have in common, from table ``topics``: clusters, and marks that comparisons select by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.results.queries import ask


def topics_of(
    results: Path, run: str, collection: str, revisions: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Return the value of each topic by kind, of a run (an id) on some revisions of a collection."""
    rows = ask(
        results,
        "SELECT kind, topic, value FROM topics "
        "WHERE run = ? AND collection = ? AND list_contains(?::VARCHAR[], revision)",
        [run, collection, list(revisions)],
    ).rows
    found: dict[str, dict[str, str]] = {}
    for kind, topic, value in rows:
        found.setdefault(str(kind), {})[str(topic)] = str(value)
    return found


def clusters_of(known: Iterable[Mapping[str, Mapping[str, str]]]) -> Mapping[str, str]:
    """Return the cluster of each topic from what `topics_of` found for several runs of one collection.

    The first run that stored clusters decides, because runs of an older version stored none.
    """
    return next((values["cluster"] for values in known if "cluster" in values), {})
