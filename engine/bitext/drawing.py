"""Draw a part of texts: evenly from the documents that they are from, and the same part again next time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def draw_evenly(texts: Sequence[tuple[str, str]], count: int, salt: str = "") -> list[int]:
    """Return the places of at most `count` texts, drawn by hashes and in proportion from all groups.

    Within a group the texts are ordered by a hash; the k-th of n is placed at (k - 1 + u) / n, where u is a
    hash of the group, and the texts with the smallest places are drawn. A group of a tenth of the texts so
    gives about a tenth of the sample, and no group with many neighbours fills it. A text without a group is a
    group of its own. When texts are added, the drawn ones stay unless others come before them.

    Parameters
    ----------
    texts : sequence of (str, str)
        Group and key of each text. The group is empty if it has none.
    count : int
        Largest number of texts.
    salt : str
        Texts with another salt are drawn in another order, such as a run's seed.

    Returns
    -------
    list of int
        Places in `texts`, in ascending order.
    """
    if count >= len(texts):
        return list(range(len(texts)))
    groups: dict[str, list[tuple[float, int]]] = {}
    order: list[tuple[float, float, int]] = []
    for place, (group, key) in enumerate(texts):
        rank = _rank(f"{salt}\t{key}")
        if group:
            groups.setdefault(group, []).append((rank, place))
        else:
            order.append((rank, rank, place))
    for group, members in groups.items():
        start = _rank(f"{salt}\tgroup\t{group}")
        order += (
            ((number + start) / len(members), rank, place)
            for number, (rank, place) in enumerate(sorted(members))
        )
    return sorted(place for *_, place in sorted(order)[:count])


def _rank(text: str) -> float:
    """Return a number from 0 to 1 that depends on `text` only."""
    return float(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48)
