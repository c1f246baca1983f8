"""A run that searches by words, their translations or characters, without an encoder."""

from __future__ import annotations

from functools import partial
from typing import Any

from engine.collections.load import load_collections
from engine.config import LexicalConfig
from engine.evaluation.runner import announce, document_texts, store_scores, stored_searches
from engine.evaluation.scores import Scores, score_found
from engine.evaluation.searching import search_collection
from engine.evaluation.word_translations import translations_for
from engine.extensions.scorings import SCORINGS
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.runs.word_translations import learnt_translations


def lexical_run(config: LexicalConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Search every collection, and store and return the scores.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    run.update(device="cpu")
    scoring = SCORINGS[config.method]
    by_words = scoring.resolve_search()
    settings: dict[str, Any] = {name: getattr(config, name) for name in scoring.settings}
    loaded = [
        (collection, entry)
        for entry in config.collections
        for collection in load_collections(entry, config.seed)
    ]
    collections = [collection for collection, _ in loaded]
    announce(collections, config.depth, run, reporter)
    tables = learnt_translations(config, collections, run, reporter) if scoring.translations else {}
    done = stored_searches(run)
    results = []
    for collection, entry in loaded[done:]:
        reporter.stage(f"{collection.name}, {'/'.join(collection.query_languages[:4])}, {config.method}", 1)
        texts = [query.text for query in collection.queries]
        if scoring.translations:
            settings["translations"] = [
                translations_for(tables, query.language, collection) for query in collection.queries
            ]
        search = partial(by_words, texts, document_texts(collection, context=entry.context), **settings)
        found = search_collection(collection, search, config.depth)
        scores = score_found(collection, found, scoring=config.method)
        reporter.advance()
        results.append(scores)
        store_scores(scores, run)
    return results
