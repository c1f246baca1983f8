"""Learn translations of words from a run's bitext, and keep them with the run."""

from __future__ import annotations

from collections.abc import Sequence

from engine.bitext.pairs import Pairs
from engine.bitext.source import draw
from engine.collections.base import Collection
from engine.config import LexicalConfig
from engine.counted import counted
from engine.errors import InputError
from engine.evaluation.word_translations import check_language
from engine.languages import known_code, language
from engine.lexicon.translations import FILE, WordTranslations, learn, load, save
from engine.lexicon.words import plain_words
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.training.data.bitext import bitext_rows
from engine.training.data.overlap import Overlap
from engine.training.data.prepare import read_bitext

MOST_PAIRS = 100_000
"""Pairs of a language that are used; of more, a sample is drawn, because memory grows with their number."""


def learnt_translations(
    config: LexicalConfig, collections: Sequence[Collection], run: RunFolder, reporter: Reporter
) -> dict[str, WordTranslations]:
    """Return the translations of words of each language, by code.

    They are learnt from the run's bitext without pairs that overlap with its collections, and stored in its
    ``checkpoints/``. A run that is resumed reads those that it stored.

    Raises
    ------
    InputError
        If a source is missing or broken, nothing of it is left, or it lacks a language of the queries or the
        documents.
    """
    _check_languages(config, collections)
    path = run.checkpoints / FILE
    if path.exists():
        return load(path)
    read = read_bitext(
        config.bitext,
        config.collections,
        overlap=config.overlap,
        seed=config.seed,
        reporter=reporter,
        setting="overlap",
    )
    used = [
        draw(pairs, source.limit, config.seed)
        for source, pairs in zip(config.bitext, read.overlap.drop(read.pairs, read.drops), strict=True)
    ]
    run.write_table("bitext", bitext_rows(config.bitext, used, read.drops))
    every = Pairs.joined(used)
    tables = {}
    for code, places in every.languages().items():
        pairs = every.select(places)
        kept = draw(pairs, MOST_PAIRS, config.seed)
        reporter.stage(f"translations of words, {code}", 1)
        tables[code] = learn((plain_words(pair.source), plain_words(pair.target)) for pair in kept)
        reporter.advance()
        sample = f", a sample of {len(pairs):,}" if len(kept) < len(pairs) else ""
        reporter.say(
            f"{counted(len(tables[code].rows), 'word')} in {code} translated, from "
            f"{counted(len(kept), 'pair')}{sample}"
        )
        run.update(summary={f"translated_words_{code}": len(tables[code].rows), f"pairs_{code}": len(kept)})
    save(path, tables)
    _mark(read.overlap, used, run)
    return tables


def _mark(overlap: Overlap, used: Sequence[Pairs], run: RunFolder) -> None:
    marks = overlap.marks(used)
    if marks:
        run.write_table("topics", marks, append=True)


def _check_languages(config: LexicalConfig, collections: Sequence[Collection]) -> None:
    sources = {language(source.language).code: None for source in config.bitext}
    target = language(config.bitext[0].target_language).code
    for collection in collections:
        if target not in map(known_code, collection.document_languages):
            raise InputError(
                f"[[bitext]] translates words into {target!r}, and documents of {collection.name!r} are in "
                f"{', '.join(collection.document_languages)}; set its target_language to their language, or "
                "leave the collection out"
            )
        for code in collection.query_languages:
            check_language(sources, code, collection)
