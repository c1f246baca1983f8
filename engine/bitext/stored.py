"""Large sources are cleaned once: their pairs are kept in the cache, in parts after which a reading goes on.

A source is found by the content of its files, the settings that decide which pairs are kept, and the code
that reads them.
"""

from __future__ import annotations

import inspect
import json
from array import array
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import pyarrow as pa

from engine.atomic import replacing, write_file
from engine.bitext.drops import Drops
from engine.bitext.files import files_in, find, shards, siblings
from engine.bitext.mapped import map_tables
from engine.bitext.pairs import BLOCK, SCHEMA, Pairs, table_of
from engine.bitext.reader import Reading
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


@dataclass
class _Parts:
    """The parts of a source that are there, and how far it was read until the end of the last one."""

    tables: list[list[pa.RecordBatch]] = field(default_factory=list)
    counts: Drops = field(default_factory=Drops)
    seen: array[int] = field(default_factory=lambda: array("Q"))
    targets: array[int] = field(default_factory=lambda: array("Q"))


def is_large(source: BitextConfig) -> bool:
    """Return whether the files of a source are so large that its pairs are kept in the cache."""
    if source.path.startswith("package:"):
        return False
    return sum(file.stat().st_size for file in source_files(source)) >= LARGE


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
    parts = _found(folder)
    done = _done(folder)
    if done is None or done[0] != len(parts.tables):
        reading = Reading(parts.counts, Seen(parts.seen), Seen(parts.targets))
        try:
            _read_rest(source, folder, read, reading, len(parts.tables), reporter)
        except OSError as error:
            raise OpticalError(
                f"{folder}: the pairs of {source.path} cannot be kept ({error.strerror or error}); free "
                "space or name another folder with OPTICAL_CACHE"
            ) from error
        parts = _found(folder)
        done = len(parts.tables), reading.drops
    drops.add(done[1])
    return Pairs([table for part in parts.tables for table in part])


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
        seen = [reading.seen.fresh(), reading.targets.fresh()]
        write_file(_seen(folder, number), b"".join(seen))
        sizes = [len(some) // 8 for some in seen]
        schema = SCHEMA.with_metadata(
            {"counts": json.dumps(asdict(reading.drops)), "seen": json.dumps(sizes)}
        )
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


def _found(folder: Path) -> _Parts:
    """Return the parts that are there, mapped; none from the first one on that is missing or damaged."""
    parts = _Parts()
    while (file := _part(folder, number := len(parts.tables))).is_file():
        try:
            tables, about = map_tables(file)
            counts = Drops(**json.loads(about[b"counts"]))
            pairs, targets = json.loads(about[b"seen"])
            numbers = array("Q", _seen(folder, number).read_bytes())
            if len(numbers) != pairs + targets:
                break
        except (OSError, KeyError, ValueError, TypeError):
            break
        parts.tables.append(tables)
        parts.counts = counts
        parts.seen += numbers[:pairs]
        parts.targets += numbers[pairs:]
    return parts


def _done(folder: Path) -> tuple[int, Drops] | None:
    """Return the number of all parts and what was read in all; None if the reading did not end."""
    try:
        number, counts = json.loads((folder / "done.json").read_bytes())
        return int(number), Drops(**counts)
    except (OSError, ValueError, TypeError):
        return None


def _part(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05}.arrow"


def _seen(folder: Path, number: int) -> Path:
    """Return the file with the numbers that a part was the first to have, of pairs and then of targets."""
    return folder / f"part-{number:05}.seen"


def source_files(source: BitextConfig) -> list[Path]:
    """Return the files that the pairs of a source are read from."""
    place = find(source.path)
    if place.is_dir():
        return files_in(place)
    return [place] if place.is_file() else sorted([*siblings(place).values(), *shards(place)])


def code_hashes(*places: Path) -> list[str]:
    """Return the names and hashes of Python files, and of those in folders, in order."""
    files = {file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])}
    return [f"{file.name} {hash_file(file)}" for file in sorted(files)]


def _key(source: BitextConfig) -> str:
    """Return what identifies the pairs of a source."""
    code = [Path(__file__).parent]
    if source.format in BITEXT_FORMATS:
        code.append(Path(inspect.getfile(BITEXT_FORMATS[source.format].read)))
    parts = [
        source.model_dump_json(exclude=_OTHERS),
        *(f"{file.name} {hash_file(file)}" for file in source_files(source)),
        *code_hashes(*code),
        pa.__version__,
    ]
    return hash_of("\n".join(parts).encode())
