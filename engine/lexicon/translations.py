"""Translations of words with probabilities, learnt from sentence pairs by IBM model 1.

Model 1 (Brown et al. 1993, "The mathematics of statistical machine translation") assumes that every word of
the target sentence is the translation of one word of the source sentence, or of the empty word, each equally
likely. `learn` estimates p(target word | source word) by expectation maximisation from a uniform start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from engine.atomic import replacing
from engine.errors import InputError, OpticalError

FILE = "translations.parquet"
"""The file in a run's ``checkpoints/`` with the translations of words that it learnt."""
ITERATIONS = 6
"""Iterations of expectation maximisation."""
MOST_TRANSLATIONS = 20
"""Translations of a word that are kept."""
MASS = 0.95
"""The most probable translations are kept until their probabilities sum to this."""
LONGEST = 60
"""Words of a sentence that are read."""
#: Links between a source and a target word that are made at once.
_CHUNK_LINKS = 1 << 21

_Integers = NDArray[np.int64]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WordTranslations:
    """The translations of the words of a language.

    Attributes
    ----------
    rows : mapping of str to int
        The number of each source word.
    starts : array of int, one longer than `rows`
        The translations of word n are those from ``starts[n]`` to ``starts[n + 1]``, the most probable first.
    targets : sequence of str
        The translations of all words.
    probabilities : array of float
        Their probabilities, which sum to one for each source word.
    """

    rows: Mapping[str, int]
    starts: _Integers
    targets: Sequence[str]
    probabilities: _Floats

    def of(self, word: str) -> list[tuple[str, float]]:
        """Return the translations of `word` with their probabilities; none if the word was never seen."""
        row = self.rows.get(word)
        if row is None:
            return []
        start, stop = self.starts[row], self.starts[row + 1]
        return list(zip(self.targets[start:stop], self.probabilities[start:stop].tolist(), strict=True))


class _Chunk(NamedTuple):
    """Links of some sentence pairs, grouped by target token.

    Attributes
    ----------
    words : array of int32
        The distinct pairs of words that are linked, as places among those of all chunks.
    places : array of int32
        The pair of words of each link, as its place in `words`.
    starts : array of int64
        The first link of each target token.
    lengths : array of int64
        The number of links of each target token.
    """

    words: NDArray[np.int32]
    places: NDArray[np.int32]
    starts: _Integers
    lengths: _Integers


def learn(
    pairs: Iterable[tuple[Sequence[str], Sequence[str]]],
    *,
    iterations: int = ITERATIONS,
    most: int = MOST_TRANSLATIONS,
    mass: float = MASS,
) -> WordTranslations:
    """Learn translations of words from pairs of sentences.

    Every link of a source word with a target word of its pair is held in memory: 45,930 sentence pairs of
    NTREX-128 in 23 languages, learnt as one, take 1.6 GB and 30 s of CPU time.

    Parameters
    ----------
    pairs : iterable of (sequence of str, sequence of str)
        The words of source and target sentences. Only the first `LONGEST` of a sentence are read.
    iterations : int
    most : int
        The most translations of a word that are kept.
    mass : float
        Fewer are kept if their probabilities reach this sum. Those that are kept are scaled to the sum one.
    """
    sources: dict[str, int] = {}
    targets: dict[str, int] = {}
    sentences = [
        (
            [0, *(sources.setdefault(word, len(sources) + 1) for word in source[:LONGEST])],
            [targets.setdefault(word, len(targets)) for word in target[:LONGEST]],
        )
        for source, target in pairs
        if source and target
    ]
    if not sentences:
        return WordTranslations({}, np.zeros(1, np.int64), [], np.zeros(0))
    links = [_links(part, len(targets)) for part in _parts(sentences)]
    del sentences
    distinct = np.unique(np.concatenate([keys for keys, *_ in links]))
    chunks = []
    while links:
        keys, places, lengths = links.pop()
        words = np.searchsorted(distinct, keys).astype(np.int32)
        chunks.append(_Chunk(words, places, np.cumsum(lengths) - lengths, lengths))
    source_of = distinct // len(targets)
    probabilities = np.ones(len(distinct))
    for _ in range(iterations):
        counts = np.zeros(len(distinct))
        for chunk in chunks:
            weights = probabilities[chunk.words][chunk.places]
            weights /= np.repeat(np.add.reduceat(weights, chunk.starts), chunk.lengths)
            counts[chunk.words] += np.bincount(chunk.places, weights)
        probabilities = counts / np.bincount(source_of, counts)[source_of]
    return _pruned(list(sources), list(targets), distinct, probabilities, most, mass)


def _parts(sentences: Sequence[tuple[list[int], list[int]]]) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Yield consecutive sentence pairs with at most about `_CHUNK_LINKS` links."""
    part: list[tuple[list[int], list[int]]] = []
    links = 0
    for sentence in sentences:
        part.append(sentence)
        links += len(sentence[0]) * len(sentence[1])
        if links >= _CHUNK_LINKS:
            yield part
            part, links = [], 0
    if part:
        yield part


def _links(
    part: Sequence[tuple[list[int], list[int]]], width: int
) -> tuple[_Integers, NDArray[np.int32], _Integers]:
    """Return the distinct links of `part`, the places of all links in them, and numbers by target token.

    A link is ``source * width + target``.
    """
    source = np.concatenate([np.array(sentence) for sentence, _ in part])
    target = np.concatenate([np.array(sentence) for _, sentence in part])
    source_lengths = np.array([len(sentence) for sentence, _ in part])
    target_lengths = np.array([len(sentence) for _, sentence in part])
    lengths = np.repeat(source_lengths, target_lengths)
    first = np.repeat(np.cumsum(source_lengths) - source_lengths, target_lengths)
    places = np.repeat(first - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
    keys, found = np.unique(source[places] * width + np.repeat(target, lengths), return_inverse=True)
    return keys, found.astype(np.int32), lengths


def _pruned(
    sources: list[str],
    targets: list[str],
    distinct: _Integers,
    probabilities: _Floats,
    most: int,
    mass: float,
) -> WordTranslations:
    """Keep the best translations of each word but the empty one, whose number is 0."""
    real = distinct >= len(targets)
    rows, columns, values = (
        distinct[real] // len(targets) - 1,
        distinct[real] % len(targets),
        probabilities[real],
    )
    order = np.lexsort((columns, -values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    firsts = np.searchsorted(rows, np.arange(len(sources)))
    before = np.cumsum(values) - values
    before -= before[firsts][rows]
    kept = (np.arange(len(rows)) - firsts[rows] < most) & (before < mass)
    rows, columns, values = rows[kept], columns[kept], values[kept]
    return WordTranslations(
        {word: row for row, word in enumerate(sources)},
        np.searchsorted(rows, np.arange(len(sources) + 1)),
        [targets[column] for column in columns.tolist()],
        values / np.bincount(rows, values)[rows],
    )


def save(path: Path, tables: Mapping[str, WordTranslations]) -> None:
    """Write the translations of words of several languages, by code, to a Parquet file.

    Raises
    ------
    OpticalError
        If the file cannot be written.
    """
    parts = []
    for code, table in tables.items():
        counts = np.diff(table.starts)
        columns: dict[str, Any] = {
            "language": pa.array([code] * len(table.targets), pa.string()),
            "word": pa.array(np.repeat(np.array(list(table.rows), dtype=object), counts), pa.string()),
            "translation": pa.array(table.targets, pa.string()),
            "probability": pa.array(table.probabilities, pa.float64()),
        }
        parts.append(pa.table(columns))
    try:
        with replacing(path) as temporary:
            pq.write_table(pa.concat_tables(parts), temporary)
    except OSError as error:
        raise OpticalError(f"{path}: cannot be written: {error.strerror or error}") from error


def load(path: Path) -> dict[str, WordTranslations]:
    """Read the translations of words that `save` wrote.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    try:
        whole = pq.read_table(path)
        found = {}
        for code in whole["language"].unique().to_pylist():
            part = whole.filter(pc.equal(whole["language"], code))
            words = part["word"].to_pylist()
            starts = [n for n, word in enumerate(words) if not n or word != words[n - 1]]
            found[code] = WordTranslations(
                {words[start]: row for row, start in enumerate(starts)},
                np.array([*starts, len(words)], np.int64),
                part["translation"].to_pylist(),
                part["probability"].to_numpy(),
            )
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError("the run's translations of words cannot be read; run it again", path=path) from error
    return found
