"""Sentences that two sets share, compared with a search over all pairs, and on TICO-19."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.bitext import open_bitext
from engine.bitext.overlap import Sentences

WORDS = st.sampled_from("river stone cloud horse bread winter garden letter A! a -- & 雲 石 馬車 é".split())  # noqa: SIM905
SENTENCE = st.one_of(
    st.lists(WORDS, max_size=7).map(" ".join),
    st.text("abcde 雲石", max_size=12),
    st.text("ab", min_size=3, max_size=30),
)


def letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum()) or text.casefold()


def naive(code: str, sentences: list[str], text: str) -> str | None:
    """Compare with every sentence, in floating point."""
    length = 2 if code in ("zh", "ja", "ko") else 4

    def grams(text: str) -> set[str]:
        bare = letters(text)
        return {bare[i : i + length] for i in range(max(1, len(bare) - length + 1))} if bare else set()

    if letters(text) in map(letters, sentences):
        return "exact"
    own = grams(text)
    shares = [len(own & other) / len(own | other) for other in map(grams, sentences) if own | other]
    return "near" if max(shares, default=0) >= 0.6 - 1e-12 else None


@given(
    code=st.sampled_from(["en", "zh", "ko", "so"]),
    sentences=st.lists(SENTENCE, max_size=25),
    texts=st.lists(SENTENCE, max_size=25),
)
@settings(max_examples=150, deadline=None)
def test_matches_are_those_of_a_comparison_of_all_pairs(
    code: str, sentences: list[str], texts: list[str]
) -> None:
    found = list(Sentences((code, sentence) for sentence in sentences).matches(code, texts))
    assert found == [naive(code, sentences, text) for text in texts]


@given(st.text("abcdefgh ", min_size=12, max_size=60), st.data())
@settings(max_examples=100, deadline=None)
def test_edited_sentences_match_as_in_a_direct_comparison(sentence: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(sentence)))
    width = data.draw(st.integers(0, 6))
    edited = sentence[:place] + data.draw(st.text("abcdefgh ", max_size=6)) + sentence[place + width :]
    (found,) = Sentences([("en", sentence)]).matches("en", [edited])
    assert found == naive("en", [sentence], edited)


def test_case_punctuation_spacing_and_escapes_make_no_difference() -> None:
    sentences = Sentences([("en", "Wash  your hands, often & well.")])
    assert list(sentences.matches("en", ["wash your hands often &amp; WELL!", "wash your feet"])) == [
        "exact",
        None,
    ]


def test_each_language_is_compared_with_itself_in_any_spelling() -> None:
    sentences = Sentences([("en", "one river"), ("som", "hal webi"), ("vec", "un fiume")])
    assert len(sentences) == 3
    assert list(sentences.matches("eng", ["one river", "hal webi"])) == ["exact", None]
    assert list(sentences.matches("so", ["one river", "Hal webi."])) == [None, "exact"]
    assert list(sentences.matches("vec", ["un fiume"])) == ["exact"]  # a language outside the table
    assert list(sentences.matches("fr", ["un fiume"])) == [None]


def test_more_sentences_than_one_batch() -> None:
    texts = [f"sentence {number:05d} of many" for number in range(1500)]
    found = list(Sentences([("en", texts[3]), ("en", texts[1400])]).matches("en", [*texts, "x"]))
    assert [index for index, match in enumerate(found) if match == "exact"] == [3, 1400]
    assert len(found) == 1501 and found[-1] is None


@pytest.mark.data
def test_sentences_that_the_parts_of_tico_19_share(data_home: Path) -> None:
    """No English sentence is shared, but 88 French translations are, because they are at wrong places."""
    counts: dict[str, Counter[str | None]] = {}
    for code in ("so", "sw", "tl", "mr", "fr"):
        path = data_home / "tico-19" / f"all.en-{code}.tmx.zip"
        first, rest = (
            list(open_bitext(path, language=code, start=start, stop=stop))
            for start, stop in ((0, 971), (971, None))
        )
        own = Sentences((code, pair.source) for pair in first).matches(code, [p.source for p in rest])
        counts[code] = Counter(own)
        if code == "fr":
            english = Sentences(("en", pair.target) for pair in first)
            assert set(english.matches("en", [pair.target for pair in rest])) == {None}
    assert {code: (count["exact"], count["near"]) for code, count in counts.items()} == {
        "so": (0, 0), "sw": (0, 0), "tl": (0, 1), "mr": (0, 0), "fr": (88, 0),
    }  # fmt: skip
