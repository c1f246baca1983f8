"""Pairs in Arrow tables are the list of pairs that they stand for, and large sources are read once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.atomic import replacing
from engine.bitext import pairs as pairs_module
from engine.bitext import seen as seen_module
from engine.bitext import stored
from engine.bitext.drops import Drops
from engine.bitext.pairs import DistinctTexts, Pairs
from engine.bitext.seen import Seen
from engine.bitext.source import read_source
from engine.bitext.split import sentence_key
from engine.config import BitextConfig
from engine.errors import OpticalError
from engine.extensions.bitext import SentencePair
from engine.paths import cache_home
from engine.reporting import Reporter

CHANGES: list[dict[str, Any]] = [
    {},
    {"monolingual": True},
    {"part": "train"},
    {"part": "test", "test_share": 0.5},
    {"start": 3, "stop": 30},
]
SENTENCES = st.text(min_size=0, max_size=8)
PAIR = st.builds(
    SentencePair,
    SENTENCES,
    SENTENCES,
    st.sampled_from(["sw", "so"]),
    st.just("en"),
    st.text(max_size=3),
    st.none() | st.floats(allow_nan=False),
    SENTENCES,
    SENTENCES,
)


@pytest.fixture(autouse=True)
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "BLOCK", 4)


@settings(deadline=None)
@given(st.lists(PAIR, max_size=15), st.data())
def test_pairs_are_the_list_that_they_stand_for(expected: list[SentencePair], data: Any) -> None:
    found = Pairs.of(expected)
    assert len(found) == len(expected) and list(found) == expected and found == expected
    assert [found[place] for place in range(len(expected))] == expected
    if expected:
        assert found[-1] == expected[-1]
    with pytest.raises(IndexError):
        found[len(expected)]
    places = data.draw(st.lists(st.integers(0, max(0, len(expected) - 1)), max_size=20 if expected else 0))
    chosen = found.select(np.array(places, dtype=np.int64))
    assert list(chosen) == [expected[place] for place in places]
    assert list(chosen[1::2]) == [expected[place] for place in places[1::2]]
    twice = Pairs.joined([chosen, found])
    assert list(twice) == [*chosen, *expected]
    assert list(twice.texts("target")) == [pair.target for pair in twice]
    assert twice.lengths("source").tolist() == [len(pair.source) for pair in twice]
    keys = [int.from_bytes(sentence_key(pair.target)[:8]) for pair in twice]
    assert twice.numbers("key").tolist() == keys
    lines = "".join(f"{pair.source}\t{pair.target}\n" for pair in twice).encode()
    assert twice.hash("source", "target") == hashlib.blake2b(lines, digest_size=12).hexdigest()
    assert list(twice.spaced(3)) == list(twice)[:: max(1, len(twice) // 3)]
    languages: dict[str, list[int]] = {}
    for place, pair in enumerate(twice):
        languages.setdefault(pair.source_language, []).append(place)
    assert {code: rows.tolist() for code, rows in twice.languages().items()} == languages
    assert list(twice.languages()) == list(languages)
    spaced = sorted(place for rows in languages.values() for place in rows[:: max(1, len(rows) // 3)])
    assert list(twice.spaced_in_each_language(3)) == [twice[place] for place in spaced]


@settings(deadline=None)
@given(st.lists(PAIR, max_size=15))
def test_distinct_texts_come_in_the_order_in_which_they_occur(expected: list[SentencePair]) -> None:
    found = DistinctTexts(Pairs.of(expected))
    texts = list(dict.fromkeys(pair.target for pair in expected))
    assert list(found) == texts and found == texts and found[1:] == texts[1:]
    assert [found[row] for row in found.rows] == [pair.target for pair in expected]


def test_targets_can_be_moved() -> None:
    expected = [SentencePair(f"s{n}", f"t{n}", "sw", "en", str(n)) for n in range(9)]
    found = Pairs.of(expected).moved(np.array([0, 5, 8]), np.array([1, 6, 7]))
    wanted = [replace(expected[n], target=expected[m].target) for n, m in ((0, 1), (5, 6), (8, 7))]
    assert list(found) == wanted and list(found.select(np.array([2]))) == wanted[2:]
    assert list(Pairs.joined([Pairs.of(expected), found])) == [*expected, *wanted]
    assert list(found.select(np.array([0, 1, 1, 1, 2, 2])).once()) == wanted


@given(st.lists(st.integers(0, 30)), st.integers(1, 9))
def test_numbers_are_new_once(numbers: list[int], recent: int) -> None:
    seen, known = Seen([4, 3]), {3, 4}
    for number in numbers:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(seen_module, "_RECENT", recent)
            assert seen.add(number) == (number not in known)
        known.add(number)
    assert len(seen.fresh()) == 8 * (len(known) - 2) and not seen.fresh()


class Told(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BitextConfig:
    """A source of 40 pairs, of which some are dropped, that counts as large; parts have 8 pairs."""
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stored, "LARGE", 1)
    monkeypatch.setattr(stored, "PART", 8)
    monkeypatch.setattr(stored, "BLOCK", 4)
    monkeypatch.setattr(stored, "_SAID", 1)
    lines = [f"maneno {n % 33}\twords {n % 33}\n" for n in range(40)]
    lines[5] = "\tempty\n"
    lines[-1] = f"{'long ' * 300}\tshort\n"
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(lines), "utf-8")
    return BitextConfig(path=str(path), language="sw")


def in_memory(source: BitextConfig, monkeypatch: pytest.MonkeyPatch) -> tuple[list[SentencePair], Drops]:
    with monkeypatch.context() as patch:
        patch.setattr(stored, "LARGE", 2**40)
        drops = Drops()
        return list(read_source(source, drops=drops)), drops


def read(source: BitextConfig) -> tuple[list[SentencePair], Drops, list[str]]:
    drops, told = Drops(), Told()
    return list(read_source(source, drops=drops, reporter=told)), drops, told.said


def parts() -> list[Path]:
    return sorted((cache_home() / "pairs").glob("*/part-*.arrow"))


@pytest.mark.parametrize("changes", CHANGES)
def test_a_large_source_has_the_pairs_and_counts_of_a_small_one(
    large: BitextConfig, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = large.model_copy(update=changes)
    expected = in_memory(source, monkeypatch)
    assert read(source)[:2] == expected
    again = read(source)
    assert again[:2] == expected and again[2] == []  # nothing is read again
    assert len(parts()) == -(-len(expected[0]) // 8)


def test_a_change_of_content_or_settings_reads_again(large: BitextConfig) -> None:
    first = read(large)[0]
    short = read(large.model_copy(update={"max_characters": 8}))[0]
    assert len(short) < len(first)
    Path(large.path).write_text("moja\tone\n", "utf-8")
    assert [pair.target for pair in read(large)[0]] == ["one"]


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
@pytest.mark.parametrize("changes", CHANGES)
def test_a_reading_that_was_killed_goes_on_after_its_last_part(
    large: BitextConfig, changes: dict[str, Any], kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = large.model_copy(update=changes)
    expected = in_memory(source, monkeypatch)
    read(source)
    for file in parts()[kept:]:
        file.unlink()
    (done,) = (cache_home() / "pairs").glob("*/done.json")
    done.unlink()
    found = read(source)
    assert found[:2] == expected
    assert any("goes on after" in sentence for sentence in found[2]) == (kept > 0)


@pytest.mark.parametrize("place", [0, 1, -1])
@pytest.mark.parametrize("content", [b"", b"half"])
@pytest.mark.parametrize("suffix", [".arrow", ".seen"])
def test_a_part_that_is_cut_or_missing_is_written_again(
    large: BitextConfig, place: int, content: bytes, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = in_memory(large, monkeypatch)
    read(large)
    file = parts()[place].with_suffix(suffix)
    if content:
        whole = file.read_bytes()
        file.unlink()
        file.write_bytes(whole[: len(whole) // 2])
    else:
        file.unlink()
    assert read(large)[:2] == expected


def test_a_damaged_record_of_the_end_reads_the_rest_again(
    large: BitextConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = in_memory(large, monkeypatch)
    read(large)
    (done,) = (cache_home() / "pairs").glob("*/done.json")
    done.write_text(json.dumps({"what": 1}))
    assert read(large)[:2] == expected


def test_an_error_in_a_large_source_is_the_error_of_a_small_one(large: BitextConfig) -> None:
    with Path(large.path).open("a", encoding="utf-8") as file:
        file.write("one column\n")
    with pytest.raises(Exception, match=r"line 41.*1 column"):
        read(large)


def test_a_cache_that_cannot_be_written_is_named(
    large: BitextConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "file"))
    with pytest.raises(OpticalError, match=r"the pairs of .*pairs.tsv cannot be kept .*OPTICAL_CACHE"):
        read(large)


def test_a_full_disk_is_one_sentence_and_the_next_reading_goes_on(
    large: BitextConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = in_memory(large, monkeypatch)
    written: list[Path] = []

    def full(path: Path, **options: Any) -> Any:
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return replacing(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr("engine.bitext.stored.replacing", full)
        with pytest.raises(OpticalError, match="No space left on device"):
            read(large)
    assert len(parts()) == 2
    found = read(large)
    assert found[:2] == expected and "goes on after" in found[2][0]
