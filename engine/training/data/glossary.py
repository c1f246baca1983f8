"""Learn the glossary of a run from its bitext."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from engine.bitext.source import draw
from engine.errors import InputError
from engine.lexicon.glossary import Glossary, learn_glossary
from engine.reporting import Reporter
from engine.training.data.prepare import Bitext

MOST_PAIRS = 100_000
"""Pairs of a source that are used; of more, a sample is drawn, because memory grows with their number."""


def glossary_of(bitext: Bitext, seed: int, reporter: Reporter) -> Glossary:
    """Return a glossary from the pairs of a run's bitext that do not overlap with its evaluation.

    Of a source no more pairs are taken than its `limit`, and as often as its `repeat`.

    Raises
    ------
    InputError
        If the bitext has several target languages, or no other language.
    """
    targets = sorted({config.target_language for config in bitext.configs})
    if len(targets) > 1:
        raise InputError(
            f"gloss writes translations in one language, and [[bitext]] has {' and '.join(targets)}; leave "
            "out the sources in the others"
        )
    if all(config.one_language for config in bitext.configs):
        raise InputError("gloss needs [[bitext]] in two languages to learn translations of words from")

    def pairs() -> Iterator[tuple[str, str, str]]:
        for config, found in zip(bitext.configs, bitext.pairs, strict=True):
            most = min(MOST_PAIRS, config.limit or MOST_PAIRS)
            kept = draw(bitext.overlap.without(found), most, seed)
            for pair in chain.from_iterable([kept] * getattr(config, "repeat", 1)):
                yield pair.source_language, pair.source, pair.target

    reporter.stage("glossary", 1)
    target = next(pair.target_language for found in bitext.pairs for pair in found)
    glossary = learn_glossary(pairs(), target)
    reporter.advance()
    words = ", ".join(f"{len(found):,} in {code}" for code, found in glossary.glosses.items())
    reporter.say(f"words with a gloss in {target}: {words}")
    return glossary
