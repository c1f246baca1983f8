"""Large sources are cleaned once: their pairs are kept in the cache, in parts after which a reading goes on.

A source is found by the content of its files, the settings that decide which pairs are kept, and the code
that reads them.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import pyarrow as pa

from engine.atomic import replacing, write_file
from engine.bitext.drops import Drops
from engine.bitext.files import files_in, find, shards, siblings
from engine.bitext.pairs import BLOCK, SCHEMA, Pairs, table_of
from engine.bitext.reader import Reading, pair_number
from engine.bitext.seen import Seen
from engine.config import BitextConfig
from engine.errors import OpticalError
from engine.extensions.bitext import BITEXT_FORMATS, SentencePair
from engine.hashes import hash_file, hash_of
from engine.paths import cache_home
from engine.reporting import SILENT, Reporter

LARGE = 8 * 2**20
"""Bytes of a source from which its pairs are kept in the cache."""
PART = 8 * BLOCK
"""Pairs of a part, which take a few seconds to read and clean."""

#: Settings that do not decide which pairs are kept.
_OTHERS = {"limit", "repeat"}
#: Parts after which it is said how many pairs there are.
_SAID = 8

Read = Callable[[Reading], Iterator[SentencePair]]
_Parts = list[list[pa.RecordBatch]]


def is_large(source: BitextConfig) -> bool:
    """Return whether the files of a source are so large that its pairs are kept in the cache."""
    if source.path.startswith("package:"):
        return False
    return sum(file.stat().st_size for file in _files(source)) >= LARGE


def stored_pairs(source: BitextConfig, read: Read, drops: Drops, reporter: Reporter = SILENT) -> Pairs:
    """Return the pairs of a source, mapped from the cache; those that are not there are read.

    Parameters
    ----------
    source : BitextConfig
        The source.
    read : callable
        Takes how far the source was read, and returns the pairs from there on.
    drops : Drops
        Counts to add to.
    reporter : Reporter
        Is told how many pairs were read.

    Raises
    ------
    OpticalError
        If the cache cannot be written.
    InputError
        As the source's reader.
    """
    folder = cache_home() / "pairs" / _key(source)
    parts, counts = _found(folder)
    done = _done(folder)
    if done is None or done[0] != len(parts):
        reading = Reading(counts, *_seen(parts))
        try:
            _read_rest(source, folder, read, reading, len(parts), reporter)
        except OSError as error:
            raise OpticalError(
                f"{folder}: the pairs of {source.path} cannot be kept ({error.strerror or error}); free "
                "space or name another folder with OPTICAL_CACHE"
            ) from error
        parts, _ = _found(folder)
        done = len(parts), reading.drops
    drops.add(done[1])
    return Pairs([table for part in parts for table in part])


def _read_rest(
    source: BitextConfig, folder: Path, read: Read, reading: Reading, number: int, reporter: Reporter
) -> None:
    """Write the parts of a source from `number` on."""
    if number:
        reporter.say(f"{source.path}: goes on after {reading.drops.read:,} pairs that were read before")
    folder.mkdir(parents=True, exist_ok=True)
    pairs = read(reading)
    options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
    while block := list(islice(pairs, PART)):
        tables = [table_of(block[start : start + BLOCK]) for start in range(0, len(block), BLOCK)]
        schema = SCHEMA.with_metadata({"counts": json.dumps(asdict(reading.drops))})
        with (
            replacing(_part(folder, number), sync=False) as building,
            pa.OSFile(str(building), "wb") as file,
            pa.ipc.new_file(file, schema, options=options) as writer,
        ):
            for table in tables:
                writer.write_batch(table)
        number += 1
        if number % _SAID == 0:
            reporter.say(f"{source.path}: {reading.drops.read:,} pairs read, {reading.drops.kept:,} kept")
    # the last part does not count what was dropped after its last pair
    write_file(folder / "done.json", json.dumps([number, asdict(reading.drops)]).encode())


def _found(folder: Path) -> tuple[_Parts, Drops]:
    """Return the parts that are there, mapped, and what was read until the end of the last one."""
    parts: _Parts = []
    counts = Drops()
    while (file := _part(folder, len(parts))).is_file():
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(file)))
            tables = [reader.get_batch(number) for number in range(reader.num_record_batches)]
            counts = Drops(**json.loads((reader.schema.metadata or {})[b"counts"]))
        except (pa.ArrowInvalid, OSError, KeyError, ValueError, TypeError):
            break  # cut or damaged; it and the parts after it are written again
        parts.append(tables)
    return parts, counts


def _done(folder: Path) -> tuple[int, Drops] | None:
    """Return the number of all parts and what was read in all; None if the reading did not end."""
    try:
        number, counts = json.loads((folder / "done.json").read_bytes())
        return int(number), Drops(**counts)
    except (OSError, ValueError, TypeError):
        return None


def _seen(parts: _Parts) -> tuple[Seen, Seen]:
    """Return the pairs and the targets of some parts."""
    pairs = Pairs([table for part in parts for table in part])
    return Seen(map(pair_number, pairs)), Seen(pairs.numbers("same").tolist())


def _part(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05}.arrow"


def _files(source: BitextConfig) -> list[Path]:
    place = find(source.path)
    if place.is_dir():
        return files_in(place)
    return [place] if place.is_file() else sorted([*siblings(place).values(), *shards(place)])


def _key(source: BitextConfig) -> str:
    """Return what identifies the pairs of a source."""
    code = [Path(__file__).parent]
    if source.format in BITEXT_FORMATS:
        code.append(Path(inspect.getfile(BITEXT_FORMATS[source.format].read)))
    programs = sorted(
        {file for place in code for file in (place.rglob("*.py") if place.is_dir() else [place])}
    )
    files = _files(source)
    parts = [
        source.model_dump_json(exclude=_OTHERS),
        *(f"{file.name} {hash_file(file)}" for file in [*files, *programs]),
        pa.__version__,
    ]
    return hash_of("\n".join(parts).encode())
