"""The pairs of a bitext source, of which only the first are read if there are many."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.parquet as pq

from engine.bitext.drops import Drops
from engine.bitext.files import find
from engine.bitext.pairs import DistinctTexts, Pairs
from engine.bitext.reader import Reading
from engine.bitext.source import open_source
from engine.bitext.split import in_part
from engine.bitext.stored import source_files
from engine.config import BitextConfig
from engine.errors import InputError
from engine.estimate.sheet import Cost, Meter
from engine.extensions.bitext import SentencePair

#: Seconds after which no more pairs of a source are read, and pairs after which the clock is looked at.
LONGEST, LOOK = 5.0, 1000
#: Endings of files whose text is compressed.
_COMPRESSED = (".gz", ".xz", ".bz2", ".zst", ".zip")


@dataclass(frozen=True)
class Source:
    """A source of pairs.

    Attributes
    ----------
    pairs : Pairs
        Its pairs, or the first of them.
    drops : Drops
        What was dropped of those that were read.
    total : int
        Pairs that a run uses of it, at most its `limit`.
    kept : int
        Pairs that a run reads and keeps.
    distinct : int
        Distinct target sentences among `total`.
    cost : Cost
        Of reading all of it.
    whole : bool
        Whether all was read.
    size : int
        Bytes of the text of all pairs that are kept.
    """

    pairs: Pairs
    drops: Drops
    total: int
    kept: int
    distinct: int
    cost: Cost
    whole: bool
    size: int


def read(meter: Meter, source: BitextConfig) -> Source:
    """Read a source for at most `LONGEST` seconds, and return what is known of all of it.

    The number of pairs of a longer one is estimated by the bytes of its files.

    Raises
    ------
    InputError
        If the source is missing, damaged or empty.
    """
    reading = Reading()
    ended = False

    def some() -> Iterator[SentencePair]:
        nonlocal ended
        begun = meter.wall()
        for number, pair in enumerate(open_source(source, None, reading), 1):
            if in_part(pair.document or pair.target, source.part, source.test_share):
                yield pair
            if number % LOOK == 0 and meter.wall() - begun > LONGEST:
                return
        ended = True

    cost, pairs = meter.of(lambda: Pairs.of(some()))
    if not len(pairs):
        raise InputError(f"no sentence pair is left in language {source.language!r}", path=source.path)
    texts = [*pairs.texts("source"), *pairs.texts("target")]
    size = sum(len(text.encode()) + 1 for text in texts)
    share = 1.0 if ended else _share(source, texts, size, len(pairs), reading.drops.read)
    kept = round(len(pairs) / share)
    total = kept if source.limit is None else min(kept, source.limit)
    distinct = max(1, round(len(DistinctTexts(pairs)) / len(pairs) * total))
    return Source(pairs, reading.drops, total, kept, distinct, cost * (1 / share), ended, round(size / share))


def _share(source: BitextConfig, texts: list[str], size: int, kept: int, seen: int) -> float:
    """Return the share of a source that was read."""
    place = find(source.path)
    files = source_files(source)
    known = [stop for stop in (source.stop,) if stop is not None]
    rows = [pq.read_metadata(file).num_rows for file in files if file.suffix == ".parquet"]
    if rows and len(rows) == len(files):
        known.append(sum(rows))
    if known:
        return min(1.0, seen / max(1, min(known) - source.start))
    whole = sum(file.stat().st_size for file in files)
    own = size * seen / max(1, kept)  # the pairs that were dropped take room, too
    if place.suffix.lower() in _COMPRESSED:
        own *= len(zlib.compress("\n".join(texts).encode())) / max(1, size)
    return min(1.0, own / max(1, whole))
