"""Numbers with their nouns in sentences."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return `number` with the words that agree with it, such as ``1 query`` and ``1,200 queries``.

    Parameters
    ----------
    number : int
    one : str
        The words behind 1. They may go on behind the noun: ``"query is empty"``.
    many : str, optional
        The words behind every other number; `one` with an s if it is left out.
    """
    return f"{number:,} {one if number == 1 else f'{one}s' if many is None else many}"
