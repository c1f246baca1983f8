"""Preparing bitext: the same result every time, and nothing is changed on the way."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from engine.config import DistilConfig, parse_config
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
