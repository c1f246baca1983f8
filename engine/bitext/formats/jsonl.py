"""Sentence pairs as JSON objects, one per line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from engine.bitext.files import numbered_objects
from engine.bitext.formats.keys import (
    SAMPLE,
    PairKeys,
    id_key,
    language_keys,
    language_word,
    role_keys,
    score_key,
)
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair, Unmatched


def read_jsonl(path: Path, source: str, target: str) -> Iterator[SentencePair | Unmatched]:
    """Yield the pairs of a JSON Lines file; blank lines are skipped.

    The sentences of an object are under ``source`` and ``target``, under language codes, or under language
    codes in ``translation`` (the format of Hugging Face's datasets); `engine.bitext.formats.keys` has the
    complete list. ``id`` is the pair's id (default: the line number) and ``score`` its score. A null is an
    empty sentence or no score; NaN is no score.

    Raises
    ------
    InputError
        If a line is not a JSON object of one of these forms.
    """
    records = numbered_objects(path)
    head = list(islice(records, SAMPLE))
    keys = PairKeys(source, target, path, [_texts(record) for _, record in head], lambda: _all_keys(path))
    for number, record in chain(head, records):
        try:
            yield _pair(record, keys, number, source, target)
        except _RecordError as error:
            raise InputError(str(error), path=path, line=number) from error


class _RecordError(Exception):
    """What is wrong with an object."""


def _texts(record: dict[str, Any]) -> dict[str, Any]:
    texts = record.get("translation", record)
    return texts if isinstance(texts, dict) else record


def _all_keys(path: Path) -> Iterator[str]:
    return (key for _, record in numbered_objects(path) for key in _texts(record))


def _pair(
    record: dict[str, Any], chooser: PairKeys, number: int, source: str, target: str
) -> SentencePair | Unmatched:
    texts = _texts(record)
    keys = chooser.find(texts, number)
    if keys is None:
        if "translation" in record and texts is record:
            raise _RecordError("'translation' must be an object with a sentence for each language code")
        return Unmatched(tuple(key for key in texts if language_word(key)))
    first, second = (_sentence(texts, key) for key in keys)
    scored = score_key(record)
    identifier = id_key(record, keys if texts is record else ())
    name = None if identifier is None else record[identifier]
    return SentencePair(
        first,
        second,
        source,
        target,
        str(number if name is None else name),
        None if scored is None else _score(record, scored),
    )


def _sentence(texts: dict[str, Any], key: str) -> str:
    text = texts[key]
    if text is None:
        return ""
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
        if not isinstance(score, bool) and isinstance(score, int | float):
            return None if math.isnan(score) else float(score)
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
    if not isinstance(record, dict):
        return False
    texts = _texts(record)
    return role_keys(texts) is not None or len(language_keys([texts])) >= 2


def _languages(path: Path, names: Sequence[str]) -> Iterator[str]:
    records = (_texts(record) for _, record in numbered_objects(path))
    while sample := list(islice(records, SAMPLE)):
        yield from language_keys(sample)


JSONL = BitextFormat(
    name="jsonl",
    meaning="JSON objects, one per line, with the sentences under language codes or source and target",
    title="pairs in JSON Lines",
    read=read_jsonl,
    endings=tuple(
        f"{ending}{packed}" for ending in (".jsonl", ".ndjson", ".json") for packed in ("", ".gz", ".xz")
    ),
    matches=_matches,
    languages=_languages,
)
