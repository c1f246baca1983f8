"""Read a million candidates in the format of Mewsli-X and search them by sentence vectors, exactly and with
inverted lists.

    python benchmarks/million.py [--candidates N] [--queries N] [--width H]

Texts and vectors are synthetic; the benchmark measures time and memory. The vectors form clusters of about a
hundred with a cosine of .74 inside a cluster. Recall (of the exact first hundred) depends on that. Prints one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

import torch

from engine.collections.mewsli_x import load_mewsli_x
from engine.evaluation.scores import evaluate_collection
from engine.retrieval.inverted import InvertedLists
from engine.retrieval.ranking import Ranking

LANGUAGES = ("ar", "de", "en", "es", "fi", "ja", "pl", "ru", "sw", "tr", "vi", "zh")


def write(folder: Path, candidates: int, queries: int) -> None:
    """Write files in the format of the release; each mention refers to another candidate."""
    generator = random.Random(0)
    words = ["".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(5000)]
    with (folder / "candidate_set_entities.jsonl").open("w") as file:
        for number in range(candidates):
            text = " ".join(generator.choices(words, k=50))  # about 400 characters, as in the release
            entity = {
                "entity_id": f"Q{number}",
                "title": text[:7],
                "description": text,
                "description_language": LANGUAGES[number % len(LANGUAGES)],
                "description_url": "u",
                "sentence_spans": [{"start": 0, "end": len(text)}],
            }
            file.write(json.dumps(entity) + "\n")
    with (folder / "wikinews_mentions-test.jsonl").open("w") as file:
        for number in range(queries):
            surface = words[number % len(words)]
            article = {
                "context": {
                    "document_title": "t",
                    "document_id": f"en-{number}",
                    "document_url": "u",
                    "language": LANGUAGES[number % 5],
                    "text": f"{surface} it is.",
                    "sentence_spans": [{"start": 0, "end": len(surface) + 7}],
                },
                "mentions": [
                    {
                        "example_id": f"m{number}",
                        "mention_span": {"start": 0, "end": len(surface), "text": surface},
                        "entity_id": f"Q{number * (candidates // queries)}",
                    }
                ],
            }
            file.write(json.dumps(article) + "\n")


def megabytes(name: str) -> int:
    """Return this process's memory in MiB: VmRSS is the current value, VmHWM the peak since the reset."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith(f"{name}:"))


def reset_peak_memory() -> None:
    """Reset VmHWM, the peak memory."""
    Path("/proc/self/clear_refs").write_text("5")


def found_pairs(ranking: Ranking) -> set[tuple[str, str]]:
    """Return the found pairs of query and document."""
    rows = zip(ranking.query_ids, ranking.document_ids, strict=True)
    return {(query, document) for query, documents in rows for document in documents}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--width", type=int, default=384)
    arguments = parser.parse_args()
    found = dict(vars(arguments))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), arguments.candidates, arguments.queries)
        before, start = megabytes("VmRSS"), time.perf_counter()
        collection = load_mewsli_x(Path(folder))
        found["read_s"] = round(time.perf_counter() - start, 1)
        found["collection_mb"] = megabytes("VmRSS") - before
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(max(1, arguments.candidates // 100), arguments.width, generator=generator)
    documents = torch.randn(arguments.candidates, arguments.width, generator=generator).mul_(0.6)
    documents += centres[torch.randint(len(centres), (arguments.candidates,), generator=generator)]
    documents /= documents.norm(dim=1, keepdim=True)
    gold = torch.arange(arguments.queries) * (arguments.candidates // arguments.queries)
    noise = torch.randn(arguments.queries, arguments.width, generator=generator) * 0.05
    queries = torch.nn.functional.normalize(documents[gold] + noise)
    found["vectors_mb"] = documents.numel() * 4 >> 20
    reset_peak_memory()
    before, start = megabytes("VmRSS"), time.perf_counter()
    scores = evaluate_collection(collection, queries, documents, scoring="dense")
    seconds = time.perf_counter() - start
    found["search_s"] = round(seconds, 2)
    found["queries_per_s"] = round(arguments.queries / seconds, 1)
    found["search_peak_mb"] = megabytes("VmHWM") - before
    found["mAP@20"] = round(scores.macro("mAP@20"), 3)
    exact = found_pairs(scores.ranking)
    reset_peak_memory()
    before, start = megabytes("VmRSS"), time.perf_counter()
    index = InvertedLists(documents)
    found["lists"], found["lists_s"] = index.lists, round(time.perf_counter() - start, 1)
    found["lists_peak_mb"] = megabytes("VmHWM") - before
    names = [document.id for document in collection.documents]
    asked = [query.id for query in collection.queries]
    for probes in (16, 64, 256):
        start = time.perf_counter()
        some = index.find(queries, 100, gold[:, None], probes=probes)
        seconds = time.perf_counter() - start
        shared = len(exact & found_pairs(Ranking.from_found(some, asked, names)))
        found[f"probes_{probes}"] = {
            "queries_per_s": round(arguments.queries / seconds, 1),
            "recall_of_100": round(shared / len(exact), 3),
            "gold_found": round(float((some.ranks > 0).float().mean()), 3),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
