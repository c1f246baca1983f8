"""What every reader yields, and the counts of what was left out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

Reason = Literal[
    "wrong_language", "empty", "too_long", "ratio", "low_score", "duplicate", "other_language",
    "in_evaluation", "near_evaluation",
]  # fmt: skip
"""Why a pair is dropped."""


@dataclass(frozen=True, slots=True)
class SentencePair:
    """Two sentences that say the same thing.

    Attributes
    ----------
    source, target : str
        The sentences, in NFC and with single spaces once `open_bitext` has passed them.
    source_language, target_language : str
        Codes of `engine.languages.Language.code`.
    id : str
        The pair's name in its file: the unit's id where the format has one, else its line.
    score : float, optional
        The miner's or filter's score, where the format carries one.
    """

    source: str
    target: str
    source_language: str
    target_language: str
    id: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A unit that lacks one of the two languages asked for; `languages` are the tags it has."""

    languages: tuple[str, ...]


@dataclass(slots=True)
class Drops:
    """Counts of pairs read, kept and dropped, by the first reason that applied.

    Attributes
    ----------
    read, kept : int
        Pairs read, and those passed on.
    wrong_language : int
        Units without one of the two languages.
    empty : int
        Pairs with nothing on a side.
    too_long : int
        Pairs with a side of more characters than allowed.
    ratio : int
        Pairs whose longer side is too many times as long as the shorter.
    low_score : int
        Pairs scored below the threshold.
    duplicate : int
        Pairs that had come before.
    other_language : int
        Pairs with a side that was identified as another language.
    in_evaluation, near_evaluation : int
        Pairs with a sentence that the run is evaluated on, in the same spelling or nearly.
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

    def count(self, reason: Reason | None) -> None:
        """Count a pair that was read, and dropped for `reason` unless that is None."""
        self.read += 1
        outcome = "kept" if reason is None else reason
        setattr(self, outcome, getattr(self, outcome) + 1)

    def withdraw(self, reason: Reason) -> None:
        """Count a pair that was kept as dropped for `reason` after all."""
        self.kept -= 1
        setattr(self, reason, getattr(self, reason) + 1)

    @property
    def dropped(self) -> int:
        """Number of pairs read and not kept."""
        return self.read - self.kept

    def reasons(self) -> dict[str, int]:
        """Return the reasons that dropped anything, with their counts."""
        names = [field.name for field in fields(self) if field.name not in ("read", "kept")]
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def sentence(self) -> str:
        """Return the counts as one line for people."""
        line = f"{self.read:,} pairs read, {self.kept:,} kept"
        why = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in self.reasons().items())
        return f"{line}, {self.dropped:,} dropped ({why})" if why else line
