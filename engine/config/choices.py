"""Choices of settings by dotted key, and their combinations."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: The most combinations that choices may have.
MOST = 100_000


def leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a choice, by dotted key; a table sets several."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from leaves(f"{key}.{name}", item)
    else:
        yield key, value


def check_choices(choices: Mapping[str, Sequence[Any]]) -> None:
    """Check that every choice has a value, that no two set the same setting, and that there are not too many.

    Raises
    ------
    ValueError
        If one has none, two do, or there are more than `MOST` combinations.
    """
    set_by: dict[str, str] = {}
    for key, values in choices.items():
        if not values:
            raise ValueError(f"choices.{key} has no value to try; give one, or leave it out")
        for leaf in dict.fromkeys(leaf for value in values for leaf, _ in leaves(key, value)):
            if leaf in set_by:
                raise ValueError(f"choices.{set_by[leaf]} and choices.{key} both set {leaf}; name it once")
            set_by[leaf] = key
    count = 1
    for values in choices.values():
        count *= len(values)
    if count > MOST:
        raise ValueError(f"choices have {count:,} combinations, and {MOST:,} are the most; leave some out")


def combinations(
    choices: Mapping[str, Sequence[Any]], most: int | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """Return the combinations of the choices in their order, each by dotted key.

    Parameters
    ----------
    choices : mapping
        The values of each setting, or tables that set several.
    most : int, optional
        Of more combinations, this many are drawn by a hash of `seed` and their values, so that adding a value
        replaces few of them.
    seed : int
        The seed of that draw.
    """
    found = [
        dict(leaf for key, value in zip(choices, values, strict=True) for leaf in leaves(key, value))
        for values in itertools.product(*choices.values())
    ]
    if most is None or len(found) <= most:
        return found

    def drawn(settings: Mapping[str, Any]) -> bytes:
        text = f"{seed} {json.dumps(settings, sort_keys=True)}"
        return hashlib.blake2b(text.encode(), digest_size=8).digest()

    kept = sorted(range(len(found)), key=lambda place: drawn(found[place]))[:most]
    return [found[place] for place in sorted(kept)]


def describe_choice(settings: Mapping[str, Any]) -> str:
    """Return a combination as ``key = value``, separated by commas."""
    return ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items())
