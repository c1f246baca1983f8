"""Which keys of a record hold the pair: JSON objects, table columns and header lines use the same names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engine.languages import choose_tag, names_language

#: The key that holds the pair's identifier.
ID = "id"
#: Names of the key that holds the pair's score.
SCORES = ("score", "laser_score", "LASER_similarity")


def pair_of_keys(
    keys: Iterable[str], source: str, target: str, *, path: Path | None = None, line: int | None = None
) -> tuple[str, str] | None:
    """Return the keys of the source and the target sentence, or None if there are none.

    The keys are language tags, or ``source`` and ``target``, or, if one language is English, ``english`` and
    ``non_english`` (as in the datasets of sentence-transformers).

    Parameters
    ----------
    keys : iterable of str
        The keys of a record.
    source, target : str
        The requested language tags.
    path, line : optional
        The file and line of the record, for error messages.

    Raises
    ------
    InputError
        If several keys match a language and none of them is exactly the requested tag.
    """
    names = list(keys)
    first, second = (_key_of(names, wanted, path, line) for wanted in (source, target))
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


def _key_of(names: list[str], wanted: str, path: Path | None, line: int | None) -> str | None:
    # "id" is the code of Indonesian, but more often the identifier of the record.
    found = choose_tag(wanted, [name for name in names if name != ID], path=path, line=line)
    return found or choose_tag(wanted, [name for name in names if name == ID])


def score_key(keys: Iterable[str]) -> str | None:
    """Return the key of the pair's score, or None if there is none."""
    names = set(keys)
    return next((name for name in SCORES if name in names), None)
