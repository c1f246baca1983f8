"""Text of one language: lines, SQuAD's paragraphs, or one side of any bitext."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

from engine.bitext.files import find, open_bytes, read_lines
from engine.bitext.reader import format_of, normalise
from engine.bitext.source import open_source
from engine.bitext.split import in_part
from engine.config import BitextConfig
from engine.config.bitext import BitextFormat
from engine.config.pretraining import TextConfig
from engine.errors import InputError
from engine.languages import language as language_of

_LINES = (".txt", ".txt.gz", ".txt.xz")
_SQUAD = (".json", ".json.gz", ".json.xz")
#: Sides of a pair need not be alike in length to be text.
_ANY_RATIO = 1e9


def code_of(source: TextConfig) -> str:
    """Return the code of the language that `source` gives text in.

    Raises
    ------
    InputError
        If there is no such language.
    """
    return language_of(source.language if source.side == "source" else source.target_language).code


def read_text(source: TextConfig, seed: int = 0) -> list[str]:
    """Read one source: its distinct sentences in NFC with single spaces, in its order.

    Raises
    ------
    InputError
        If the source is missing or broken, or no sentence is left of it.
    """
    kind = _kind(source)
    texts: dict[str, None] = {}
    for text, key in _lines(source, kind) if kind in ("text", "squad") else _side(source):
        if text and len(text) <= source.max_characters and in_part(key, source.part, source.test_share):
            texts[text] = None
    if not texts:
        raise InputError(f"no text is left in {code_of(source)!r}", path=source.path)
    return _drawn(list(texts), source.limit, seed)


def open_text(source: TextConfig) -> None:
    """Read the first sentence, for which place, format and language must be right.

    Raises
    ------
    InputError
        As `read_text`.
    """
    kind = _kind(source)
    code_of(source)
    if next(_lines(source, kind) if kind in ("text", "squad") else _side(source), None) is None:
        raise InputError("there is no text in it", path=source.path)


def _kind(source: TextConfig) -> str:
    if source.format != "auto":
        return source.format
    if source.path.startswith("package:"):
        return "gettext"
    place = find(source.path)
    name = place.name.lower()
    if name.endswith(_LINES):
        return "text"
    if name.endswith(_SQUAD):
        return "squad"
    kind = format_of(place)
    # a file of no known ending is one of lines; the prefix of two files is Moses'
    return "text" if kind == "moses" and place.is_file() and place.suffix != ".zip" else kind


def _lines(source: TextConfig, kind: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of a file, each also as what its part of a split hangs on."""
    if source.side == "target":
        raise InputError(
            "side = 'target' belongs to bitext, and this is plain text; leave it out", path=source.path
        )
    place = find(source.path)
    if not place.is_file():
        raise InputError(f"format = '{kind}' needs a file", path=source.path)
    if kind == "squad":
        found: Iterator[str] = _paragraphs(place)
    else:
        found = _file_lines(place)
    for text in islice(found, source.start, source.stop):
        whole = normalise(text)
        yield whole, whole


def _file_lines(place: Path) -> Iterator[str]:
    with open_bytes(place) as stream:
        yield from read_lines(stream, place)


def _paragraphs(place: Path) -> Iterator[str]:
    with open_bytes(place) as stream:
        content = stream.read()
    try:
        told: Any = json.loads(content)
        yield from [str(part["context"]) for entry in told["data"] for part in entry["paragraphs"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"it is not SQuAD-shaped JSON ({type(error).__name__}: {error})", path=place
        ) from error


def _side(source: TextConfig) -> Iterator[tuple[str, str]]:
    pairs = BitextConfig(
        path=source.path,
        format=cast(BitextFormat, source.format),
        language=source.language,
        target_language=source.target_language,
        start=source.start,
        stop=source.stop,
        max_characters=source.max_characters,
        max_ratio=_ANY_RATIO,
        min_score=source.min_score,
        identify=source.identify,
    )
    for pair in open_source(pairs):
        yield (pair.source if source.side == "source" else pair.target), pair.target


def _drawn(texts: list[str], limit: int | None, seed: int) -> list[str]:
    """Return at most `limit` of the texts, in their order, those with the smallest hashes under `seed`."""
    if limit is None or limit >= len(texts):
        return texts
    ranks = sorted(range(len(texts)), key=lambda i: hashlib.blake2b(f"{seed}\t{texts[i]}".encode()).digest())
    return [texts[i] for i in sorted(ranks[:limit])]
