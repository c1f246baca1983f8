"""Requests and replies cross the wire unchanged, and reading them costs no numerical library."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.inspect.records import Hit, Match
from engine.results.metrics_log import to_json as plain_json
from engine.serving import records
from engine.serving.records import (
    CollectionQuery,
    ExplainReply,
    ExplainRequest,
    Operation,
    PlanReply,
    PlanRequest,
    Pool,
    SearchReply,
    SearchRequest,
    from_json,
    to_json,
)

texts = st.text(max_size=20)
numbers = st.integers(min_value=0, max_value=10**9)
# Infinities are equal to themselves; NaN is tested alone.
reals = st.floats(allow_nan=False)
matches = st.builds(Match, query_token=texts, document_token=texts, score=reals)
hits = st.builds(
    Hit, rank=numbers, score=reals, document=texts, text=texts, language=texts, grade=st.none() | numbers
)
matrices = st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3), max_size=3)
REPLIES: list[tuple[Operation[Any, Any], st.SearchStrategy[Any]]] = [
    (
        records.LIST_POOLS,
        st.lists(
            st.builds(
                Pool, collection=texts, pool=numbers, name=texts, direction=texts, queries=st.lists(texts),
                documents=texts, size=numbers,
            ),
            max_size=3,
        ),
    ),
    (records.LIST_QUERIES, st.lists(st.builds(CollectionQuery, id=texts, text=texts), max_size=3)),
    (
        records.SEARCH,
        st.builds(
            SearchReply, run=texts, collection=texts, hits=st.lists(hits, max_size=3),
            relevant=st.none() | numbers, cut=st.booleans(), searched=numbers, seconds=reals,
            translation=st.none() | texts,
        ),
    ),
    (
        records.EXPLAIN,
        st.builds(
            ExplainReply, run=texts, document=texts, text=texts, score=reals,
            matches=st.lists(matches, max_size=3),
        ),
    ),
    (
        records.PLAN,
        st.builds(
            PlanReply, run=texts, pair=texts, source_language=texts, source_text=texts, target_text=texts,
            source_tokens=st.lists(texts), target_tokens=st.lists(texts), plan=matrices, cost=matrices,
            solver=texts, epsilon=reals, iterations=numbers, marginal_error=reals, converged=st.booleans(),
            value=reals, entropy=reals, transport=st.dictionaries(texts, reals | st.none()),
        ),
    ),
]  # fmt: skip


@given(st.data())
@pytest.mark.parametrize(("operation", "replies"), REPLIES, ids=lambda value: getattr(value, "name", ""))
def test_a_reply_is_read_as_it_was_written(
    operation: Operation[Any, Any], replies: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    reply = data.draw(replies)
    line = json.dumps(plain_json(to_json(reply)), allow_nan=False)
    read = operation.read_reply(json.loads(line))
    # Infinities inside a mapping without types stay text.
    if isinstance(reply, PlanReply):
        assert plain_json(read.transport) == plain_json(reply.transport)
        assert to_json(read) | {"transport": 0} == to_json(reply) | {"transport": 0}
    else:
        assert read == reply


def test_a_score_that_is_not_a_number_is_read_as_one() -> None:
    read = from_json(Match, json.loads(json.dumps(plain_json(to_json(Match("a", "b", float("nan")))))))
    assert isinstance(read.score, float) and read.score != read.score


def test_a_request_leaves_out_what_is_none() -> None:
    request = SearchRequest("results.duckdb", "tiny", "sw", text="maji safi", k=5)
    assert to_json(request) == {
        "results": "results.duckdb", "run": "tiny", "language": "sw", "text": "maji safi", "k": 5,
    }  # fmt: skip
    whole = ExplainRequest("r", "tiny", "sw", "tico", 1, text="maji", document="en:1")
    assert from_json(ExplainRequest, to_json(whole)) == whole
    plan = PlanRequest("r", "tiny", "maji", "water", transport={"epsilon": 0.1})
    assert from_json(PlanRequest, to_json(plan)) == plan


@pytest.mark.parametrize("result", [None, 3, "hits", {"run": "tiny"}, {"run": 1, "surprise": 2}])
def test_another_answer_is_no_reply(result: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        records.SEARCH.read_reply(result)


def test_records_need_no_numerical_library() -> None:
    code = "import sys, engine.serving.records; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "numpy", "pydantic", "duckdb", "pyarrow", "transformers"}
