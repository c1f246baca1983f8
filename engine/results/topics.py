"""What topics have in common, from table ``topics``: clusters, and marks that comparisons select by."""

from __future__ import annotations

from collections.abc import Iterable
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
