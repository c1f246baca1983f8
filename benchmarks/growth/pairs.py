"""Write synthetic sentence pairs, the same ones every time, as TSV or Parquet.

    python benchmarks/growth/pairs.py 10000000 pairs.tsv
    python benchmarks/growth/pairs.py 1000000 pairs.parquet --real ../shared/data/tico-19/all.en-sw.tmx.zip

An English sentence has 6 to 24 words of a vocabulary of 20,000 that are drawn with Zipf's frequencies; its
translation has as many words of another vocabulary, each the translation of one of them. Every tenth English
sentence occurred before with another translation. ``--real`` mixes in the pairs of a file in Swahili, one
after every hundred. ``--read`` then reads the file twice, as a run does, the second time from the cache, and
prints the CPU seconds and the resident memory.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from engine.bitext import open_bitext
from engine.bitext.source import read_source
from engine.config import BitextConfig

VOCABULARY = 20_000
BLOCK = 50_000
REPEATED = 10
SHARE = 100


def words(seed: int, vowels: str) -> list[str]:
    """Return the words of a language."""
    generator = np.random.default_rng(seed)
    consonants = "bcdfghjklmnpqrstvwyz"
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        size = int(generator.integers(1, 5))
        found[
            "".join(generator.choice(list(consonants)) + generator.choice(list(vowels)) for _ in range(size))
        ] = None
    return list(found)


def pairs(count: int) -> Iterator[tuple[str, str]]:
    """Yield source and target of `count` synthetic pairs."""
    english, foreign = np.array(words(1, "aeiou"), object), np.array(words(2, "aeiuâ"), object)
    weights = 1.0 / (np.arange(VOCABULARY) + 10.0)
    cumulative = np.cumsum(weights / weights.sum())
    for start in range(0, count, BLOCK):
        generator = np.random.default_rng([7, start])
        size = min(BLOCK, count - start)
        lengths = generator.integers(6, 25, size)
        drawn = np.searchsorted(cumulative, generator.random(int(lengths.sum()))).clip(max=VOCABULARY - 1)
        before = ""
        place = 0
        for number, length in enumerate(lengths.tolist()):
            chosen = drawn[place : place + length]
            place += length
            target = " ".join(english[chosen]).capitalize() + "."
            if number % REPEATED == REPEATED - 1:
                target = before
            before = target
            yield " ".join(foreign[chosen[::-1]]).capitalize() + ".", target


def mixed(count: int, real: Path | None) -> Iterator[tuple[str, str]]:
    """Yield `count` pairs, with those of `real` among them as long as it has some."""
    others = iter(()) if real is None else open_bitext(real.resolve(), language="sw")
    for number, pair in enumerate(pairs(count)):
        other = next(others, None) if number % SHARE == 0 else None
        yield pair if other is None else (other.source, other.target)


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--read", action="store_true")
    arguments = parser.parse_args()
    write(arguments.file, mixed(arguments.count, arguments.real))
    if arguments.read:
        measure(arguments.file.resolve())


def write(file: Path, found: Iterator[tuple[str, str]]) -> None:
    """Write pairs as Parquet or TSV."""
    if file.suffix == ".parquet":
        schema = pa.schema([("sw", pa.string()), ("en", pa.string())])
        with pq.ParquetWriter(file, schema) as writer:
            while block := list(islice(found, BLOCK)):
                source, target = zip(*block, strict=True)
                writer.write_table(pa.table({"sw": source, "en": target}, schema))
        return
    with file.open("w", encoding="utf-8") as stream:
        stream.writelines(f"{source}\t{target}\n" for source, target in found)


def measure(file: Path) -> None:
    """Print what it costs to read the pairs of a file for the first and for the second time."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OPTICAL_CACHE"] = folder
        for name in ("read", "from the cache"):
            started = time.process_time()
            found = read_source(BitextConfig(path=str(file), language="sw"))
            seconds = time.process_time() - started
            memory = psutil.Process().memory_info().rss
            print(f"{len(found):,} pairs {name}: {seconds:.2f} s of CPU, {memory / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
