"""Counts of the sentence pairs that were dropped, by reason."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from engine.counted import counted

Reason = Literal[
    "wrong_language", "empty", "too_long", "ratio", "low_score", "duplicate", "other_language",
    "in_evaluation", "near_evaluation",
]  # fmt: skip
"""Why a pair is dropped."""
_NO_REASON = ("read", "kept", "control_characters")


@dataclass(slots=True)
class Drops:
    """Numbers of pairs that were read, kept and dropped. A pair counts under the first reason that applies.

    Attributes
    ----------
    read, kept : int
        Pairs that were read, and pairs that were kept.
    wrong_language : int
        Units without one of the two languages.
    empty : int
        Pairs with an empty side.
    too_long : int
        Pairs with a side of more characters than allowed.
    ratio : int
        Pairs whose sides differ too much in length.
    low_score : int
        Pairs with a score below the threshold.
    duplicate : int
        Pairs that occurred before.
    other_language : int
        Pairs with a side that was identified as another language.
    in_evaluation, near_evaluation : int
        Pairs with a sentence of the run's evaluation data, in the same or in nearly the same spelling.
    control_characters : int
        Control characters that were removed from sentences; this drops no pair.
    """

    read: int = 0
    kept: int = 0
    wrong_language: int = 0
    empty: int = 0
    too_long: int = 0
    ratio: int = 0
    low_score: int = 0
    duplicate: int = 0
    other_language: int = 0
    in_evaluation: int = 0
    near_evaluation: int = 0
    control_characters: int = 0

    def count(self, reason: Reason | None) -> None:
        """Count one more pair, as dropped for `reason`, or as kept if `reason` is None."""
        self.read += 1
        outcome = "kept" if reason is None else reason
        setattr(self, outcome, getattr(self, outcome) + 1)

    def withdraw(self, reason: Reason) -> None:
        """Count a pair that was counted as kept as dropped for `reason`."""
        self.kept -= 1
        setattr(self, reason, getattr(self, reason) + 1)

    def add(self, other: Drops) -> None:
        """Add the counts of another source."""
        for name in (field.name for field in fields(self)):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def dropped(self) -> int:
        """Number of pairs that were read and not kept."""
        return self.read - self.kept

    def reasons(self) -> dict[str, int]:
        """Return the number of dropped pairs by reason, without the reasons that dropped none."""
        names = [field.name for field in fields(self) if field.name not in _NO_REASON]
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def counts(self) -> dict[str, int]:
        """Return `reasons`, and the number of control characters that were removed, if any."""
        removed = {"control_characters": self.control_characters} if self.control_characters else {}
        return self.reasons() | removed

    def sentence(self) -> str:
        """Return the counts as one line of text."""
        line = f"{counted(self.read, 'pair')} read, {self.kept:,} kept"
        why = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in self.reasons().items())
        line = f"{line}, {self.dropped:,} dropped ({why})" if why else line
        removed = self.control_characters
        return f"{line}; {removed:,} control characters removed" if removed else line
