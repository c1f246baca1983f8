"""How measured work becomes an estimate: a clock that only the work moves, and closed forms."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy.stats import hypergeom

from engine.config import BitextConfig
from engine.estimate import encoding, sources
from engine.estimate.any_kind import estimate
from engine.estimate.encoding import GROUP, GROUPS, OVERHEAD, PIECE, measured_groups
from engine.estimate.searching import extended
from engine.estimate.sheet import Cost, Given, Meter, Sheet
from engine.estimate.training import distinct_drawn, measurements, saved_bytes


class Clock:
    """A clock that work moves; its CPU runs with two threads."""

    def __init__(self) -> None:
        self.now = 0.0

    def meter(self) -> Meter:
        return Meter(wall=lambda: self.now, cpu=lambda: 2 * self.now)


def test_a_meter_reads_both_clocks() -> None:
    clock = Clock()

    def work() -> str:
        clock.now += 1.5
        return "done"

    assert clock.meter().of(work) == (Cost(1.5, 3.0), "done")
    assert Cost(1, 2) * 3 + Cost(0.5, 0.25) == Cost(3.5, 6.25)
    assert Cost(1, 2).less(Cost(2, 0.5)) == Cost(0, 1.5)


def test_the_cost_of_a_search_is_the_line_through_two_measured_points() -> None:
    def cost(queries: int) -> Cost:
        return Cost(3 + 0.25 * queries, 5 + 0.5 * queries)

    for count in (9, 40, 1000):
        found = extended((8, cost(8)), (40, cost(40)), count)
        assert found.seconds == pytest.approx(3 + 0.25 * count)
        assert found.cpu_seconds == pytest.approx(5 + 0.5 * count)
    assert extended((4, cost(4)), (4, cost(4)), 4) == cost(4)  # the collection has no more


@pytest.mark.parametrize("copies", [1, 2, 5])
@pytest.mark.parametrize("draws", [1, 300, 2000, 5000])
def test_distinct_targets_of_drawn_pairs(copies: int, draws: int) -> None:
    pairs = 1000 * copies
    # each target's copies among pairs drawn without repetition
    exact = 1000 * (1 - hypergeom(pairs, copies, min(draws, pairs)).pmf(0))
    assert distinct_drawn(draws, pairs, 1000) == pytest.approx(exact, rel=0.002)


def test_measurements_are_counted_as_the_trainer_measures() -> None:
    settings: Any
    for steps, every in ((60, 20), (61, 20), (5, 50), (50, 50)):
        settings = SimpleNamespace(steps=steps, evaluate_every=every)
        counted = 1 + sum(step % every == 0 or step == steps for step in range(1, steps + 1))
        assert measurements(settings) == counted


def test_a_student_is_saved_whole_where_little_is_left_out() -> None:
    assert saved_bytes(60, 100) == 60 and saved_bytes(90, 100) == 100


def test_texts_are_measured_in_groups_of_similar_length() -> None:
    texts = [f"{'x' * (n % 997)}" for n in range(10_000)]
    groups = measured_groups(texts)
    assert [len(group) for group in groups] == [GROUP] * GROUPS
    filled = [text for text in texts if text]
    mean = sum(map(len, filled)) / len(filled)
    assert sum(len(text) for group in groups for text in group) / (GROUP * GROUPS) == pytest.approx(
        mean, rel=0.02
    )
    assert all(max(map(len, group)) - min(map(len, group)) <= 2 for group in groups)
    assert [text for group in measured_groups(["b", "", " ", "aa"]) for text in group] == ["b", "aa"]


def test_encoding_costs_what_the_characters_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def encoded(encoder: Any, texts: list[str], role: str, options: Any) -> list[Any]:
        clock.now += 0.001 * sum(min(len(text), PIECE * 10) + OVERHEAD for text in texts)
        tokens = torch.ones(len(texts), 3, 4)
        mask = torch.tensor([[True, True, False]]).expand(len(texts), 3)
        return [SimpleNamespace(tokens=tokens, mask=mask, sentences=torch.ones(len(texts), 4))]

    monkeypatch.setattr(encoding, "_encoded", encoded)
    encoder: Any = SimpleNamespace(dim=4, sentence_width=4, longest=lambda role: 10)
    texts = ["x" * (n % 120) for n in range(5000)]
    found = encoding.measure(clock.meter(), encoder, texts, "query", torch.float32)
    weight = sum(min(len(text), 60) + OVERHEAD for text in texts)
    assert found.of(texts).seconds == pytest.approx(0.001 * weight)
    assert found.of(texts).cpu_seconds == pytest.approx(0.002 * weight)
    assert found.of(["y" * 30]).seconds == pytest.approx(0.001 * (30 + OVERHEAD))
    # two counted tokens of four half-precision numbers for each text that was encoded
    encoded_texts = [text for group in measured_groups(texts) for text in group]
    assert found.bytes_of(encoded_texts) == 2 * 2 * 4 * len(encoded_texts)


# -- sources that are not read to their end ---------------------------------------------------------------


def write_pairs(file: Path, count: int) -> None:
    lines = (
        f"sentensi namba {n:07} ya mfano\tsentence number {n // 2:07} of the example\n" for n in range(count)
    )
    file.write_text("".join(lines), "utf-8")


def test_a_source_that_is_read_whole_is_counted(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.tsv", 300)
    source = BitextConfig(path=str(tmp_path / "pairs.tsv"), language="sw", limit=120)
    found = sources.read(Meter(), source)
    assert (found.whole, found.kept, found.total, found.distinct) == (True, 300, 120, 60)


def test_a_long_source_is_extended_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pairs(tmp_path / "pairs.tsv", 6000)
    clock = Clock()
    open_source = sources.open_source

    def slow(*arguments: Any) -> Any:
        for pair in open_source(*arguments):
            clock.now += 0.004
            yield pair

    monkeypatch.setattr(sources, "open_source", slow)
    found = sources.read(clock.meter(), BitextConfig(path=str(tmp_path / "pairs.tsv"), language="sw"))
    assert (
        not found.whole and len(found.pairs) == 2000
    )  # 5 seconds are over after 1,250; the clock is read later
    assert found.kept == pytest.approx(6000, rel=0.01) and found.distinct == pytest.approx(3000, rel=0.01)
    assert found.cost.seconds == pytest.approx(6000 * 0.004, rel=0.01)


# -- sheets -------------------------------------------------------------------------------------------------


def test_a_given_speed_replaces_the_measured_one() -> None:
    sheet = Sheet(given=Given(pairs_per_second=50.0))
    sheet.train(200, 32, "pairs", Cost(9.0, 9.0))
    sheet.train(10, 4096, "tokens", Cost(2.0, 3.0))
    given, measured = sheet.stages
    assert (given.seconds, given.basis) == (200 * 32 / 50, "given")
    assert (measured.seconds, measured.cpu_seconds, measured.basis) == (20, 30, "measured")


def test_runs_of_a_study_follow_each_other_and_share_the_cache() -> None:
    sheet, own = Sheet(), Sheet(memory=5)
    own.add("training", 10, "pairs", Cost(2.0, 3.0))
    own.disk.update({"cache": 100, "run folder": 7, "state of training": 40})
    sheet.absorb(own, 3, "arm")
    sheet.absorb(own, 1, "arm")
    assert [(stage.name, stage.count, stage.seconds) for stage in sheet.stages] == [
        ("arm: training", 30, 6.0),
        ("arm: training", 10, 2.0),
    ]
    assert sheet.disk == {"cache": 100, "run folder": 28, "state of training": 40} and sheet.memory == 5
    sheet.multiply(2.5)
    (stage,) = sheet.stages
    assert (stage.count, stage.seconds, stage.cpu_seconds) == (100, 20.0, 30.0)
    assert sheet.disk["run folder"] == 70 and math.isclose(sum(s.seconds for s in sheet.stages), 20.0)


def test_what_cannot_be_estimated_says_so() -> None:
    from engine.config import parse_config
    from engine.errors import InputError

    config = parse_config({"kind": "lexical", "name": "x", "collections": [{"name": "lareqa"}]})
    with pytest.raises(InputError, match=r"kind 'lexical' .* can for the kinds distil, evaluate"):
        estimate(config)
