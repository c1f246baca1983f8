"""Prepare the bitext of a run: read, remove overlap with the evaluation, realign, draw, hold out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.bitext.drops import Drops
from engine.bitext.pairs import DistinctTexts, Pairs
from engine.bitext.source import draw
from engine.config import BitextConfig, CollectionConfig
from engine.counted import counted
from engine.errors import InputError
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.training.data.alignment import Aligner
from engine.training.data.bitext import MANY, bitext_rows, read_sources, set_aside
from engine.training.data.overlap import Overlap


@dataclass(frozen=True)
class Bitext:
    """The bitext of a run as it was read.

    Attributes
    ----------
    configs : sequence of BitextConfig
        Its sources.
    pairs : list of Pairs
        The pairs of each source, in the order of its file.
    drops : list of Drops
        What was dropped of each source.
    overlap : Overlap
        Which pairs overlap with the evaluation.
    """

    configs: Sequence[BitextConfig]
    pairs: list[Pairs]
    drops: list[Drops]
    overlap: Overlap

    def clean(self, seed: int) -> Pairs:
        """Return the pairs without overlap, of each source at most its `limit`, drawn with `seed`."""
        return Pairs.joined(
            [
                draw(self.overlap.without(pairs), config.limit, seed)
                for config, pairs in zip(self.configs, self.pairs, strict=True)
            ]
        )

    def texts(self, seed: int) -> tuple[Sequence[str], Sequence[str]]:
        """Return the distinct English sentences and the other ones of the pairs of `clean`.

        The other sentences are those of evenly spaced pairs, if there are more than `MANY`.
        """
        clean = self.clean(seed)
        return DistinctTexts(clean), list(dict.fromkeys(clean.spaced(MANY).texts("source")))


@dataclass(frozen=True)
class PreparedBitext:
    """The bitext that a run trains on.

    Attributes
    ----------
    training, held_out : Pairs
        Pairs, disjoint in their English sentences.
    english : DistinctTexts
        Distinct English sentences of all pairs, those of training pairs first; its `rows` are those of the
        training pairs and then of those held out.
    in_training : int
        Number of English sentences of training pairs.
    rows : list of dict
        Rows of table ``bitext``, one for each source.
    realigned : dict of str to int
        Number of pairs in a language that were realigned.
    marks : list of dict
        Rows of table ``topics``: which evaluation questions share nothing with the pairs.
    """

    training: Pairs
    held_out: Pairs
    english: DistinctTexts
    in_training: int
    rows: list[dict[str, Any]]
    realigned: dict[str, int]
    marks: list[dict[str, str]] = field(default_factory=list)

    @property
    def hashes(self) -> list[str]:
        """A hash of the pairs of each source."""
        return [str(row["hash"]) for row in self.rows]

    def record(self, run: RunFolder) -> None:
        """Write what was used and realigned to the run folder."""
        run.write_table("bitext", self.rows)
        if self.marks:
            run.write_table("topics", self.marks, append=True)
        if self.realigned:
            run.update(summary={f"realigned_{code}": count for code, count in self.realigned.items()})


def read_bitext(
    configs: Sequence[BitextConfig],
    collections: Sequence[CollectionConfig],
    *,
    overlap: str,
    seed: int,
    reporter: Reporter,
    setting: str | None = "training.overlap",
) -> Bitext:
    """Read the sources of a run whole and look up which pairs overlap with its evaluation.

    Parameters
    ----------
    configs : sequence of BitextConfig
        The sources. Their limits are applied by `prepare`, because a shift shows only between neighbours.
    collections : sequence of CollectionConfig
        What the run is evaluated on.
    overlap : str
        ``drop`` or ``keep``: with ``keep`` no pair overlaps.
    seed : int
        The run's seed, by which collections are drawn.
    reporter : Reporter
        Receives progress.
    setting : str or None
        The name of the setting `overlap`, for messages; None if there is none.

    Raises
    ------
    InputError
        If a source or a collection is missing or broken, or all pairs of a source overlap.
    """
    pairs, drops = read_sources(configs, reporter)
    drop = overlap == "drop"
    found = Overlap(
        configs,
        pairs,
        collections if drop else [],
        seed,
        reporter,
        asked=None if drop else collections,
        setting=setting,
    )
    return Bitext(configs, pairs, drops, found)


def prepare(
    bitext: Bitext,
    *,
    aligner: Aligner | None,
    held_out: int,
    seed: int,
    reporter: Reporter,
    longest_target: int | None = None,
    longest_source: int | None = None,
) -> PreparedBitext:
    """Return the pairs that a run trains on and those that it holds out.

    Parameters
    ----------
    bitext : Bitext
        What `read_bitext` returned.
    aligner : Aligner, optional
        Finds and undoes shifts of lines; None leaves the pairs as they are.
    held_out : int
        English sentences to hold out with all their pairs.
    seed : int
        The run's seed, by which each source's `limit` of pairs is drawn.
    reporter : Reporter
        Receives progress.
    longest_target, longest_source : int, optional
        Pairs with a longer side, in characters, are dropped after the alignment, which compares neighbours.

    Raises
    ------
    InputError
        If nothing of a source or of a language is left to train on.
    """
    sources, realigned = bitext.pairs, dict[str, int]()
    if aligner is not None:
        sources = []
        for config, pairs in zip(bitext.configs, bitext.pairs, strict=True):
            moved = 0
            if not config.one_language:
                pairs, moved = aligner.repair(pairs, reporter)
            if moved:
                realigned[pairs[0].source_language] = moved
            sources.append(pairs)
    # after the alignment, which compares neighbours
    drops = copy.deepcopy(bitext.drops)
    sources = bitext.overlap.drop(sources, drops)
    sources = [
        _short_enough(config, pairs, dropped, longest_target, longest_source)
        for config, pairs, dropped in zip(bitext.configs, sources, drops, strict=True)
    ]
    sources = [draw(pairs, config.limit, seed) for config, pairs in zip(bitext.configs, sources, strict=True)]
    rows = bitext_rows(bitext.configs, sources, drops)
    repeats = [getattr(config, "repeat", 1) for config in bitext.configs]
    repeated = [
        pairs.select(np.repeat(np.arange(len(pairs)), n)) if n > 1 else pairs
        for n, pairs in zip(repeats, sources, strict=True)
    ]
    training, aside = set_aside(Pairs.joined(repeated), held_out)
    aside = aside.once()
    english = DistinctTexts(Pairs.joined([training, aside]))
    in_training = 1 + int(english.rows[: len(training)].max())
    reporter.say(
        f"{counted(len(training), 'training pair')}, {len(aside):,} held out, "
        f"{counted(len(english), 'English sentence')}"
    )
    marks = bitext.overlap.marks(sources)
    if marks:
        clean = sum(row["value"] == "yes" for row in marks)
        reporter.say(
            f"{clean:,} of {len(marks):,} evaluation questions share no passage, title or near duplicate "
            "with the training pairs (compare --topics clean=yes)"
        )
    return PreparedBitext(training, aside, english, in_training, rows, realigned, marks)


def _short_enough(
    config: BitextConfig,
    pairs: Pairs,
    drops: Drops,
    longest_target: int | None,
    longest_source: int | None,
) -> Pairs:
    """Return the pairs of a source whose sides are not too long, and count the others."""
    short = np.ones(len(pairs), dtype=bool)
    for side, longest in (("target", longest_target), ("source", longest_source)):
        if longest is not None:
            short &= pairs.lengths(side) <= longest
    kept = pairs if short.all() else pairs.select(short)
    for _ in range(len(pairs) - len(kept)):
        drops.withdraw("too_long")
    if not len(kept):
        raise InputError(
            f"none of its {counted(len(pairs), 'pair')} is as short as training.longest_target and "
            "training.longest_source ask; raise them, or leave the source out",
            path=config.path,
        )
    return kept
