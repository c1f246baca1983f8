"""Sentence pairs as JSON objects, one per line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.bitext.files import numbered_objects
from engine.bitext.formats.keys import SCORES, pair_of_keys, score_key
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair, Unmatched
from engine.languages import looks_like_language


def read_jsonl(path: Path, source: str, target: str) -> Iterator[SentencePair | Unmatched]:
    """Yield the pairs of a JSON Lines file; blank lines are skipped.

    The sentences of an object are under ``source`` and ``target``, under language codes, or under language
    codes in ``translation`` (the format of Hugging Face's datasets); `engine.bitext.formats.keys` has the
    complete list. ``id`` is the pair's id (default: the line number) and ``score`` its score.

    Raises
    ------
    InputError
        If a line is not a JSON object of one of these forms.
    """
    for number, record in numbered_objects(path):
        try:
            yield _pair(record, path, number, source, target)
        except _RecordError as error:
            raise InputError(str(error), path=path, line=number) from error


class _RecordError(Exception):
    """What is wrong with an object."""


def _pair(
    record: dict[str, Any], path: Path, number: int, source: str, target: str
) -> SentencePair | Unmatched:
    texts = record.get("translation", record)
    if not isinstance(texts, dict):
        raise _RecordError("'translation' must be an object with a sentence for each language code")
    keys = pair_of_keys(texts, source, target, path=path, line=number)
    if keys is None:
        return Unmatched(_language_keys(texts))
    first, second = (_sentence(texts, key) for key in keys)
    scored = score_key(record)
    # "id" is also the code of Indonesian
    named = record.get("id") if texts is not record or "id" not in keys else None
    return SentencePair(
        first,
        second,
        source,
        target,
        str(number if named is None else named),
        None if scored is None else _score(record, scored),
    )


def _language_keys(texts: dict[str, Any]) -> tuple[str, ...]:
    return tuple(key for key in texts if key not in ("id", *SCORES))


def _sentence(texts: dict[str, Any], key: str) -> str:
    text = texts[key]
    if not isinstance(text, str):
        raise _RecordError(f"{key!r} must be a sentence")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _RecordError(f"{key!r} has half a surrogate pair, which is not a character")
    return text


def _score(record: dict[str, Any], key: str) -> float | None:
    score = record[key]
    if score is None:
        return None
    try:
        if not isinstance(score, bool) and isinstance(score, int | float) and math.isfinite(score):
            return float(score)
    except OverflowError:  # an integer that is larger than any float
        pass
    raise _RecordError(f"{key!r} must be a number")


def _matches(sample: Sample) -> bool:
    if not sample.lines or not sample.lines[0].lstrip().startswith("{"):
        return False
    try:
        record = json.loads(sample.lines[0])
    except (ValueError, RecursionError):
        return False
    texts = record.get("translation", record)
    if not isinstance(texts, dict):
        return False
    named = {"source", "target"} <= texts.keys() or {"english", "non_english"} <= texts.keys()
    return named or sum(map(looks_like_language, texts)) >= 2


def _languages(path: Path, names: Sequence[str]) -> Iterator[str]:
    for _, record in numbered_objects(path):
        texts = record.get("translation", record)
        if isinstance(texts, dict) and not {"source", "target"} <= texts.keys():
            yield from _language_keys(texts)


JSONL = BitextFormat(
    name="jsonl",
    meaning="JSON objects, one per line, with the sentences under language codes or source and target",
    title="pairs in JSON Lines",
    read=read_jsonl,
    endings=tuple(f"{ending}{packed}" for ending in (".jsonl", ".ndjson") for packed in ("", ".gz", ".xz")),
    matches=_matches,
    languages=_languages,
)
