"""Published scores of other models on the same tasks, to show beside a run's own.

They are facts from MTEB's results (github.com/embeddings-benchmark/results), in
``engine/assets/published.csv.gz``; ``benchmarks/published.py`` makes that file. A score is shown only where
task, split, languages, direction and measure agree. Samples of queries and pools with fewer documents are
other tasks.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from engine.errors import OpticalError
from engine.paths import assets_folder

FILE = "published.csv.gz"
"""Name of the file in the assets."""
COLUMNS = (
    *("collection", "protocol", "direction", "query_language", "document_language", "measure"),
    *("model", "value", "task", "split", "subset", "dataset_revision"),
)
"""Its columns."""
SOURCE = "MTEB's results repository"
"""Where the scores are from."""


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """A published score.

    Attributes
    ----------
    model : str
        The model, by its name on the hub.
    value : float
    task, split, subset : str
        What MTEB calls the task, its split and its pair of languages.
    """

    model: str
    value: float
    task: str
    split: str
    subset: str


def published_rows(
    collection: str,
    protocol: str,
    direction: str,
    query_language: str,
    document_language: str,
    measure: str,
    revision: str = "",
) -> list[PublishedScore]:
    """Return the published scores of the task of one of a run's scores, best first; none if there are none.

    Parameters
    ----------
    collection, protocol, direction, query_language, document_language, measure : str
        As in table ``scores``.
    revision : str
        The revision of the collection: that of a sample or of a reduced pool has no published scores.

    Raises
    ------
    OpticalError
        If the file is damaged.
    """
    if "," in revision or "-" in revision:
        return []
    key = collection, protocol, direction, query_language, document_language, measure
    return _scores().get(key, [])


def published_of(row: Mapping[str, object]) -> list[PublishedScore]:
    """Return the published scores of the task of a row of table ``scores``."""
    return published_rows(*(str(row[name]) for name in (*COLUMNS[:6], "revision")))


def published_keys(task: str, split: str, subset: str) -> dict[str, str] | None:
    """Return the collection, protocol, direction and languages of a task of MTEB; None if it is not known."""
    return next((dict(key) for key, known in _keys() if known == (task, split, subset)), None)


def mteb_tasks() -> dict[tuple[str, ...], tuple[str, str, str]]:
    """Return task, split and subset of MTEB by collection, protocol, direction and the two languages."""
    return {tuple(value for _, value in key): known for key, known in reversed(_keys())}


@cache
def _keys() -> list[tuple[tuple[tuple[str, str], ...], tuple[str, str, str]]]:
    """Return pairs of a key, as names with values, and task, split and subset."""
    found: dict[tuple[tuple[tuple[str, str], ...], tuple[str, str, str]], None] = {}
    for key, scores in _scores().items():
        named = tuple(zip(COLUMNS[:5], key[:5], strict=True))
        for score in scores:
            found[named, (score.task, score.split, score.subset)] = None
    return list(found)


@cache
def _scores() -> dict[tuple[str, ...], list[PublishedScore]]:
    path = assets_folder() / FILE
    found: dict[tuple[str, ...], list[PublishedScore]] = {}
    try:
        text = gzip.decompress(path.read_bytes()).decode()
        for row in csv.DictReader(io.StringIO(text)):
            key = tuple(row[name] for name in COLUMNS[:6])
            score = PublishedScore(
                row["model"], float(row["value"]), row["task"], row["split"], row["subset"]
            )
            found.setdefault(key, []).append(score)
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise OpticalError(f"the published scores cannot be read ({error}); install again: {path}") from error
    return {key: sorted(scores, key=lambda one: -one.value) for key, scores in found.items()}
