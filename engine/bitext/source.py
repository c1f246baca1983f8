"""A bitext source read as its configuration says."""

from __future__ import annotations

import hashlib

from engine.bitext.pairs import Drops, SentencePair
from engine.bitext.reader import open_bitext
from engine.bitext.split import in_part
from engine.config import BitextConfig
from engine.errors import InputError


def read_source(source: BitextConfig, seed: int = 0, drops: Drops | None = None) -> list[SentencePair]:
    """Read one source whole: cleaned, cut to its part of the split, and to `limit` pairs drawn by `seed`.

    Raises
    ------
    InputError
        If the source is missing, broken or empty.
    """
    pairs = [
        pair
        for pair in open_bitext(
            source.path,
            format=source.format,
            language=source.language,
            target_language=source.target_language,
            start=source.start,
            stop=source.stop,
            max_characters=source.max_characters,
            max_ratio=source.max_ratio,
            min_score=source.min_score,
            drops=drops,
        )
        if in_part(pair.target, source.part, source.test_share)
    ]
    if not pairs:
        raise InputError(f"no sentence pair is left in language {source.language!r}", path=source.path)
    if source.limit is not None and source.limit < len(pairs):
        # The choice hangs on the sentence, so that languages with the same English side share it.
        ranks = sorted(range(len(pairs)), key=lambda index: (_rank(pairs[index].target, seed), index))
        pairs = [pairs[index] for index in sorted(ranks[: source.limit])]
    return pairs


def _rank(sentence: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\t{sentence}".encode(), digest_size=7).digest()
