"""Compare MaxSim search and batch scores with a plain padded einsum, in one process.

Run as ``python benchmarks/maxsim.py [--documents N] [--queries N] [--threads N]``. Texts have the length of
short sentences (16 tokens, Poisson). A token's vector is the sum of a random vector for one of 2,000 words
and one for one of 300 subjects, so that some documents score clearly higher, as with a real encoder (the
standard deviation of the scores is .03; on TICO-19 it is .08). Times are processor times, so other processes
have little influence; a ratio above one means that our code is faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from engine.retrieval.maxsim import find_maxsim, maxsim_scores
from engine.retrieval.tokens import TokenStore
from engine.retrieval.topk import top_k


def texts(count: int, words: Tensor, subjects: Tensor, generator: torch.Generator) -> TokenStore:
    lengths = torch.poisson(torch.full((count,), 16.0), generator=generator).long().clamp(2, 64)
    word = torch.randint(0, len(words), (int(lengths.sum()),), generator=generator)
    subject = torch.randint(0, len(subjects), (count,), generator=generator).repeat_interleave(lengths)
    vectors = normalize(words[word] + 0.6 * subjects[subject], dim=-1)
    offsets = torch.zeros(count + 1, dtype=torch.int64)
    torch.cumsum(lengths, 0, out=offsets[1:])
    return TokenStore(vectors, offsets)


def padded_search(
    queries: TokenStore, documents: TokenStore, k: int, block: int = 4096
) -> tuple[Tensor, Tensor]:
    """Search in the simplest way: pad, einsum, mask, max, mean, sort."""
    tokens, mask = queries.padded()
    scores = []
    for start in range(0, len(documents), block):
        part, kept = documents.select(torch.arange(start, min(start + block, len(documents)))).padded()
        columns = []
        for query, own in zip(tokens, mask, strict=True):
            products = torch.einsum("qh,mdh->mqd", query[own], part)
            products = products.masked_fill(~kept[:, None], -torch.inf)
            columns.append(products.amax(-1).mean(-1))
        scores.append(torch.stack(columns))
    return top_k(torch.cat(scores, 1), k)


def einsum_scores(queries: Tensor, query_mask: Tensor, documents: Tensor, document_mask: Tensor) -> Tensor:
    products = torch.einsum("nqh,mdh->nmqd", queries, documents)
    best = products.masked_fill(~document_mask[None, :, None], -torch.inf).amax(-1)
    return best.masked_fill(~query_mask[:, None], 0.0).sum(-1) / query_mask.sum(1)[:, None]


def seconds(work: Callable[[], object], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def peak(work: Callable[[], object]) -> float:
    """Return the growth of the process's peak memory in MiB (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _kib("VmRSS")
    work()
    return (_kib("VmHWM") - before) / 1024


def _kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    words, subjects = (normalize(torch.randn(n, 384, generator=generator), dim=-1) for n in (2000, 300))
    documents = texts(options.documents, words, subjects, generator)
    queries = texts(options.queries, words, subjects, generator)
    wanted = torch.zeros(len(queries), 0, dtype=torch.int64)

    print(f"search: {len(queries)} queries, {len(documents):,} documents, {len(documents.vectors):,} tokens")
    systems: dict[str, Callable[[], object]] = {
        "padded einsum": lambda: padded_search(queries, documents, 100),
        "fp32 blocks": lambda: find_maxsim(queries, documents, 100, wanted, screen=False),
        "bf16 screening": lambda: find_maxsim(queries, documents, 100, wanted, screen=True),
    }
    report(systems, repeats=2)

    sides = [store.select(torch.arange(32)).padded() for store in (queries, documents)]
    (query, query_mask), (document, document_mask) = sides
    query.requires_grad_()
    document.requires_grad_()
    print("\nscores of a batch of 32 x 32, forward and backward")
    report(
        {
            "padded einsum": lambda: (
                einsum_scores(query, query_mask, document, document_mask).sum().backward()
            ),
            "maxsim_scores": lambda: (
                maxsim_scores(query, query_mask, document, document_mask).sum().backward()
            ),
        },
        repeats=5,
    )


def report(systems: dict[str, Callable[[], object]], repeats: int) -> None:
    times = {name: seconds(work, repeats) for name, work in systems.items()}
    first = next(iter(times.values()))
    for name, work in systems.items():
        print(f"{name:16} {times[name]:8.3f} s   x{first / times[name]:<6.2f} peak +{peak(work):,.0f} MiB")


if __name__ == "__main__":
    main()
