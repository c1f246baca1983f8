"""Which texts were seen before, in eight bytes each."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable

#: Numbers that are gathered before they are sorted into the others.
_RECENT = 1_000_000


def text_number(text: str) -> int:
    """Return a number of 64 bits that identifies a text; of ten million texts, two share one by 3 in 10^6."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


class Seen:
    """Numbers of 64 bits that were seen before, sorted, but for the last million.

    Parameters
    ----------
    numbers : iterable of int
        Numbers that were seen already.
    """

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._sorted = array("Q", sorted(set(numbers)))
        self._recent: set[int] = set()

    def add(self, number: int) -> bool:
        """Add a number; return whether it is new."""
        if number in self._recent:
            return False
        place = bisect_left(self._sorted, number)
        if place < len(self._sorted) and self._sorted[place] == number:
            return False
        self._recent.add(number)
        if len(self._recent) >= _RECENT:
            self._merge()
        return True

    def _merge(self) -> None:
        import numpy as np  # a list of formats needs none

        recent = np.fromiter(self._recent, np.uint64, len(self._recent))
        merged = np.sort(np.concatenate([np.frombuffer(self._sorted, np.uint64), recent]))
        self._sorted = array("Q")
        self._sorted.frombytes(merged.tobytes())
        self._recent.clear()
