"""Read a bitext source with the settings of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from engine.bitext.drawing import draw_evenly
from engine.bitext.drops import Drops
from engine.bitext.reader import open_bitext
from engine.bitext.split import in_part
from engine.config import BitextConfig
from engine.errors import InputError
from engine.extensions.bitext import SentencePair


def open_source(source: BitextConfig, drops: Drops | None = None) -> Iterator[SentencePair]:
    """Open one source and return its cleaned pairs, one at a time, before its split and limit are applied.

    A monolingual source yields every distinct target sentence once, on both sides.

    Raises
    ------
    InputError
        As in `open_bitext`.
    """
    pairs = open_bitext(
        source.path,
        format=source.format,
        language=source.language,
        target_language=source.target_language,
        split=source.split,
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
        elif drops is not None:  # two translations of one sentence become copies here
            drops.withdraw("duplicate")


def read_source(source: BitextConfig, seed: int = 0, drops: Drops | None = None) -> list[SentencePair]:
    """Read one source completely: its cleaned pairs in its part of the split, at most `limit` of them.

    Parameters
    ----------
    source : BitextConfig
        The source.
    seed : int
        Seed of the draw, if there are more than `source.limit` pairs.
    drops : Drops, optional
        Counts to add to.

    Raises
    ------
    InputError
        If the source is missing, damaged or empty.
    """
    pairs = [
        pair
        for pair in open_source(source, drops)
        if in_part(pair.document or pair.target, source.part, source.test_share)
    ]
    if not pairs:
        raise InputError(f"no sentence pair is left in language {source.language!r}", path=source.path)
    return draw(pairs, source.limit, seed)


def draw(pairs: Sequence[SentencePair], limit: int | None, seed: int) -> list[SentencePair]:
    """Return at most `limit` of `pairs`, in their order, drawn with `seed` and evenly from their documents.

    The draw depends on the target sentences, so that languages with the same English side get the same draw.
    """
    if limit is None or limit >= len(pairs):
        return list(pairs)
    places = draw_evenly([(pair.document, pair.target) for pair in pairs], limit, str(seed))
    return [pairs[place] for place in places]
