"""Pairs as JSON objects, one a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.bitext.files import open_bytes, read_lines
from engine.bitext.pairs import SentencePair, Unmatched
from engine.bitext.records import SCORES, pair_of_keys, score_key
from engine.errors import InputError


def read_jsonl(path: Path, source: str, target: str) -> Iterator[SentencePair | Unmatched]:
    """Yield the pairs of a JSON Lines file; blank lines are no pairs.

    An object holds its sentences under ``source`` and ``target``, or under language codes, or under language
    codes in ``translation`` (the Hugging Face datasets' shape); `engine.bitext.records` has the whole list.
    ``id`` (else the line) names the pair and ``score`` scores it.

    Raises
    ------
    InputError
        If a line is not a JSON object of one of these shapes.
    """
    with open_bytes(path) as stream:
        for number, line in enumerate(read_lines(stream, path), 1):
            if not line.strip():
                continue
            try:
                yield _pair(json.loads(line), str(number), source, target)
            except json.JSONDecodeError as error:
                raise InputError(f"not JSON ({error.msg})", path=path, line=number) from error
            except RecursionError as error:
                raise InputError("not a pair: nested too deeply", path=path, line=number) from error
            except ValueError as error:  # Python refuses numbers of thousands of digits
                raise InputError("a number in it has too many digits", path=path, line=number) from error
            except _ShapeError as error:
                raise InputError(str(error), path=path, line=number) from error


class _ShapeError(Exception):
    """What is wrong with an object."""


def _pair(record: Any, name: str, source: str, target: str) -> SentencePair | Unmatched:
    if not isinstance(record, dict):
        raise _ShapeError("not a JSON object; every line should be one")
    texts = record.get("translation", record)
    if not isinstance(texts, dict):
        raise _ShapeError("'translation' should be an object with a sentence for each language code")
    keys = pair_of_keys(texts, source, target)
    if keys is None:
        return Unmatched(tuple(key for key in texts if key not in ("id", *SCORES)))
    first, second = (_sentence(texts, key) for key in keys)
    scored = score_key(record)
    # "id" is also the code of Indonesian
    named = record.get("id") if texts is not record or "id" not in keys else None
    return SentencePair(
        first,
        second,
        source,
        target,
        name if named is None else str(named),
        None if scored is None else _score(record, scored),
    )


def _sentence(texts: dict[str, Any], key: str) -> str:
    text = texts[key]
    if not isinstance(text, str):
        raise _ShapeError(f"{key!r} should be a sentence")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _ShapeError(f"{key!r} has half a surrogate pair, which is no character")
    return text


def _score(record: dict[str, Any], key: str) -> float | None:
    score = record[key]
    if score is None:
        return None
    try:
        if not isinstance(score, bool) and isinstance(score, int | float) and math.isfinite(score):
            return float(score)
    except OverflowError:  # a whole number beyond any float
        pass
    raise _ShapeError(f"{key!r} should be a number")
