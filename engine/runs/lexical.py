"""A run that searches by words or characters, without an encoder."""

from __future__ import annotations

from collections.abc import Sequence

from engine.collections.load import load_collections
from engine.config import LexicalConfig
from engine.evaluation.runner import announce, document_texts, searched, store_scores
from engine.evaluation.scores import Scores, relevant_documents, score_found
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.lexical import SparseTexts, bm25, find_lexical, tfidf


def lexical_run(config: LexicalConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Search every collection and store what comes out, as an evaluation of encoders does.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    run.update(device="cpu")
    loaded = [
        (collection, entry)
        for entry in config.collections
        for collection in load_collections(entry, config.seed)
    ]
    announce([collection for collection, _ in loaded], config.depth, run, reporter)
    done = searched(run)
    results = []
    for collection, entry in loaded[done:]:
        reporter.stage(f"{collection.name}, {'/'.join(collection.query_languages[:4])}, {config.method}", 1)
        texts = sparse_texts(
            config,
            [query.text for query in collection.queries],
            document_texts(collection, context=entry.context),
        )
        found = find_lexical(texts, config.depth, relevant_documents(collection))
        scores = score_found(collection, found, scoring=config.method)
        reporter.advance()
        results.append(scores)
        store_scores(scores, run)
    return results


def sparse_texts(config: LexicalConfig, queries: Sequence[str], documents: Sequence[str]) -> SparseTexts:
    """Return `queries` and `documents` as the method that `config` names compares them."""
    if config.method == "bm25":
        return bm25(queries, documents, k1=config.k1, b=config.b)
    return tfidf(
        queries, documents, shortest=config.shortest, longest=config.longest, sublinear=config.sublinear
    )
