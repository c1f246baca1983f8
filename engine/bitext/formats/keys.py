"""Which keys of a record hold the pair: JSON objects, table columns and header lines use the same names."""

from __future__ import annotations

from collections.abc import Iterable

from engine.languages import names_language

#: Names of the key that holds the pair's score.
SCORES = ("score", "laser_score", "LASER_similarity")


def pair_of_keys(keys: Iterable[str], source: str, target: str) -> tuple[str, str] | None:
    """Return the keys of the source and the target sentence, or None if there are none.

    The keys are language tags, or ``source`` and ``target``, or, if one language is English, ``english`` and
    ``non_english`` (as in the datasets of sentence-transformers).
    """
    names = list(keys)
    first = next((name for name in names if names_language(name, source)), None)
    second = next((name for name in names if names_language(name, target)), None)
    if first is not None and second is not None:
        return first, second
    if "source" in names and "target" in names:
        return "source", "target"
    if "english" in names and "non_english" in names:
        if names_language("en", target):
            return "non_english", "english"
        if names_language("en", source):
            return "english", "non_english"
    return None


def score_key(keys: Iterable[str]) -> str | None:
    """Return the key of the pair's score, or None if there is none."""
    names = set(keys)
    return next((name for name in SCORES if name in names), None)
