"""Texts of pairs that are looked up, block by block; what is found in large blocks is kept in the cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast

import pyarrow as pa
import pyarrow.compute as pc

from engine.atomic import write_file
from engine.bitext.pairs import Pairs
from engine.bitext.seen import Seen, text_number
from engine.bitext.stored import PART, code_hashes
from engine.hashes import hash_of
from engine.paths import cache_home
from engine.reporting import Reporter

#: Texts that are looked up at once.
_BATCH = 1 << 12
#: Files with the code that finds overlap.
_CODE = Path(__file__).parents[2] / "bitext"

Found = TypeVar("Found")


def look_up(
    pairs: Pairs,
    column: str,
    look: Callable[[Sequence[str]], Iterable[Found | None]],
    *,
    key: Sequence[str],
    seen: Seen,
    reporter: Reporter,
) -> Iterator[tuple[str, Found]]:
    """Yield the texts of pairs for which something is found, and what is found.

    What is found in `PART` pairs is kept, so that a search that was killed goes on there.

    Parameters
    ----------
    pairs : Pairs
        The pairs.
    column : str
        The column of the texts.
    look : callable
        Returns what is found for each text, or None. It must be a value of JSON.
    key : sequence of str
        What `look` depends on.
    seen : Seen
        Texts that were looked up before; they are left out, unless there are `PART` of them.
    reporter : Reporter
        Is told how many more texts were looked up.
    """
    folder = cache_home() / "overlap" / hash_of("\n".join([*key, *code_hashes(_CODE)]).encode())
    for start in range(0, len(pairs), PART):
        block = pairs[start : start + PART]
        file = folder / f"{block.hash(column)}.json" if len(block) == PART else None
        if file is not None and (kept := _kept(file)) is not None:
            places = [place for place, _ in kept]
            values = [cast(Found, value) for _, value in kept]
            yield from zip(block.texts(column, places), values, strict=True)
            reporter.advance(len(block))
            continue
        found: list[tuple[int, Found]] = []
        for first in range(0, len(block), _BATCH):
            texts = dict(enumerate(block[first : first + _BATCH].texts(column), first))
            count = len(texts)
            if file is None:
                texts = {place: text for place, text in texts.items() if seen.add(text_number(text))}
            for (place, text), value in zip(texts.items(), look([*texts.values()]), strict=True):
                if value is not None:
                    found.append((place, value))
                    yield text, value
            reporter.advance(count)
        if file is not None:
            with suppress(OSError):  # it is looked up again
                file.parent.mkdir(parents=True, exist_ok=True)
                write_file(file, json.dumps(found).encode())


def places_of(pairs: Pairs, texts: Iterable[str], *, passages: bool = False) -> Iterator[int]:
    """Yield the places of pairs with a side among `texts`, and with `passages` of those with a passage."""
    wanted = pa.array(list(texts), pa.string())
    if not len(wanted) and not passages:
        return
    start = 0
    for source, target, passage in pairs.blocks("source", "target", "passage"):
        chosen = pc.or_(pc.is_in(source, wanted), pc.is_in(target, wanted))
        if passages:
            chosen = pc.or_(chosen, pc.not_equal(passage, ""))
        yield from (start + pc.indices_nonzero(chosen).to_numpy()).tolist()
        start += len(source)


def _kept(file: Path) -> list[tuple[int, object]] | None:
    """Return what was found in a block; None if it is to be looked up."""
    try:
        return [(int(place), value) for place, value in json.loads(file.read_bytes())]
    except (OSError, ValueError, TypeError):
        return None
