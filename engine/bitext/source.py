"""A bitext source read as its configuration says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from engine.bitext.pairs import Drops, SentencePair
from engine.bitext.reader import open_bitext
from engine.bitext.split import in_part
from engine.config import BitextConfig
from engine.errors import InputError


def open_source(source: BitextConfig, drops: Drops | None = None) -> Iterator[SentencePair]:
    """Open one source and return its cleaned pairs, one at a time, before its split and limit.

    Of a monolingual source every distinct target sentence comes once, on both sides.

    Raises
    ------
    InputError
        As `open_bitext`.
    """
    pairs = open_bitext(
        source.path,
        format=source.format,
        language=source.language,
        target_language=source.target_language,
        start=source.start,
        stop=source.stop,
        max_characters=source.max_characters,
        max_ratio=source.max_ratio,
        min_score=source.min_score,
        identify=source.identify,
        drops=drops,
    )
    return _monolingual(pairs, drops) if source.monolingual else pairs


def _monolingual(pairs: Iterator[SentencePair], drops: Drops | None) -> Iterator[SentencePair]:
    seen: set[str] = set()
    for pair in pairs:
        if pair.target not in seen:
            seen.add(pair.target)
            yield replace(pair, source=pair.target, source_language=pair.target_language)
        elif drops is not None:  # two translations of one sentence are no copies until now
            drops.withdraw("duplicate")


def read_source(source: BitextConfig, seed: int = 0, drops: Drops | None = None) -> list[SentencePair]:
    """Read one source whole: cleaned, cut to its part of the split, and to `limit` pairs drawn by `seed`.

    Raises
    ------
    InputError
        If the source is missing, broken or empty.
    """
    pairs = [
        pair for pair in open_source(source, drops) if in_part(pair.target, source.part, source.test_share)
    ]
    if not pairs:
        raise InputError(f"no sentence pair is left in language {source.language!r}", path=source.path)
    return draw(pairs, source.limit, seed)


def draw(pairs: Sequence[SentencePair], limit: int | None, seed: int) -> list[SentencePair]:
    """Return at most `limit` of `pairs`, in their order, drawn by `seed`.

    The choice hangs on the target sentence, so that languages with the same English side share it.
    """
    if limit is None or limit >= len(pairs):
        return list(pairs)
    ranks = sorted(range(len(pairs)), key=lambda index: (_rank(pairs[index].target, seed), index))
    return [pairs[index] for index in sorted(ranks[:limit])]


def _rank(sentence: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\t{sentence}".encode(), digest_size=7).digest()
