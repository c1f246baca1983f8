"""Compare searches in two stages, and quantised vectors, with exact MaxSim on questions of AfriQA or XQuAD-R.

    OPTICAL_DATA=../shared/data python benchmarks/growth/first_stages.py RUN_FOLDER [--collection lareqa]

RUN_FOLDER is the folder of a finished run whose encoders are used, such as a zero-shot evaluation of
multilingual-e5-small on AfriQA. The pool is AfriQA's English passages, or XQuAD-R's sentences of all its
languages, and, as distractors, the English sentences of TICO-19 and NTREX-128. AfriQA's questions are asked
in Hausa, Igbo and Swahili, and with ``--english`` also in their English translations, for which E5 is good;
those of XQuAD-R in its languages. Prints a row for each search: nDCG@10, its ratio to that of exact MaxSim,
the share of the exact first hundred that was found, and seconds of CPU, in which an index is made, too.
``--products`` makes MUVERA's lists as for a large pool, with one byte for eight numbers of an encoding
instead of one each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.collections.base import Collection, Document
from engine.collections.human_translations import human_translations
from engine.collections.load import load_collections
from engine.config import CollectionConfig
from engine.evaluation.finished_run import encoders_config_of, saved_encoders
from engine.evaluation.runner import document_texts
from engine.evaluation.scores import Scores, evaluate_collection
from engine.extensions.scorings import SCORINGS
from engine.results.run_folder import RunFolder
from engine.retrieval import muvera
from engine.retrieval.residual import ResidualCodec
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import vectors, vectors_folder
from engine.training.precision import precision_of

LANGUAGES = ["ha", "ig", "sw"]


def searches(chosen: Sequence[str], candidates: Sequence[int]) -> list[tuple[str, int, dict[str, Any]]]:
    """Return the scoring, the bits and the settings of each search."""
    found: list[tuple[str, int, dict[str, Any]]] = [("maxsim", bits, {}) for bits in (16, 4, 2)]
    for name in chosen:
        settings = [{}] if name == "dense" else [{"candidates": count} for count in sorted(candidates)]
        found += [(name, 16, one) for one in settings]
    return found


def pool(name: str, limit: int | None, every: int) -> tuple[Collection, Collection, CollectionConfig]:
    """Return the questions of a collection in a pool with distractors, and in their own pool."""
    chosen: dict[str, Any] = {"split": "test", "languages": LANGUAGES} if name == "afriqa" else {}
    entry = CollectionConfig.model_validate({"name": name, **chosen})
    collection = load_collections(entry, 0)[0]
    others = [
        {"name": "bitext", "bitext": [{"path": "tico-19/all.en-sw.tmx.zip", "language": "sw"}]},
        {"name": "ntrex", "languages": ["sw"], "directions": ["xx-en"]},
    ]
    distractors: list[Document] = []
    for settings in others:
        found = load_collections(CollectionConfig.model_validate(settings), 0)
        english = next(one for one in found if one.direction == "xx-en")
        distractors += [replace(one, id=f"{settings['name']} {one.id}") for one in english.documents]
    collection = replace(collection, queries=collection.queries[::every])
    documents = (*collection.documents, *distractors[:limit])
    return replace(collection, documents=documents, measures=("nDCG@10",)), collection, entry


def found_pairs(scores: Scores) -> set[tuple[str, str]]:
    """Return the found pairs of query and document."""
    rows = zip(scores.ranking.query_ids, scores.ranking.document_ids, strict=True)
    return {(query, document) for query, documents in rows for document in documents}


def forms(store: TokenStore, wanted: Sequence[int]) -> dict[int, tuple[TokenStore, str]]:
    """Return the token vectors in 16 bits and in those that are wanted, with their mean cosine."""
    found = {16: (store, "")}
    generator = torch.Generator().manual_seed(0)
    sample = store.vectors[torch.randperm(len(store.vectors), generator=generator)[: 1 << 18]]
    for bits in [bits for bits in wanted if bits < 16]:
        codec = ResidualCodec.learn(sample, bits, vectors=len(store.vectors))
        decoded = TokenStore(codec.decode(*codec.encode(store.vectors)), store.offsets)
        found[bits] = decoded, f"{codec.cosine:.4f}"
    return found


def compare(
    collection: Collection,
    asked: dict[Any, Any],
    sentences: Tensor,
    tokens: dict[int, tuple[TokenStore, str]],
    title: str,
    planned: list[tuple[str, int, dict[str, Any]]],
) -> None:
    """Print the rows for encoded questions."""
    exact: Scores | None = None
    for name, bits, settings in planned:
        if bits not in tokens:
            continue
        store, cosine = tokens[bits]
        kind = SCORINGS[name].compares
        start = time.process_time()
        scores = evaluate_collection(
            collection,
            asked[kind],
            store if kind == "tokens" else sentences,
            scoring=name,
            first=(asked["sentences"], sentences),
            **settings,
        )
        seconds = time.process_time() - start
        exact = exact or scores
        ratio = scores.macro("nDCG@10") / exact.macro("nDCG@10")
        shared = len(found_pairs(exact) & found_pairs(scores)) / len(found_pairs(exact))
        cells = [title, name, bits, settings.get("candidates", ""), f"{scores.macro('nDCG@10'):.4f}"]
        cells += [f"{ratio:.4f}", f"{shared:.4f}", f"{seconds:.1f}", cosine]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--collection", default="afriqa", choices=["afriqa", "lareqa"])
    parser.add_argument("--english", action="store_true", help="ask AfriQA's questions in English, too")
    parser.add_argument("--products", action="store_true")
    parser.add_argument("--scorings", nargs="*", default=["dense", "maxsim-ivf", "maxsim-muvera"])
    parser.add_argument("--candidates", type=int, nargs="*", default=[100, 300, 1000])
    parser.add_argument("--questions", type=int, default=1, help="use every Nth question")
    parser.add_argument("--distractors", type=int, help="at most this many")
    parser.add_argument("--bits", type=int, nargs="*", default=[4, 2], choices=[16, 4, 2])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    collection, own, entry = pool(options.collection, options.distractors, options.questions)
    if options.products:
        muvera._MANY = 0
    run = RunFolder.open(options.run)
    asking, answering = (saved.load() for saved in saved_encoders(run))
    precision = precision_of(encoders_config_of(run), torch.device("cpu"))
    kinds: Any = ["tokens", "sentences"]
    print(f"{len(collection.queries):,} questions, {len(collection.documents):,} documents, {precision}")
    texts = document_texts(collection, context=False)
    encoded: list[dict[Any, Any]] = [
        vectors(answering, part, "passage", kinds, precision=precision, cache=vectors_folder())
        for part in (texts[: len(own.documents)], texts[len(own.documents) :])
        if part
    ]
    sentences = torch.cat([part["sentences"] for part in encoded])
    tokens = forms(TokenStore.concatenate([part["tokens"] for part in encoded]), options.bits)
    columns = ("questions", "scoring", "bits", "candidates", "nDCG@10", "ratio", "of the first 100", "CPU s")
    print("| " + " | ".join((*columns, "cosine")) + " |\n|" + "---|" * (len(columns) + 1), flush=True)
    questions = [("own language", [query.text for query in collection.queries])]
    if options.english:
        questions.append(("English", human_translations(collection, entry, "en", 0)))
    planned = searches(options.scorings, options.candidates)
    for title, asked in questions:
        found: dict[Any, Any] = vectors(asking, asked, "query", kinds, precision=precision)
        compare(collection, found, sentences, tokens, title, planned)


if __name__ == "__main__":
    main()
