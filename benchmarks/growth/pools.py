"""Measure the search of a pool of token vectors on disk: time, memory, disk, and the first query.

    python benchmarks/growth/pools.py write FOLDER --passages 100000 [--bits 2]
    python benchmarks/growth/pools.py search FOLDER --queries 1000 [--bits 2] [--scoring maxsim-muvera]
    python benchmarks/growth/pools.py first FOLDER [--bits 2]

Token vectors are synthetic: each is the sum of a random vector for one of 20,000 words, one for one of the
passage's subjects, and noise, scaled to unit length. Every passage has 128 tokens; those of a query are near
tokens of one passage. `write` writes the files of the vector cache, `search` searches them with all
queries, and `first` opens them in this process and asks a single query. Each prints one JSON object. ``anon``
is the most anonymous memory (RssAnon) that was seen, every 20 ms; ``peak`` is the process's maximum resident
size (VmHWM), which includes the mapped pages of files that the system can drop at any time.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from engine.extensions.scorings import SCORINGS
from engine.retrieval.entries import load_cached, save_cached
from engine.retrieval.residual import ResidualCodec
from engine.retrieval.single import SingleSearch
from engine.retrieval.stored import Shard, StoredTokens
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import SHARD

TOKENS, WORDS, SUBJECTS = 128, 20_000, 500
SETTINGS = {"probes": 64, "candidates": 1000}


@cache
def shared(width: int) -> tuple[Tensor, Tensor]:
    """Return the vectors of words and of subjects."""
    generator = torch.Generator().manual_seed(0)
    return tuple(normalize(torch.randn(n, width, generator=generator)) for n in (WORDS, SUBJECTS))


def passage(number: int, width: int) -> Tensor:
    """Return the token vectors (TOKENS, width) of a passage, the same in each call."""
    words, subjects = shared(width)
    generator = torch.Generator().manual_seed(number + 1)
    word = torch.randint(0, WORDS, (TOKENS,), generator=generator)
    subject = torch.randint(0, SUBJECTS, (1,), generator=generator)
    noise = 0.5 * torch.randn(TOKENS, width, generator=generator) / width**0.5
    return normalize(words[word] + 0.5 * subjects[subject] + noise, dim=1)


def queries(count: int, size: int, total: int, width: int) -> tuple[TokenStore, Tensor]:
    """Return queries of `size` tokens near those of one passage each, and the passages, (count, 1)."""
    generator = torch.Generator().manual_seed(7)
    gold = torch.randint(0, total, (count,), generator=generator)
    tokens = []
    for number in gold.tolist():
        chosen = passage(number, width)[torch.randint(0, TOKENS, (size,), generator=generator)]
        noise = torch.randn(size, width, generator=generator) / width**0.5
        tokens.append(normalize(chosen + 1.2 * noise, dim=1))
    return TokenStore(torch.cat(tokens), torch.arange(0, count * size + 1, size)), gold[:, None]


def block(numbers: Sequence[int], width: int) -> Tensor:
    """Return the token vectors of passages, one after another."""
    return torch.cat([passage(number, width) for number in numbers])


def status(name: str) -> float:
    """Return a field of this process's memory in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


@contextmanager
def watched(found: dict[str, Any]) -> Iterator[None]:
    """Add seconds, seconds of CPU and the largest memory of the block to `found`."""
    most, done = [status("RssAnon")], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], status("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    clock, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        found |= {
            "seconds": round(time.perf_counter() - clock, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
        }
        done.set()
        watcher.join()
        found |= {"anon_mib": round(most[0]), "peak_mib": round(status("VmHWM"))}


def folder_of(options: argparse.Namespace) -> Path:
    """Return the folder of the pool in this form."""
    folder: Path = options.folder / f"{options.bits}-bit"
    return folder


def opened(options: argparse.Namespace) -> StoredTokens:
    """Return the pool, of which nothing is read yet."""
    folder, codec = folder_of(options), None
    if options.bits < 16:
        codec = ResidualCodec.from_tensors(load_cached(folder / "codec.safetensors") or {})
    shards = [Shard.open(path, codec) for path in sorted(folder.glob("shard-*.safetensors"))]
    return StoredTokens([shard for shard in shards if shard is not None])


def write(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Write the pool."""
    folder = folder_of(options)
    codec = None
    if options.bits < 16:
        sample = block(torch.randperm(options.passages)[:SHARD].tolist(), options.width)
        codec = ResidualCodec.learn(sample, options.bits, vectors=options.passages * TOKENS)
        save_cached(codec.tensors(), folder / "codec.safetensors")
        found |= {"centroids": len(codec.centroids), "cosine": round(codec.cosine, 4)}
    for number, start in enumerate(range(0, options.passages, SHARD)):
        count = min(SHARD, options.passages - start)
        vectors = block(range(start, start + count), options.width).half()
        tensors = {"offsets": torch.arange(0, count * TOKENS + 1, TOKENS)}
        if codec is None:
            tensors["vectors"] = vectors
        else:
            tensors["codes"], tensors["residuals"] = codec.encode(vectors)
        if error := save_cached(tensors, folder / f"shard-{number:05}.safetensors"):
            raise SystemExit(f"{folder}: {error}")
    found["disk_gib"] = round(sum(path.stat().st_size for path in folder.iterdir()) / 2**30, 2)


def search(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Search with all queries at once."""
    stored = opened(options)
    asked, gold = queries(options.queries, options.query_tokens, len(stored), stored.width)
    scoring = SCORINGS[options.scoring]
    settings = {name: SETTINGS[name] for name in scoring.settings}
    with watched(found):
        result = scoring.resolve_search()(asked, stored, 100, gold, **settings)
    ranks = result.ranks[:, 0]
    found |= {"passages": len(stored), "queries_per_second": round(options.queries / found["seconds"], 2)}
    reciprocal = torch.where((ranks > 0) & (ranks <= 10), 1 / ranks.clamp(min=1), 0.0)
    found |= {"gold_first": float((ranks == 1).float().mean()), "mrr_10": round(float(reciprocal.mean()), 4)}
    if options.keep:
        save_file({"found": result.indices}, str(options.keep))
    if options.compare:
        exact = load_file(str(options.compare))["found"]
        shared = [len({*a} & {*b}) for a, b in zip(result.indices.tolist(), exact.tolist(), strict=True)]
        found["share_of_exact_100"] = round(sum(shared) / exact.numel(), 4)


def first(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Open the pool and ask one query."""
    asked, _ = queries(1, options.query_tokens, options.passages, options.width)
    with watched(found):
        stored = opened(options)
        search_one = SingleSearch(stored)
        search_one.search(asked.vectors, 10)
    again: dict[str, Any] = {}
    with watched(again):
        search_one.search(asked.vectors, 10)
    found |= {"second_query": {name: again[name] for name in ("seconds", "cpu_seconds")}}


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=["write", "search", "first"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--bits", type=int, default=16, choices=[16, 4, 2])
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--query-tokens", type=int, default=16)
    parser.add_argument("--scoring", default="maxsim")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="file for the documents found, to compare with later")
    parser.add_argument("--compare", type=Path, help="file that --keep wrote with exact search")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found: dict[str, Any] = {"part": options.part, "bits": options.bits, "scoring": options.scoring}
    {"write": write, "search": search, "first": first}[options.part](options, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
