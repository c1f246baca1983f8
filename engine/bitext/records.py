"""Which fields of a record are a pair: JSON objects, table columns and header lines name them alike."""

from __future__ import annotations

from collections.abc import Iterable

from engine.languages import names_language

#: Names of the field with the pair's score.
SCORES = ("score", "laser_score", "LASER_similarity")


def pair_of_keys(keys: Iterable[str], source: str, target: str) -> tuple[str, str] | None:
    """Return the keys of the source and of the target sentence, None if they do not say which is which.

    Keys may be the codes of the two languages, ``source`` and ``target``, or, where one language is English,
    ``english`` and ``non_english`` (the datasets of sentence-transformers).
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
    """Return the key of the pair's score, None if there is none."""
    names = set(keys)
    return next((name for name in SCORES if name in names), None)
