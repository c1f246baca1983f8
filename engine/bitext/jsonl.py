"""Pairs as JSON objects, one a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.bitext.files import open_bytes, read_lines
from engine.bitext.pairs import SentencePair, Unmatched
from engine.errors import InputError
from engine.languages import names_language


def read_jsonl(path: Path, source: str, target: str) -> Iterator[SentencePair | Unmatched]:
    """Yield the pairs of a JSON Lines file; blank lines are no pairs.

    An object holds its sentences under ``source`` and ``target``, or under language codes, or under language
    codes in ``translation`` (the Hugging Face datasets' shape). ``id`` (else the line) names the pair and
    ``score`` scores it.

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
    first = next((key for key in texts if names_language(key, source)), None)
    second = next((key for key in texts if names_language(key, target)), None)
    if first is None and second is None and texts.keys() >= {"source", "target"}:
        first, second = "source", "target"
    if first is None or second is None:
        return Unmatched(tuple(key for key in texts if key not in ("id", "score")))
    score = record.get("score")
    if score is not None and (
        isinstance(score, bool) or not isinstance(score, int | float) or not _finite(score)
    ):
        raise _ShapeError("'score' should be a number")
    return SentencePair(
        _sentence(texts, first),
        _sentence(texts, second),
        source,
        target,
        name if record.get("id") is None else str(record["id"]),
        None if score is None else float(score),
    )


def _sentence(texts: dict[str, Any], key: str) -> str:
    text = texts[key]
    if not isinstance(text, str):
        raise _ShapeError(f"{key!r} should be a sentence")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _ShapeError(f"{key!r} has half a surrogate pair, which is no character")
    return text


def _finite(score: float) -> bool:
    try:
        return math.isfinite(score)
    except OverflowError:  # a whole number beyond any float
        return False
