from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.results.filters import parse_filter

RUN: dict[str, Any] = {
    "id": "20260131-094500-tico-4f2a",
    "name": "TICO four languages",
    "kind": "distil",
    "state": "finished",
    "note": "ku tababaran",
    "tags": ["paper", "seed 1"],
    "seed": 7,
    "failure": None,
    "created": datetime(2026, 1, 31, 9, 45, 0, 123000),
    "summary": {"best_step": 250},
    "config": {
        "training": {"learning_rate": 2e-5, "steps": 300, "trim_vocabulary": True, "patience": None},
        "bitext": [{"language": "so"}, {"language": "sw"}],
        "collections": [],
    },
    "measures": {"RR": [0.6, 0.9], "R@1": [0.5], "AP@20": [math.nan]},
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("", True),
        ("tico", True),
        ("FOUR lang", True),
        ('"four lang"', True),
        ('"four  lang"', False),
        ("paper", True),
        ("finished", False),
        ("4f2a tababar distil", True),
        ("state=finished", True),
        ("state = FINISHED", True),
        ("state!=finished", False),
        ("seed=7 seed=7.0 seed>6.5 seed<=7", True),
        ("seed=seven", False),
        ("seed!=seven", True),
        ("tags=paper", True),
        ("tags='seed 1'", True),
        ("tags=pap", False),
        ("tags!=paper", False),
        ("failure=x", False),
        ("failure!=x", True),
        ("created=2026-01-31", True),
        ("created>2026-01-30", True),
        ("created>2026-01-31", False),
        ("created<2026-02", True),
        ("created>='2026-01-31 09:45'", True),
        ("training.learning_rate>1e-5", True),
        ("config.training.learning_rate>1e-5", True),
        ("training.learning_rate>3e-5", False),
        ("training.trim_vocabulary=true", True),
        ("training.patience<5", False),
        ("bitext.language=sw", True),
        ("bitext.language!=sw", False),
        ("summary.best_step<300", True),
        ("RR>0.8", True),
        ("RR<0.5", False),
        ("R@1=0.5", True),
        ("AP@20>0 OR AP@20<=0", False),
        ("zz OR tico", True),
        ("tico AND zz OR tico", True),
        ("tico AND (zz OR yy)", False),
        ("NOT zz tico", True),
        ("NOT (zz OR tico)", False),
        ("NOT NOT tico", True),
        ('"AND"', False),
        ("and", False),
    ],
)
def test_what_an_expression_selects(expression, expected):
    chosen = parse_filter(expression)
    chosen.check_fields([RUN])
    assert chosen.matches(RUN) is expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(tico", "closing bracket, found the end"),
        ("tico)", "AND, OR or the end, found '\\)'"),
        ("AND tico", "expected a word.*found 'AND'"),
        ("tico OR", "expected a word.*found the end"),
        ("seed=", "a value after '=', found the end"),
        ("=7", "expected a word.*found '='"),
        ("seed==7", "a value after '=', found '='"),
        ('"tico', 'character 1 is a " without its end'),
        ("seed!7", "character 5 is a '!' without '='"),
        ("NOT", "found the end"),
        ("(" * 500 + "a" + ")" * 500, "more than 100"),
        ("NOT " * 500 + "a", "more than 100"),
    ],
)
def test_a_wrong_expression_says_where(expression, message):
    with pytest.raises(InputError, match=message):
        parse_filter(expression)


def test_a_misspelt_field_is_refused_when_there_are_runs():
    chosen = parse_filter("training.step>3 stat=finished")
    with pytest.raises(InputError, match=r"field 'stat' .did you mean 'state'"):
        chosen.check_fields([RUN])
    chosen.check_fields([])


@given(st.text())
def test_any_text_is_a_filter_or_an_input_error(text):
    try:
        chosen = parse_filter(text)
    except InputError:
        return
    assert chosen.matches(RUN) in (True, False)


# A tree of an expression: a word, a comparison of seed, or ("NOT" | "AND" | "OR", trees...).
leaves = st.one_of(
    st.sampled_from(["tico", "kiswahili"]),
    st.tuples(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), st.integers(5, 9)),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("NOT"), inner),
        st.tuples(st.sampled_from(["AND", "OR", ""]), inner, inner),
    ),
    max_leaves=12,
)


def written(tree: Any) -> str:
    if isinstance(tree, str):
        return tree
    if len(tree) == 2 and isinstance(tree[1], int):
        return f"seed{tree[0]}{tree[1]}"
    if tree[0] == "NOT":
        return f"NOT ({written(tree[1])})"
    return f"({written(tree[1])}) {tree[0]} ({written(tree[2])})"


def flat(tree: Any) -> str:
    """Python's own expression for `tree`, which knows nothing of ours."""
    if isinstance(tree, str):
        return str(tree == "tico")
    if len(tree) == 2 and isinstance(tree[1], int):
        return f"7 {tree[0].replace('=', '==') if tree[0] == '=' else tree[0]} {tree[1]}"
    if tree[0] == "NOT":
        return f"(not ({flat(tree[1])}))"
    return f"(({flat(tree[1])}) {tree[0].lower() or 'and'} ({flat(tree[2])}))"


@given(trees)
def test_and_or_not_and_brackets_mean_what_they_do_in_python(tree):
    assert parse_filter(written(tree)).matches(RUN) is eval(flat(tree))


@given(
    st.lists(st.tuples(st.sampled_from(["tico", "nobody"]), st.sampled_from(["AND", "OR", ""])), min_size=1)
)
def test_and_binds_tighter_than_or(chain):
    ours = " ".join(part for pair in chain for part in pair) + " tico"
    theirs = " ".join(f"{word == 'tico'} {sign.lower() or 'and'}" for word, sign in chain) + " True"
    assert parse_filter(ours).matches(RUN) is eval(theirs)
