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
        self._sorted = array("Q", numbers)
        if self._sorted:
            self._merge(self._sorted)
        self._recent: set[int] = set()
        self._fresh = array("Q")

    def add(self, number: int) -> bool:
        """Add a number; return whether it is new."""
        if number in self._recent:
            return False
        place = bisect_left(self._sorted, number)
        if place < len(self._sorted) and self._sorted[place] == number:
            return False
        self._recent.add(number)
        self._fresh.append(number)
        if len(self._recent) >= _RECENT:
            self._merge(self._sorted, array("Q", self._recent))
            self._recent.clear()
        return True

    def fresh(self) -> bytes:
        """Return the numbers that were added since the last call, eight bytes each."""
        found = self._fresh.tobytes()
        self._fresh = array("Q")
        return found

    def _merge(self, *parts: array[int]) -> None:
        import numpy as np  # a list of formats needs none

        merged = np.unique(np.concatenate([np.frombuffer(part, np.uint64) for part in parts]))
        self._sorted = array("Q")
        self._sorted.frombytes(merged.tobytes())
