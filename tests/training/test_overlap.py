"""No sentence that a run is evaluated on is trained on, and what went is counted and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from engine.bitext.pairs import Pairs
from engine.config import DistilConfig, parse_config
from engine.errors import InputError
from engine.extensions.bitext import SentencePair
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.training.data.bitext import read_sources
from engine.training.data.overlap import Overlap
from tests.training.conftest import Prepare


class Heard(Reporter):
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.parts = [0, 0]

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def stage(self, name: str, total: int) -> None:
        self.parts[0] += total

    def advance(self, parts: int = 1) -> None:
        self.parts[1] += parts


def write(path: Path, rows: list[tuple[str, str]]) -> str:
    path.write_text("".join(f"{source}\t{target}\n" for source, target in rows), "utf-8")
    return str(path)


TEST = [
    ("mto mrefu sana", "The river is very long."),
    ("soko la asubuhi", "The market opens in the morning."),
]
TRAINING = [
    ("habari gani", "How is everything going"),
    ("mto ni mrefu", "the river is very long"),  # the same English
    ("Soko la asubuhi!", "A market at dawn"),  # the same Swahili
    ("soko hufunguliwa", "The market opened in the morning"),  # nearly the same English
    ("daktari yupo wapi", "Where is the doctor"),
]


def overlap_of(config: DistilConfig, sources: list[Pairs], reporter: Reporter) -> Overlap:
    collections = config.collections if config.training.overlap == "drop" else []
    return Overlap(config.bitext, sources, collections, config.seed, reporter)


def configured(folder: Path, **changes: Any) -> DistilConfig:
    test = {"path": write(folder / "test.tsv", TEST), "language": "sw"}
    training = {"path": write(folder / "training.tsv", TRAINING), "language": "sw"}
    pool = {"path": training["path"], "language": "sw"}
    settings: dict[str, Any] = {
        "kind": "distil",
        "bitext": [training],
        "collections": [{"name": "bitext", "bitext": [test], "distractor_bitext": [pool]}],
        **changes,
    }
    config = parse_config(settings)
    assert isinstance(config, DistilConfig)
    return config


def test_same_and_near_pairs_go_and_are_counted_and_said(tmp_path: Path) -> None:
    config, heard = configured(tmp_path), Heard()
    sources, drops = read_sources(config.bitext)
    overlap = overlap_of(config, sources, heard)
    assert [overlap.match(pair) for pair in sources[0]] == [None, "exact", "exact", "near", None]
    (kept,) = overlap.drop(sources, drops)
    assert [pair.source for pair in kept] == ["habari gani", "daktari yupo wapi"]
    assert drops[0].reasons() == {"in_evaluation": 2, "near_evaluation": 1}
    assert (drops[0].read, drops[0].kept) == (5, 2)
    assert heard.sentences == [
        "3 of 5 pairs dropped because of a sentence that the run is evaluated on: "
        "2 with the same, 1 with nearly the same (training.overlap)"
    ]
    assert heard.parts == [10, 10]


def test_sentences_that_only_fill_the_pool_may_be_trained_on(tmp_path: Path) -> None:
    """The pool holds the English of every training pair; those that answer no query stay."""
    config = configured(tmp_path)
    sources, _ = read_sources(config.bitext)
    overlap = overlap_of(config, sources, Heard())
    assert overlap.without(sources[0]) == [sources[0][0], sources[0][4]]


def test_pairs_may_change_partners_before_they_are_dropped(tmp_path: Path) -> None:
    config = configured(tmp_path)
    sources, _ = read_sources(config.bitext)
    overlap = overlap_of(config, sources, Heard())
    moved = SentencePair(TRAINING[0][0], TRAINING[3][1], "sw", "en", "1")
    assert overlap.match(moved) == "near"


def test_every_pair_is_kept_on_request(tmp_path: Path) -> None:
    config, heard = configured(tmp_path, training={"overlap": "keep"}), Heard()
    sources, drops = read_sources(config.bitext)
    assert overlap_of(config, sources, heard).drop(sources, drops) == sources
    assert not heard.sentences and not drops[0].reasons()


def test_a_source_of_which_nothing_would_be_left_is_refused_at_once(tmp_path: Path) -> None:
    config = configured(tmp_path)
    write(tmp_path / "training.tsv", TRAINING[1:4])
    sources, _ = read_sources(config.bitext)
    with pytest.raises(
        InputError, match=r"training\.tsv: every pair in 'sw' has a sentence .* training\.overlap"
    ):
        overlap_of(config, sources, Heard())


def test_a_run_learns_and_fits_without_them(prepare: Prepare, tiny: Any, tmp_path: Path) -> None:
    """Twelve test pairs among the training pairs leave no trace in the run but their count."""
    rows = tiny.test["sw"].read_text("utf-8").splitlines()[:12]
    mixed = tmp_path / "mixed.tsv"
    mixed.write_text(tiny.training["sw"].read_text("utf-8") + "\n".join(rows) + "\n", "utf-8")
    bitext = [{"path": str(mixed), "language": "sw"}]
    settings = {"training": {"alignment": "trust"}}
    clean, dirty = prepare(**settings), prepare(bitext=bitext, **settings)
    assert dirty.bitext.training == clean.bitext.training
    assert dirty.bitext.held_out == clean.bitext.held_out
    assert dirty.hashes == clean.hashes
    assert dirty.student.mean.equal(clean.student.mean)
    counts = [json.loads(row["dropped"]) for row in table(dirty.run)]
    before = [json.loads(row["dropped"]) for row in table(clean.run)]
    assert counts[0].pop("in_evaluation") == 12 and counts == before
    kept = prepare(bitext=bitext, training={"alignment": "trust", "overlap": "keep"})
    assert table(kept.run)[0]["pairs"] > table(dirty.run)[0]["pairs"] + 11


def table(run: RunFolder) -> list[dict[str, Any]]:
    (file,) = run.path.glob("bitext*.parquet")
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows
