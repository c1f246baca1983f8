"""Measure the first answer of a process that was just started, from a large pool that was encoded before.

    OPTICAL_CACHE=FOLDER/cache python benchmarks/growth/cold.py make FOLDER --passages 100000
    OPTICAL_CACHE=FOLDER/cache python benchmarks/growth/cold.py ask FOLDER --scoring maxsim

`make` writes a collection of passages of 128 random word pieces, a random encoder of width 128 with one layer
and the tokenizer of multilingual-e5-small, and evaluates it with ``maxsim`` and with ``maxsim-muvera``, as
two runs. So everything is as for a run of a user, except that the vectors mean nothing: those of the passages
are drawn, not computed, unless ``--encode`` is given. `ask` starts the
process that Ask uses (``optical-workbench serve``), sends it one query twice, and prints when each message
came: seconds, and CPU seconds of the process with its memory. Before, the pool's files are dropped from the
system's file cache (``--kept`` leaves them there). The process has one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from engine.paths import cache_home

TOKENS, WIDTH, QUERIES = 128, 128, 8
RUN = """kind = "evaluate"
name = "{scoring}"

[encoder]
checkpoint = "{folder}/encoder"
passage_prefix = ""
query_prefix = ""
passage_length = {length}
query_length = {length}
centring = false

[evaluation]
scoring = ["{scoring}"]
documents = "student"
token_bits = {bits}

[[collections]]
name = "folder"
path = "{folder}/collection"
languages = ["sw"]
document_languages = ["en"]
"""


def pieces(count: int, size: int, seed: int) -> list[str]:
    """Return texts of `size` random word pieces."""
    from engine.config import EncoderConfig
    from engine.encoders.encoder import Encoder

    tokenizer = Encoder.load(EncoderConfig()).tokenizer
    words = [piece[1:] for piece in tokenizer.get_vocab() if piece[1:].isalpha() and piece[0] == "▁"]
    words = sorted(word for word in words if word.isascii() and len(tokenizer.tokenize(word)) == 1)
    generator = random.Random(seed)
    return [" ".join(generator.choices(words, k=size)) for _ in range(count)]


def make(options: argparse.Namespace) -> None:
    """Write the collection and the encoder, and evaluate it."""
    import torch
    from transformers import BertConfig, BertModel

    from engine.config import EncoderConfig, parse_config
    from engine.encoders.encoder import Encoder
    from engine.retrieval.vectors import SHARD, _Cached
    from engine.runs.execute import execute

    encode = _Cached._encode

    def drawn(cached: Any, texts: Sequence[str], kinds: Any) -> Any:
        if len(texts) != SHARD and len(texts) < QUERIES * 2:
            return encode(cached, texts, kinds)
        vectors = torch.nn.functional.normalize(torch.randn(len(texts) * TOKENS, WIDTH), dim=1).half()
        return {"tokens": {"vectors": vectors, "offsets": torch.arange(0, len(vectors) + 1, TOKENS)}}

    folder: Path = options.folder.absolute()
    collection = folder / "collection"
    collection.mkdir(parents=True, exist_ok=True)
    passages = pieces(options.passages, TOKENS, 0)
    (collection / "documents.tsv").write_text("".join(f"d{i}\t{one}\n" for i, one in enumerate(passages)))
    topics = [" ".join(passages[i].split()[:32]) for i in range(QUERIES)]
    (collection / "topics.tsv").write_text("".join(f"q{i}\t{one}\n" for i, one in enumerate(topics)))
    (collection / "qrels.tsv").write_text("".join(f"q{i}\t0\td{i}\t1\n" for i in range(QUERIES)))
    tokenizer = Encoder.load(EncoderConfig()).tokenizer
    config = BertConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    torch.manual_seed(0)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    for scoring in options.scoring:
        text = RUN.format(scoring=scoring, folder=folder, length=TOKENS + 2, bits=options.bits)
        if not options.encode:
            _Cached._encode = drawn  # type: ignore[method-assign]
        start, cpu = time.perf_counter(), time.process_time()
        execute(parse_config(tomllib.loads(text)), folder / "runs", sys.argv)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(f"{scoring}: {seconds:.1f} s, {cpu:.1f} s of CPU", flush=True)


def ask(options: argparse.Namespace) -> None:
    """Start the process, and print when each of its messages came."""
    topic = (options.folder / "collection" / "topics.tsv").read_text().splitlines()[1].split("\t")[1]
    text = " ".join(topic.split()[: options.tokens])
    if not options.kept:
        for path in (cache_home() / "vectors").glob("*.safetensors"):
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    (scoring,) = options.scoring
    runs = sorted((options.folder.absolute() / "runs").glob(f"*-{scoring}-????"))
    if not runs:
        raise SystemExit(f"{options.folder} has no run {scoring!r}; make it first")
    place = {"results": str(options.folder.absolute() / "results.duckdb"), "run": runs[-1].name}
    request = {"op": "search", "language": "sw", **place}
    start = time.perf_counter()
    serve = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert serve.stdin is not None and serve.stdout is not None
    process, said = psutil.Process(serve.pid), ""
    for number in (1, 2):
        print(json.dumps({**request, "id": number, "text": text}), file=serve.stdin, flush=True)
        for line in serve.stdout:
            reply = json.loads(line)
            if reply.get("progress") == said and "progress" in reply:
                continue
            said = reply.get("progress", "")
            cpu, memory = process.cpu_times(), process.memory_full_info()
            message = (
                said or reply.get("error") or f"answer {number}: {reply['result']['seconds']:.2f} s of it"
            )
            print(
                f"{time.perf_counter() - start:7.2f} s {cpu.user + cpu.system:7.2f} s of CPU "
                f"{memory.rss / 2**20:6.0f} MiB ({memory.shared / 2**20:.0f} MiB of files)  {message}",
                flush=True,
            )
            if "progress" not in reply:
                break
    serve.stdin.close()
    serve.wait()


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=["make", "ask"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--bits", type=int, default=16, choices=[16, 4, 2])
    parser.add_argument("--scoring", nargs="+", default=["maxsim", "maxsim-muvera"])
    parser.add_argument("--tokens", type=int, default=32, help="of the query, at most 32")
    parser.add_argument("--encode", action="store_true")
    parser.add_argument("--kept", action="store_true")
    options = parser.parse_args()
    {"make": make, "ask": ask}[options.part](options)


if __name__ == "__main__":
    main()
