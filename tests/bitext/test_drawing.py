"""Samples that are drawn evenly from documents and stay the same."""

from __future__ import annotations

import hashlib
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from engine.bitext.drawing import draw_evenly
from engine.bitext.source import draw
from engine.extensions.bitext import SentencePair


def test_a_sample_has_of_each_group_about_its_share() -> None:
    texts = [(f"d{n // 100}", f"a{n}") for n in range(200)] + [("small", f"b{n}") for n in range(20)]
    drawn = Counter(texts[place][0] for place in draw_evenly(texts, 22))
    assert drawn["d0"] in (9, 10, 11) and drawn["d1"] in (9, 10, 11) and drawn["small"] in (1, 2, 3)
    assert draw_evenly(texts, 500) == list(range(220)) and len(draw_evenly(texts, 22)) == 22


def test_a_sample_does_not_depend_on_the_order_and_stays_when_groups_are_added() -> None:
    texts = [(f"g{n % 7}", f"k{n}") for n in range(70)]
    chosen = {texts[place] for place in draw_evenly(texts, 14)}
    turned = texts[::-1]
    assert {turned[place] for place in draw_evenly(turned, 14)} == chosen
    more = [*texts, *((f"new{n % 3}", f"n{n}") for n in range(30))]
    kept = {more[place] for place in draw_evenly(more, 20)} & set(texts)
    assert kept <= chosen or chosen <= kept
    assert {texts[place] for place in draw_evenly(texts, 14, "other")} != chosen


def test_texts_without_a_group_are_drawn_by_their_hash_alone() -> None:
    texts = [("", f"k{n}") for n in range(100)]
    ten, twenty = set(draw_evenly(texts, 10)), set(draw_evenly(texts, 20))
    assert ten < twenty and ten != set(range(10))


def test_pairs_of_bitext_are_drawn_from_all_documents() -> None:
    pairs = [SentencePair(f"s{n}", f"t{n}", "so", "en", str(n), document=f"d{n // 25}") for n in range(100)]
    assert Counter(pair.document for pair in draw(pairs, 8, 0)) == {"d0": 2, "d1": 2, "d2": 2, "d3": 2}
    other = [SentencePair(f"x{n}", f"t{n}", "sw", "en", str(n), document=f"d{n // 25}") for n in range(100)]
    assert [pair.target for pair in draw(other, 8, 0)] == [pair.target for pair in draw(pairs, 8, 0)]


def one_by_one(texts: list[tuple[str, str]], count: int) -> list[int]:
    """Draw as the function says, with a list for each group."""

    def rank(text: str) -> float:
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48

    places = {}
    for group in {group for group, _ in texts}:
        members = sorted((rank(f"\t{key}"), place) for place, (own, key) in enumerate(texts) if own == group)
        for number, (own, place) in enumerate(members):
            first = (number + rank(f"\tgroup\t{group}")) / len(members) if group else own
            places[place] = (first, own, place)
    return sorted(sorted(places, key=lambda place: places[place])[:count])


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "b", "c"]), st.text("xyz", max_size=3)), max_size=40),
    st.integers(0, 45),
)
def test_a_sample_is_that_of_a_draw_one_by_one(texts: list[tuple[str, str]], count: int) -> None:
    assert draw_evenly(iter(texts), count) == one_by_one(texts, count)
