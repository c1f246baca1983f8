"""Texts that are looked up block by block, and what of it is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from engine.bitext.pairs import Pairs
from engine.bitext.seen import Seen
from engine.extensions.bitext import SentencePair
from engine.paths import cache_home
from engine.reporting import Reporter
from engine.training.data import looked_up
from engine.training.data.looked_up import look_up, places_of

PAIRS = Pairs.of(
    SentencePair(f"maneno {n}", f"words {n % 7}", "sw", "en", str(n), None, "", "a passage" * (n == 20))
    for n in range(21)
)


class Told(Reporter):
    def __init__(self) -> None:
        self.parts = 0

    def advance(self, parts: int = 1) -> None:
        self.parts += parts


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(looked_up, "PART", 8)
    monkeypatch.setattr(looked_up, "_BATCH", 3)


class Search:
    """Finds every third of the seven words; counts what it looks at, and fails after `most` texts."""

    def __init__(self, most: int = 1000) -> None:
        self.texts: list[str] = []
        self.most = most

    def __call__(self, texts: Sequence[str]) -> Iterable[list[str] | None]:
        self.texts += texts
        if len(self.texts) > self.most:
            raise KeyboardInterrupt
        return [[text[-1]] if int(text[-1]) % 3 == 0 else None for text in texts]


def found(search: Search, key: str = "k", told: Reporter | None = None) -> list[tuple[str, list[str]]]:
    return list(
        look_up(
            PAIRS, "target", search, key=[key], seen=Seen(), reporter=Reporter() if told is None else told
        )
    )


def test_the_texts_for_which_something_is_found_come_with_it() -> None:
    first, again, told = Search(), Search(), Told()
    expected = [(text, [text[-1]]) for text in PAIRS.texts("target") if int(text[-1]) % 3 == 0]
    assert found(first) == expected and len(first.texts) == 21
    assert found(again, told=told) == expected and told.parts == 21
    assert again.texts == list(PAIRS[16:].texts("target"))  # only what is no whole block
    assert len(list((cache_home() / "overlap").rglob("*.json"))) == 2


def test_what_else_is_searched_for_is_looked_up_again() -> None:
    found(Search())
    other = Search()
    found(other, key="other")
    assert len(other.texts) == 21


def test_a_search_that_was_killed_goes_on_with_its_block() -> None:
    with pytest.raises(KeyboardInterrupt):
        found(Search(most=12))
    rest = Search()
    assert len(found(rest)) == 9 and len(rest.texts) == 13


@pytest.mark.parametrize("content", ["", "[[1", '{"a": 1}', "[1]"])
def test_a_damaged_file_is_written_again(content: str) -> None:
    expected = found(Search())
    for file in (cache_home() / "overlap").rglob("*.json"):
        file.write_text(content)
    again = Search()
    assert found(again) == expected and len(again.texts) == 21


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert len(found(Search())) == 9


def test_texts_of_small_sources_are_looked_up_once() -> None:
    search = Search()
    some = PAIRS[:7] + PAIRS[:7]
    parts = [some[:7], some[7:]]
    seen = Seen()
    for part in parts:
        list(look_up(part, "target", search, key=[], seen=seen, reporter=Reporter()))
    assert search.texts == [f"words {n}" for n in range(7)]


def test_places_of_pairs_with_one_of_some_texts_on_either_side_or_a_passage() -> None:
    assert list(places_of(PAIRS, ["maneno 3", "words 1"])) == [1, 3, 8, 15]
    assert list(places_of(PAIRS, [], passages=True)) == [20]
    assert list(places_of(PAIRS, [])) == []
