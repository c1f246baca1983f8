"""Which tables scores share, by a definition that says it for a single score."""

from __future__ import annotations

from typing import NamedTuple

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from engine.results.alignment import align_scorings, scoring_condition

ENCODERS = ("maxsim", "dense", "dense-ivf")
OTHERS = ("bm25", "tfidf", "rrf")


class Key(NamedTuple):
    collection: str
    scoring: str


KEYS = st.builds(Key, st.sampled_from("ab"), st.sampled_from(ENCODERS + OTHERS))


@given(st.lists(KEYS))
def test_encoder_scorings_stay_apart_and_others_join_all_of_them(keys: list[Key]) -> None:
    aligned = align_scorings(keys)
    assert set(aligned) == set(keys)
    for key, tables in aligned.items():
        beside = {other.scoring for other in keys if other.collection == key.collection}
        assert {table.collection for table in tables} == {key.collection}
        if key.scoring in ENCODERS:
            assert tables == [key]
        elif beside & set(ENCODERS):
            assert sorted(table.scoring for table in tables) == sorted(beside & set(ENCODERS))
        else:
            assert [table.scoring for table in tables] == [" / ".join(sorted(beside))]


@given(st.lists(st.sampled_from(ENCODERS + OTHERS), min_size=1, unique=True), st.sampled_from(ENCODERS))
def test_the_condition_selects_what_a_table_shows(scorings: list[str], table: str) -> None:
    condition, parameters = scoring_condition(table)
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT scoring FROM (SELECT unnest(?::VARCHAR[]) AS scoring) WHERE {condition}",
            [scorings, *parameters],
        ).fetchall()
    assert {row[0] for row in rows} == {name for name in scorings if name == table or name in OTHERS}
