"""Which tables the scores of several runs share.

Scores share a table where collection, protocol, direction and scoring agree. Scorings that compare the
vectors of an encoder are different measurements and never share a table. A run without such a scoring, such
as lexical search, a fusion or a re-ranking, has one scoring of its own, and its scores are shown in the table
of every encoder scoring of the same collection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, Self, TypeVar

from engine.extensions.scorings import SHARED_SCORINGS


class TableKey(Protocol):
    """What the scores of a table have in common: a named tuple with a field ``scoring``."""

    @property
    def scoring(self) -> str:
        """The name of the scoring."""

    def _replace(self, *, scoring: str = ...) -> Self: ...


KeyT = TypeVar("KeyT", bound=TableKey)


def align_scorings(keys: Iterable[KeyT]) -> dict[KeyT, list[KeyT]]:
    """Return, for the key of each group of scores, the keys of the tables that the group is shown in.

    A key of an encoder scoring is its own table. Any other key is shown in the tables of the encoder scorings
    that agree with it in everything else. If there are none, all such keys share one table, whose scoring
    lists their names, as in ``bm25 / tfidf``.
    """
    known = list(dict.fromkeys(keys))
    aligned: dict[KeyT, list[KeyT]] = {}
    for key in known:
        if key.scoring not in SHARED_SCORINGS:
            aligned[key] = [key]
            continue
        like = [other for other in known if other._replace(scoring=key.scoring) == key]
        encoders = [other for other in like if other.scoring not in SHARED_SCORINGS]
        names = " / ".join(sorted(other.scoring for other in like))
        aligned[key] = encoders or [key._replace(scoring=names)]
    return aligned


def scoring_condition(scoring: str) -> tuple[str, list[Any]]:
    """Return a condition in SQL, and its parameters, that selects the rows of a table of `align_scorings`.

    The condition accepts rows of `scoring` and rows of scorings that do not belong to an encoder.
    """
    return "(scoring = ? OR list_contains(?::VARCHAR[], scoring))", [scoring, list(SHARED_SCORINGS)]
