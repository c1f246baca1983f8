"""Preparing bitext: the same result every time, and nothing is changed on the way."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import DistilConfig, parse_config
from engine.errors import InputError
from engine.reporting import SILENT
from engine.results.run_folder import RunFolder
from engine.training.data.alignment import Aligner
from engine.training.data.prepare import Bitext, PreparedBitext, prepare, read_bitext


def bitext_of(config: DistilConfig) -> Bitext:
    return read_bitext(
        config.bitext, config.collections, overlap=config.training.overlap, seed=config.seed, reporter=SILENT
    )


def prepared(bitext: Bitext, aligner: Any = None, held_out: int = 20) -> PreparedBitext:
    return prepare(bitext, aligner=aligner, held_out=held_out, seed=0, reporter=SILENT)


def configured(tiny: Any, **changes: Any) -> DistilConfig:
    config = parse_config(tiny.settings("sw", "mr", **changes))
    assert isinstance(config, DistilConfig)
    return config


def test_it_changes_nothing_that_it_is_given(tiny: Any) -> None:
    bitext = bitext_of(configured(tiny))
    before = copy.deepcopy((bitext.pairs, bitext.drops))
    first, second = prepared(bitext), prepared(bitext)
    assert first == second and (bitext.pairs, bitext.drops) == before


def test_english_sentences_of_training_pairs_come_first_and_none_is_held_out(tiny: Any) -> None:
    found = prepared(bitext_of(configured(tiny)))
    training, held = ({pair.target for pair in pairs} for pairs in (found.training, found.held_out))
    assert len(held) == 20 and not training & held
    assert set(found.english[: found.in_training]) == training
    assert set(found.english[found.in_training :]) == held
    assert len(found.english) == len(set(found.english))
    assert [row["pairs"] for row in found.rows] == [120, 120]


class ShiftByOne(Aligner):
    """Takes every pair for one that is a line too low."""

    def _vectors(self, pairs: Any, reporter: Any) -> Any:
        vectors = torch.nn.functional.normalize(
            torch.randn(len(pairs) + 1, 64, generator=torch.Generator().manual_seed(0)), dim=1
        )
        return vectors[1:], vectors[:-1]


def test_shifts_are_undone_before_sentences_are_dropped_and_counted_by_language(
    tiny: Any, tmp_path: Path
) -> None:
    config = configured(tiny)
    bitext = bitext_of(config)
    encoder: Any = None
    found = prepared(bitext, ShiftByOne(encoder, torch.float32))
    plain = prepared(bitext)
    assert set(found.realigned) == {"sw", "mr"} and min(found.realigned.values()) > 100
    of = {pair.source: pair.target for pair in plain.training + plain.held_out}
    assert any(of.get(pair.source) not in (None, pair.target) for pair in found.training)
    run = RunFolder.create(tmp_path, config, ["test"])
    found.record(run)
    assert run.record["summary"]["realigned_sw"] == found.realigned["sw"]
    assert (run.path / "bitext.parquet").is_file()
    assert plain.realigned == {} and found.hashes != plain.hashes


def test_only_short_pairs_are_trained_on_and_the_others_are_counted(tiny: Any) -> None:
    bitext = bitext_of(configured(tiny))
    lengths = sorted(len(pair.target) for pair in bitext.pairs[0])
    longest = lengths[60]
    found = prepare(
        bitext, aligner=None, held_out=20, seed=0, reporter=SILENT, longest_target=longest, longest_source=60
    )
    kept = [
        pair
        for pairs in bitext.pairs
        for pair in pairs
        if len(pair.target) <= longest and len(pair.source) <= 60
    ]
    assert sorted(pair.source for pair in [*found.training, *found.held_out]) == sorted(
        pair.source for pair in kept
    )
    assert sum(row["pairs"] for row in found.rows) == len(kept) < 240
    dropped = sum(json.loads(row["dropped"])["too_long"] for row in found.rows)
    assert dropped == 240 - len(kept)


def test_a_source_of_long_pairs_is_named(tiny: Any) -> None:
    with pytest.raises(InputError, match=r"training.sw.*none of its 120 pairs is as short as"):
        prepare(
            bitext_of(configured(tiny)), aligner=None, held_out=0, seed=0, reporter=SILENT, longest_target=3
        )


def test_a_source_counts_as_often_as_it_is_repeated(tiny: Any) -> None:
    settings = tiny.settings("sw", "mr")
    settings["bitext"][1]["repeat"] = 3
    config = parse_config(settings)
    assert isinstance(config, DistilConfig)
    plain, found = prepared(bitext_of(configured(tiny))), prepared(bitext_of(config))
    assert found.held_out == plain.held_out and found.english == plain.english
    assert found.hashes == plain.hashes
    counts = Counter((pair.source_language, pair.source) for pair in found.training)
    assert {(code, n) for (code, _), n in counts.items()} == {("sw", 1), ("mr", 3)}


def test_the_sources_of_a_collection_are_not_repeated(tiny: Any) -> None:
    settings = tiny.settings("sw")
    settings["collections"][0]["bitext"][0]["repeat"] = 3
    with pytest.raises(InputError, match="repeat"):
        parse_config(settings)
