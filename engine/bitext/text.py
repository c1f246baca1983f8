"""Text in one language: lines, the paragraphs of SQuAD, or one side of any bitext."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from engine.bitext.files import find, numbered_lines, open_bytes
from engine.bitext.reader import is_plain_text, normalise
from engine.bitext.source import open_source
from engine.bitext.split import in_part
from engine.config import BitextConfig
from engine.config.pretraining import PLAIN_TEXT_FORMATS, TextConfig
from engine.errors import InputError
from engine.languages import language as find_language

_LINES = (".txt", ".txt.gz", ".txt.xz")
_SQUAD = (".json", ".json.gz", ".json.xz")
#: No limit on the ratio of the sides' lengths: only one side is used.
_ANY_RATIO = 1e9


def code_of(source: TextConfig) -> str:
    """Return the code of the language of the text in `source`.

    Raises
    ------
    InputError
        If there is no such language.
    """
    return find_language(source.language if source.side == "source" else source.target_language).code


def read_text(source: TextConfig, seed: int = 0) -> list[str]:
    """Read one source: its distinct sentences in NFC with single spaces, in its order.

    Raises
    ------
    InputError
        If the source is missing or damaged, or no sentence is left.
    """
    texts: dict[str, None] = {}
    for text, key in _sentences(source):
        if text and len(text) <= source.max_characters and in_part(key, source.part, source.test_share):
            texts[text] = None
    if not texts:
        raise InputError(f"no text is left in {code_of(source)!r}", path=source.path)
    return _drawn(list(texts), source.limit, seed)


def open_text(source: TextConfig) -> None:
    """Read the first sentence, to check that path, format and language are right.

    Raises
    ------
    InputError
        As `read_text`.
    """
    code_of(source)
    if next(_sentences(source), None) is None:
        raise InputError("there is no text in it", path=source.path)


def _sentences(source: TextConfig) -> Iterator[tuple[str, str]]:
    """Yield the sentences of a source, each with the sentence that determines its part of a split."""
    kind = _plain_format(source)
    return _side(source) if kind is None else _plain(source, kind)


def _plain_format(source: TextConfig) -> str | None:
    """Return ``text`` or ``squad``, or None if the source is bitext."""
    if source.format != "auto":
        return source.format if source.format in PLAIN_TEXT_FORMATS else None
    if source.path.startswith("package:"):
        return None
    place = find(source.path)
    name = place.name.lower()
    if name.endswith(_SQUAD):
        return "squad"
    # A file with an unknown ending has one sentence per line; the prefix of two files is bitext.
    return "text" if name.endswith(_LINES) or is_plain_text(place) else None


def _plain(source: TextConfig, kind: str) -> Iterator[tuple[str, str]]:
    if source.side == "target":
        raise InputError(
            "side = 'target' belongs to bitext, and this is plain text; remove it", path=source.path
        )
    place = find(source.path)
    if not place.is_file():
        raise InputError(f"format = '{kind}' needs a file", path=source.path)
    found = _paragraphs(place) if kind == "squad" else (line for _, line in numbered_lines(place))
    for text in islice(found, source.start, source.stop):
        whole = normalise(text)
        yield whole, whole


def _paragraphs(place: Path) -> Iterator[str]:
    with open_bytes(place) as stream:
        content = stream.read()
    try:
        loaded: Any = json.loads(content)
        yield from [str(part["context"]) for entry in loaded["data"] for part in entry["paragraphs"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"it is not SQuAD-shaped JSON ({type(error).__name__}: {error})", path=place
        ) from error


def _side(source: TextConfig) -> Iterator[tuple[str, str]]:
    pairs = BitextConfig(
        path=source.path,
        format=source.format,
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
    """Return at most `limit` texts in their order: those with the smallest hash of seed and text."""
    if limit is None or limit >= len(texts):
        return texts
    ranks = sorted(range(len(texts)), key=lambda i: hashlib.blake2b(f"{seed}\t{texts[i]}".encode()).digest())
    return [texts[i] for i in sorted(ranks[:limit])]
