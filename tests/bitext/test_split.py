"""Splits by the English side, and sampling probabilities of languages."""

from __future__ import annotations

import hashlib
import html
import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bitext import SentencePair, sample
from engine.bitext.pairs import held_out
from engine.bitext.split import sentence_text
from engine.errors import InputError


def pair(english: str, language: str = "so", number: int = 0) -> SentencePair:
    return SentencePair(f"{language} {english}", english, language, "en", str(number))


PAIRS = st.lists(st.builds(pair, st.sampled_from("abcdefghij"), st.sampled_from(["so", "sw"])), min_size=1)


@given(PAIRS, st.data())
def test_no_english_sentence_is_in_both_parts(pairs: list[SentencePair], data: st.DataObject) -> None:
    english = {pair.target for pair in pairs}
    count = data.draw(st.integers(0, len(english) - 1))
    kept, held = held_out(pairs, count)
    assert {pair.target for pair in held} | {pair.target for pair in kept} == english
    assert not {pair.target for pair in held} & {pair.target for pair in kept}
    assert len({pair.target for pair in held}) == count
    assert sorted(kept + held, key=repr) == sorted(pairs, key=repr)


@given(PAIRS, st.randoms(use_true_random=False), st.data())
def test_the_choice_depends_only_on_the_sentences(
    pairs: list[SentencePair], rng: random.Random, data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, len({pair.target for pair in pairs}) - 1))
    shuffled = rng.sample(pairs, len(pairs))
    held = {pair.target for pair in held_out(pairs, count)[1]}
    assert {pair.target for pair in held_out(shuffled, count)[1]} == held
    assert {pair.target for pair in held_out([*pairs, *pairs], count)[1]} == held


def test_sentences_with_the_smallest_hashes_are_held_out_in_order() -> None:
    sentences = [f"sentence {number}" for number in range(50)]
    letters = {text: text.replace(" ", "").encode() for text in sentences}
    by_hash = sorted(sentences, key=lambda text: hashlib.blake2b(letters[text], digest_size=16).digest())
    kept, held = held_out(map(pair, sentences), 10)
    assert [pair.target for pair in held] == [text for text in sentences if text in by_hash[:10]]
    assert [pair.target for pair in kept] == [text for text in sentences if text not in by_hash[:10]]


@pytest.mark.parametrize("variant", ["LOG  IN", '"Log in."', "log&nbsp;in", "Log-in"])
def test_spellings_of_a_sentence_are_the_same_sentence(variant: str) -> None:
    pairs = [pair("Log in"), pair(variant, "sw"), pair("Log out")]
    kept, held = held_out(pairs, 1)
    assert sorted([len(kept), len(held)]) == [1, 2]


def test_holding_out_everything_is_refused() -> None:
    with pytest.raises(InputError, match="cannot hold out 2 of 2 distinct sentences and keep some"):
        held_out([pair("a"), pair("b"), pair("b", "sw")], 2)
    assert held_out([], 0) == ([], [])


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 10**9), min_size=1), st.floats(0, 2))
def test_probabilities_are_powers_of_the_counts(counts: dict[str, int], alpha: float) -> None:
    shares = sample(counts, alpha)
    assert sum(shares.values()) == pytest.approx(1)
    first = next(iter(counts))
    for name, count in counts.items():
        assert shares[name] / shares[first] == pytest.approx((count / counts[first]) ** alpha)


def test_known_shares() -> None:
    counts = {"hi": 90_000, "so": 9_000, "sw": 0}
    assert sample(counts, 1.0) == pytest.approx({"hi": 10 / 11, "so": 1 / 11, "sw": 0})
    assert sample(counts, 0.0) == pytest.approx({"hi": 0.5, "so": 0.5, "sw": 0})
    assert sample(counts, 0.5)["hi"] == pytest.approx(10**0.5 / (1 + 10**0.5))


def test_sampling_without_pairs_is_refused() -> None:
    with pytest.raises(InputError, match="no language has any pairs"):
        sample({"so": 0}, 0.3)


@given(st.text(st.characters(max_codepoint=127)))
def test_the_fast_way_through_ascii_keeps_the_same_characters(text: str) -> None:
    plain = unicodedata.normalize("NFC", html.unescape(text)).casefold()
    kept = "".join(c for c in plain if unicodedata.category(c)[0] in "LMN")
    assert sentence_text(text) == (kept or plain)
