"""Draw a part of texts: evenly from the documents that they are from, and the same part again next time."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable

import numpy as np


def draw_evenly(texts: Iterable[tuple[str, str]], count: int, salt: str = "") -> list[int]:
    """Return the places of at most `count` texts, drawn by hashes and in proportion from all groups.

    Within a group the texts are ordered by a hash; the k-th of n is placed at (k - 1 + u) / n, where u is a
    hash of the group, and the texts with the smallest places are drawn. A group of a tenth of the texts so
    gives about a tenth of the sample, and no group with many neighbours fills it. A text without a group is a
    group of its own. When texts are added, the drawn ones stay unless others come before them.

    Parameters
    ----------
    texts : iterable of (str, str)
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
    ranks, groups = array("d"), array("q")
    numbers: dict[str, int] = {}
    for group, key in texts:
        ranks.append(_rank(f"{salt}\t{key}"))
        groups.append(numbers.setdefault(group, len(numbers)) if group else -1)
    if count >= len(ranks):
        return list(range(len(ranks)))
    rank, own = np.array(ranks), np.array(groups)
    place = rank.copy()
    starts = np.array([_rank(f"{salt}\tgroup\t{group}") for group in numbers])
    members = np.lexsort((rank, own))[int((own < 0).sum()) :]  # by group, in the order of their ranks
    sizes = np.bincount(own[members], minlength=len(numbers))
    before = np.arange(len(members)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    place[members] = (before + np.repeat(starts, sizes)) / np.repeat(sizes, sizes)
    drawn: list[int] = np.sort(np.lexsort((rank, place))[:count]).tolist()
    return drawn


def _rank(text: str) -> float:
    """Return a number from 0 to 1 that depends on `text` only."""
    return float(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48)
