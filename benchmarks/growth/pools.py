"""Measure the search of a pool of token vectors on disk: time, memory, disk, and the first query.

    python benchmarks/growth/pools.py write FOLDER --passages 100000 [--bits 2]
    python benchmarks/growth/pools.py search FOLDER --queries 1000 [--bits 2] [--scoring maxsim-muvera]
    python benchmarks/growth/pools.py first FOLDER [--bits 2] [--scoring maxsim-muvera]
    python benchmarks/growth/pools.py grow FOLDER --sizes 1000 10000 100000 --svg pools.svg

Token vectors are synthetic, 128 for each passage. In 16 bits each is the sum of a random vector for one of
20,000 words, one for one of the passage's subjects, and noise, scaled to unit length. Quantised vectors are
drawn in the form in which they are stored: random centroids of 16,384, and random bits of residuals. The
tokens of a query are near tokens of one passage.

`write` writes the files of the vector cache, `search` searches them with many queries, and `first` opens them
in this process and asks a single query, as Ask does. Each prints one JSON object. ``anon`` is the most
anonymous memory (RssAnon) that was seen, every 20 ms; ``peak`` is the process's maximum resident size
(VmHWM), which includes the mapped pages of files that the system can drop at any time. `grow` does all of
this for pools of several sizes, each part in a process of its own, removes the files, and draws the figures.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
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
from engine.retrieval.stored import Shard, StoredTokens
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import SHARD

TOKENS, WORDS, SUBJECTS, CENTROIDS = 128, 20_000, 500, 1 << 14
QUERIES, QUERY_TOKENS = 1000, 32
SETTINGS = {"probes": 64, "candidates": 1000}


def random_codec(bits: int, width: int) -> ResidualCodec:
    """Return a codec with random centroids, and residuals of a quarter of their length."""
    generator = torch.Generator().manual_seed(0)
    centroids = normalize(torch.randn(CENTROIDS, width, generator=generator))
    values = 0.25 * torch.linspace(-1.5, 1.5, 2**bits) / width**0.5
    return ResidualCodec(centroids, (values[1:] + values[:-1]) / 2, values, 1.0)


def block(number: int, count: int, width: int, codec: ResidualCodec | None) -> dict[str, Tensor]:
    """Return the tensors of a file with the token vectors of `count` passages."""
    generator = torch.Generator().manual_seed(number + 1)
    tensors = {"offsets": torch.arange(0, count * TOKENS + 1, TOKENS)}
    if codec is not None:
        tokens, stored = (count * TOKENS,), (count * TOKENS, width * codec.bits // 8)
        tensors["codes"] = torch.randint(0, CENTROIDS, tokens, generator=generator, dtype=torch.int16)
        tensors["residuals"] = torch.randint(0, 256, stored, generator=generator, dtype=torch.uint8)
        return tensors
    words, subjects = shared(width)
    word = torch.randint(0, WORDS, (count * TOKENS,), generator=generator)
    subject = torch.randint(0, SUBJECTS, (count,), generator=generator).repeat_interleave(TOKENS)
    noise = torch.randn(count * TOKENS, width, generator=generator) / width**0.5
    tensors["vectors"] = normalize(words[word] + 0.5 * (subjects[subject] + noise), dim=1).half()
    return tensors


@cache
def shared(width: int) -> tuple[Tensor, Tensor]:
    """Return the vectors of words and of subjects."""
    generator = torch.Generator().manual_seed(0)
    words = normalize(torch.randn(WORDS, width, generator=generator))
    return words, normalize(torch.randn(SUBJECTS, width, generator=generator))


def write_queries(stored: StoredTokens, path: Path) -> None:
    """Write queries whose tokens are near tokens of one passage each, and these passages."""
    generator = torch.Generator().manual_seed(7)
    gold = torch.randint(0, len(stored), (QUERIES,), generator=generator)
    found = stored.select(gold).vectors.view(QUERIES, TOKENS, stored.width).float()
    chosen = found[:, torch.randperm(TOKENS, generator=generator)[:QUERY_TOKENS]]
    noise = torch.randn(chosen.shape, generator=generator) / stored.width**0.5
    save_file({"queries": normalize(chosen + 1.2 * noise, dim=2), "gold": gold}, str(path))


def queries(options: argparse.Namespace, count: int) -> tuple[TokenStore, Tensor]:
    """Return `count` queries, and the passage of each, (count, 1)."""
    found = load_file(str(folder_of(options) / "queries"))
    tokens = found["queries"][:count, : options.query_tokens]
    offsets = torch.arange(0, count * options.query_tokens + 1, options.query_tokens)
    return TokenStore(tokens.flatten(0, 1), offsets), found["gold"][:count, None]


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
        codec = random_codec(options.bits, options.width)
        save_cached(codec.tensors(), folder / "codec.safetensors")
    for number, start in enumerate(range(0, options.passages, SHARD)):
        tensors = block(number, min(SHARD, options.passages - start), options.width, codec)
        if error := save_cached(tensors, folder / f"shard-{number:05}.safetensors"):
            raise SystemExit(f"{folder}: {error}")
    write_queries(opened(options), folder / "queries")
    found["disk_gib"] = disk(folder, "shard-*")


def disk(folder: Path, files: str) -> float:
    """Return the size of files in GiB."""
    return round(sum(path.stat().st_size for path in folder.glob(files)) / 2**30, 3)


def search(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Search with all queries at once."""
    stored = opened(options)
    asked, gold = queries(options, options.queries)
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
    scoring = SCORINGS[options.scoring]
    asked, gold = queries(options, 1)
    with watched(found):
        stored = opened(options)
        settings = {name: SETTINGS[name] for name in scoring.settings}
        search_one = scoring.resolve_prepare()(stored, **settings)
        _, best = search_one.search(asked.vectors, 10)
    found |= {"passages": len(stored), "gold_first": int(best[0]) == int(gold)}
    if not options.once:
        again: dict[str, Any] = {}
        with watched(again):
            search_one.search(asked.vectors, 10)
        found |= {"second_query": {name: again[name] for name in ("seconds", "cpu_seconds")}}
    found |= {"index_gib": disk(folder_of(options), "muvera-*")}


def grow(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Measure pools of several sizes, and draw the figures."""
    rows: list[dict[str, Any]] = []
    for passages in options.sizes:
        here = options.folder / str(passages)
        own = [str(here), "--bits", str(options.bits), "--passages", str(passages)]
        own += ["--query-tokens", str(options.query_tokens)]
        parts = [["write"], ["first", "--once"]]
        if passages <= options.muvera_until:
            parts += [["first", "--once", "--scoring", "maxsim-muvera"]] * 2  # makes the lists, and maps them
        for part in parts:
            command = [sys.executable, __file__, *part, *own]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            print(done.stdout, end="", flush=True)
            rows.append({"passages": passages, **json.loads(done.stdout)})
        shutil.rmtree(here)
    if options.svg:
        draw(rows, options.svg)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw CPU seconds, memory and disk against the number of passages."""
    from matplotlib.figure import Figure

    def points(part: str, scoring: str, name: str, place: int = 0) -> tuple[list[int], list[float]]:
        chosen = [row for row in rows if (row["part"], row["scoring"]) == (part, scoring)]
        sizes = sorted({row["passages"] for row in chosen})
        found = [[row[name] for row in chosen if row["passages"] == size] for size in sizes]
        return sizes, [values[place] for values in found]

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    lines: list[tuple[str, str, list[tuple[str, tuple[list[int], list[float]]]]]] = [
        (
            "CPU time",
            "seconds",
            [
                ("first query, maxsim", points("first", "maxsim", "cpu_seconds")),
                ("making MUVERA's lists", points("first", "maxsim-muvera", "cpu_seconds")),
                ("first query, maxsim-muvera", points("first", "maxsim-muvera", "cpu_seconds", -1)),
            ],
        ),
        (
            "resident memory (peak)",
            "MiB",
            [
                ("first query, maxsim", points("first", "maxsim", "peak_mib")),
                ("making MUVERA's lists", points("first", "maxsim-muvera", "peak_mib")),
                ("first query, maxsim-muvera", points("first", "maxsim-muvera", "peak_mib", -1)),
            ],
        ),
        (
            "disk",
            "GiB",
            [
                ("token vectors", points("write", "maxsim", "disk_gib")),
                ("MUVERA's lists", points("first", "maxsim-muvera", "index_gib", -1)),
            ],
        ),
    ]
    for axes, (title, unit, curves) in zip(figure.subplots(1, len(lines)), lines, strict=True):
        for label, (sizes, values) in curves:
            axes.loglog(sizes, values, marker="o", label=label)
        axes.set(title=title, xlabel="passages", ylabel=unit)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=["write", "search", "first", "grow"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--bits", type=int, default=16, choices=[16, 4, 2])
    parser.add_argument("--queries", type=int, default=QUERIES, help=f"at most {QUERIES}")
    parser.add_argument("--query-tokens", type=int, default=16, help=f"at most {QUERY_TOKENS}")
    parser.add_argument("--scoring", default="maxsim")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--muvera-until", type=int, default=100_000, help="passages")
    parser.add_argument("--once", action="store_true", help="ask a single query only once")
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--keep", type=Path, help="file for the documents found, to compare with later")
    parser.add_argument("--compare", type=Path, help="file that --keep wrote with exact search")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found: dict[str, Any] = {"part": options.part, "bits": options.bits, "scoring": options.scoring}
    {"write": write, "search": search, "first": first, "grow": grow}[options.part](options, found)
    if options.part != "grow":
        print(json.dumps(found))


if __name__ == "__main__":
    main()
