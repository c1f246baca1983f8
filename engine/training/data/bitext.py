"""Read a run's bitext, record what is used of it, and hold out sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from engine.bitext.drops import Drops
from engine.bitext.pairs import Pairs, held_out
from engine.bitext.source import read_source
from engine.config import BitextConfig
from engine.encoders.fitting import evenly_spaced
from engine.errors import InputError
from engine.reporting import SILENT, Reporter

MANY = 50_000
"""Pairs of which a few are taken to fit a mean; of more, only evenly spaced ones are looked at."""


def read_sources(
    sources: Sequence[BitextConfig], reporter: Reporter = SILENT
) -> tuple[list[Pairs], list[Drops]]:
    """Read all `sources` whole; return the pairs of each, and what was dropped of each.

    The limits of the sources are not applied.

    Raises
    ------
    InputError
        If a source is missing, broken or empty.
    """
    read, dropped = [], []
    for source in sources:
        drops = Drops()
        read.append(read_source(source.model_copy(update={"limit": None}), drops=drops, reporter=reporter))
        dropped.append(drops)
    return read, dropped


def bitext_rows(
    sources: Sequence[BitextConfig], used: Sequence[Pairs], dropped: Sequence[Drops]
) -> list[dict[str, Any]]:
    """Return rows of table ``bitext``: the pairs that are `used` of each source, and what was dropped of it.

    The hash is that of the pairs: two runs with the same hash used the same pairs.
    """
    rows = []
    for config, found, drops in zip(sources, used, dropped, strict=True):
        rows.append(
            {
                "name": config.path,
                "source_language": found[0].source_language,
                "target_language": found[0].target_language,
                "pairs": len(found),
                "dropped": json.dumps(drops.counts()),
                "hash": found.hash("source", "target"),
            }
        )
    return rows


def set_aside(pairs: Pairs, count: int) -> tuple[Pairs, Pairs]:
    """Hold out `count` English sentences with their pairs in every language.

    Returns
    -------
    training, held_out : Pairs
        Disjoint in their English sentences.

    Raises
    ------
    InputError
        If some language would have nothing left to train on.
    """
    training, aside = held_out(pairs, count)
    missing = pairs.languages().keys() - training.languages().keys()
    if missing:
        raise InputError(
            f"no pair in {', '.join(sorted(missing))} is left to train on; lower training.held_out"
        )
    return training, aside


def texts_by_language(pairs: Pairs) -> dict[str, Sequence[str]]:
    """Return the distinct texts of both sides by language, at most as many of each as a mean is fitted on.

    Of a language with many pairs, evenly spaced ones are looked at.
    """
    texts: dict[str, dict[str, None]] = {}
    for pair in pairs.spaced_in_each_language(MANY):
        texts.setdefault(pair.source_language, {})[pair.source] = None
        texts.setdefault(pair.target_language, {})[pair.target] = None
    return {code: evenly_spaced(list(found)) for code, found in texts.items()}
