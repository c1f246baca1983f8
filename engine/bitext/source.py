"""Read a bitext source with the settings of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from engine.bitext.drawing import draw_evenly
from engine.bitext.drops import Drops
from engine.bitext.pairs import Pairs
from engine.bitext.reader import Reading, open_bitext
from engine.bitext.seen import text_number
from engine.bitext.split import in_part
from engine.bitext.stored import is_large, stored_pairs
from engine.config import BitextConfig
from engine.errors import InputError
from engine.extensions.bitext import SentencePair
from engine.reporting import SILENT, Reporter


def open_source(
    source: BitextConfig, drops: Drops | None = None, reading: Reading | None = None
) -> Iterator[SentencePair]:
    """Open one source and return its cleaned pairs, one at a time, before its split and limit are applied.

    A monolingual source yields every distinct target sentence once, on both sides. A `reading` that was
    interrupted goes on.

    Raises
    ------
    InputError
        As in `open_bitext`.
    """
    reading = Reading() if reading is None else reading
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
        reading=reading,
    )
    return _monolingual(pairs, reading, drops) if source.monolingual else pairs


def _monolingual(
    pairs: Iterator[SentencePair], reading: Reading, drops: Drops | None
) -> Iterator[SentencePair]:
    for pair in pairs:
        if reading.targets.add(text_number(pair.target)):
            yield replace(pair, source=pair.target, source_language=pair.target_language)
            continue
        reading.drops.withdraw("duplicate")  # two translations of one sentence become copies here
        if drops is not None:
            drops.withdraw("duplicate")


def read_source(
    source: BitextConfig, seed: int = 0, drops: Drops | None = None, reporter: Reporter = SILENT
) -> Pairs:
    """Read one source completely: its cleaned pairs in its part of the split, at most `limit` of them.

    The pairs of a large source are kept in the cache and mapped from there (`engine.bitext.stored`).

    Parameters
    ----------
    source : BitextConfig
        The source.
    seed : int
        Seed of the draw, if there are more than `source.limit` pairs.
    drops : Drops, optional
        Counts to add to.
    reporter : Reporter
        Is told how far a large source was read.

    Raises
    ------
    InputError
        If the source is missing, damaged or empty.
    OpticalError
        If the pairs of a large source cannot be kept.
    """

    def read(reading: Reading) -> Iterator[SentencePair]:
        for pair in open_source(source, None, reading):
            if in_part(pair.document or pair.target, source.part, source.test_share):
                yield pair

    counts = Drops() if drops is None else drops
    if is_large(source):
        pairs = stored_pairs(source, read, counts, reporter)
    else:
        reading = Reading()
        pairs = Pairs.of(read(reading))
        counts.add(reading.drops)
    if not len(pairs):
        raise InputError(f"no sentence pair is left in language {source.language!r}", path=source.path)
    return draw(pairs, source.limit, seed)


def draw(pairs: Iterable[SentencePair], limit: int | None, seed: int) -> Pairs:
    """Return at most `limit` of `pairs`, in their order, drawn with `seed` and evenly from their documents.

    The draw depends on the target sentences, so that languages with the same English side get the same draw.
    """
    known = Pairs.of(pairs)
    if limit is None or limit >= len(known):
        return known
    texts = zip(known.texts("document"), known.texts("target"), strict=True)
    return known.select(np.array(draw_evenly(texts, limit, str(seed)), dtype=np.int64))
