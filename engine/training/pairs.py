"""Read a run's bitext: clean it, set held-out sentences aside, and record what was used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.bitext.pairs import Drops, SentencePair
from engine.bitext.source import read_source
from engine.bitext.split import held_out
from engine.config import BitextConfig
from engine.errors import InputError


@dataclass(frozen=True)
class Pairs:
    """The pairs of a run, disjoint in their English sentences."""

    training: list[SentencePair]
    held_out: list[SentencePair]


def read_sources(sources: Sequence[BitextConfig]) -> tuple[list[list[SentencePair]], list[dict[str, Any]]]:
    """Read all `sources` whole; return the pairs of each, and rows of the ``bitext`` table.

    A row says where pairs came from, what was dropped and why, and has their hash. The sources' limits are
    left to the caller, since a shift can be seen only among neighbours.

    Raises
    ------
    InputError
        If a source is missing, broken or empty.
    """
    read, records = [], []
    for source in sources:
        drops = Drops()
        found = read_source(source.model_copy(update={"limit": None}), drops=drops)
        read.append(found)
        digest = hashlib.blake2b(digest_size=12)
        for pair in found:
            digest.update(f"{pair.source}\t{pair.target}\n".encode())
        records.append(
            {
                "name": source.path,
                "source_language": found[0].source_language,
                "target_language": found[0].target_language,
                "pairs": len(found),
                "dropped": json.dumps(drops.reasons()),
                "hash": digest.hexdigest(),
            }
        )
    return read, records


def set_aside(pairs: Sequence[SentencePair], count: int) -> Pairs:
    """Split off `count` English sentences, with their pairs in every language, for held-out retrieval.

    Raises
    ------
    InputError
        If some language would have nothing left to train on.
    """
    training, aside = held_out(pairs, count)
    missing = {p.source_language for p in pairs} - {p.source_language for p in training}
    if missing:
        raise InputError(
            f"no pair in {', '.join(sorted(missing))} is left to train on; lower training.held_out"
        )
    return Pairs(training, aside)
