"""Evaluating a collection: values worked out by hand, and rows that the results tables take."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.collections.base import Collection, Document, Query
from engine.errors import InputError
from engine.evaluation.scores import Scores, evaluate_collection
from engine.evaluation.searching import relevant_documents
from engine.results.tables import to_table
from engine.retrieval.tokens import TokenStore


def collection(**changes: object) -> Collection:
    fields = {
        "name": "toy",
        "revision": "r1",
        "protocol": "bitext",
        "direction": "xx-en",
        "queries": (Query("so:1", "kow", "so"), Query("sw:1", "moja", "sw"), Query("sw:2", "mbili", "sw")),
        "documents": tuple(
            Document(f"en:{n}", text, "en") for n, text in enumerate(["one", "two", "three", "four"])
        ),
        "judgements": {"so:1": {"en:0": 1}, "sw:1": {"en:0": 1, "en:3": 0}, "sw:2": {"en:1": 1, "en:2": 1}},
        "measures": ("RR", "AP", "R@1", "mAP@2"),
    }
    return Collection(**{**fields, **changes})  # type: ignore[arg-type]


# Each query's scores of the four documents, which the identity as document vectors makes its vector.
SCORES = torch.tensor([[0.9, 0.1, 0.2, 0.3], [0.1, 0.4, 0.3, 0.2], [0.5, 0.4, 0.5, 0.3]])
ORDERS = {
    "so:1": ["en:0", "en:3", "en:2", "en:1"],
    "sw:1": ["en:1", "en:2", "en:3", "en:0"],
    "sw:2": ["en:0", "en:2", "en:1", "en:3"],
}


def evaluated(depth: int = 4, **changes: object) -> Scores:
    return evaluate_collection(collection(**changes), SCORES, torch.eye(4), scoring="dense", depth=depth)


def test_inverted_lists_find_what_exact_search_finds_when_all_are_looked_into() -> None:
    exact = evaluate_collection(collection(), SCORES, torch.eye(4), scoring="dense")
    listed = evaluate_collection(collection(), SCORES, torch.eye(4), scoring="dense-ivf", probes=4)
    assert listed.values == exact.values
    assert {row["scoring"] for row in listed.score_table().to_pylist()} == {"dense-ivf"}


def test_values_are_those_worked_out_by_hand() -> None:
    scores = evaluated()
    assert {
        query: list(found)
        for query, found in zip(scores.ranking.query_ids, scores.ranking.document_ids, strict=True)
    } == ORDERS
    assert scores.values["RR"] == {"so": {"so:1": 1.0}, "sw": {"sw:1": 0.25, "sw:2": 0.5}}
    assert scores.values["R@1"] == {"so": {"so:1": 1.0}, "sw": {"sw:1": 0.0, "sw:2": 0.0}}
    assert scores.values["AP"]["sw"] == pytest.approx({"sw:1": 1 / 4, "sw:2": (1 / 2 + 2 / 3) / 2})
    assert scores.values["mAP@2"]["sw"] == pytest.approx({"sw:1": 0.0, "sw:2": (1 / 2) / 2})
    assert scores.macro("RR") == pytest.approx((1 + 0.375) / 2)


def test_measures_without_a_cutoff_see_past_the_depth() -> None:
    shallow = evaluated(depth=2)
    assert len(shallow.ranking.document_ids[1]) == 2
    assert shallow.values["RR"] == evaluated().values["RR"]
    assert shallow.values["AP"] == evaluated().values["AP"]


def test_one_token_a_text_makes_late_interaction_the_inner_product() -> None:
    def single(vectors: torch.Tensor) -> TokenStore:
        return TokenStore(vectors, torch.arange(len(vectors) + 1))

    late = evaluate_collection(collection(), single(SCORES), single(torch.eye(4)), scoring="maxsim", depth=4)
    assert late.values == evaluated().values
    assert late.ranking.document_ids == evaluated().ranking.document_ids


def test_a_query_without_tokens_finds_nothing_and_scores_zero() -> None:
    queries = TokenStore(SCORES[1:], torch.tensor([0, 0, 1, 2]))
    documents = TokenStore(torch.eye(4), torch.arange(5))
    scores = evaluate_collection(collection(), queries, documents, scoring="maxsim", depth=4)
    assert scores.ranking.document_ids[0] == []
    assert all(scores.values[measure]["so"]["so:1"] == 0.0 for measure in scores.values)


def test_rows_are_what_the_tables_take() -> None:
    scores = evaluated()
    tables = {
        "scores": scores.score_table(),
        "query_scores": scores.query_score_table(),
        "rankings": scores.ranking_table(),
        "texts": scores.text_table(),
    }
    for name, table in tables.items():
        assert to_table(name, table).equals(table)
        assert table.num_rows > 0
    mean = {(row["query_language"], row["measure"]): row for row in tables["scores"].to_pylist()}
    assert mean["sw", "RR"]["value"] == pytest.approx(0.375) and mean["sw", "RR"]["queries"] == 2
    assert mean["sw", "RR"]["low"] <= 0.375 <= mean["sw", "RR"]["high"]
    assert mean["so", "RR"]["low"] is None and mean["so", "RR"]["document_language"] == "en"
    ranked = [row for row in tables["rankings"].to_pylist() if row["query_id"] == "sw:1"]
    assert [(row["rank"], row["document_id"], row["grade"]) for row in ranked] == [
        (1, "en:1", None), (2, "en:2", None), (3, "en:3", 0), (4, "en:0", 1),
    ]  # fmt: skip
    assert [row["score"] for row in ranked] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert len(tables["query_scores"]) == 3 * 4
    told = {(row["role"], row["id"]): (row["language"], row["text"]) for row in tables["texts"].to_pylist()}
    assert told["query", "sw:2"] == ("sw", "mbili") and told["document", "en:3"] == ("en", "four")
    assert len(told) == tables["texts"].num_rows == 3 + 4


def test_texts_are_those_of_relevant_documents_and_of_the_tops() -> None:
    many = tuple(Document(f"en:{n}", f"text {n}", "en") for n in range(40))
    asked = collection(
        documents=many, queries=(Query("so:1", "kow", "so"),), judgements={"so:1": {"en:39": 1}}
    )
    descending = torch.arange(40, 0, -1)[None].float()
    rows = evaluate_collection(asked, descending, torch.eye(40), scoring="dense").text_table().to_pylist()
    assert [row["id"] for row in rows] == ["so:1", *(f"en:{n}" for n in range(10)), "en:39"]


def test_more_measures_can_be_asked_for_and_senseless_ones_are_refused() -> None:
    arguments = collection(), SCORES, torch.eye(4)
    scores = evaluate_collection(*arguments, scoring="dense", depth=2, measures=["nDCG@2"])
    ideal = 1 / np.log2(2) + 1 / np.log2(3)
    assert scores.values["nDCG@2"]["sw"]["sw:2"] == pytest.approx(1 / np.log2(3) / ideal)
    with pytest.raises(InputError, match="more ranks than depth = 2; raise depth to 3"):
        evaluate_collection(*arguments, scoring="dense", depth=2, measures=["nDCG@3"])
    with pytest.raises(InputError, match="no cutoff"):
        evaluate_collection(*arguments, scoring="dense", measures=["nDCG"])
    with pytest.raises(InputError, match="unknown measure"):
        evaluate_collection(*arguments, scoring="dense", measures=["nonsense"])
    with pytest.raises(InputError, match="no query"):
        evaluate_collection(collection(queries=()), SCORES[:0], torch.eye(4), scoring="dense")


def test_vectors_of_another_collection_are_refused() -> None:
    with pytest.raises(ValueError, match="2 queries and 4 documents"):
        evaluate_collection(collection(), SCORES[:2], torch.eye(4), scoring="dense")
    with pytest.raises(ValueError, match="token stores"):
        evaluate_collection(collection(), SCORES, torch.eye(4), scoring="maxsim")


def test_relevant_documents_leave_out_grade_zero() -> None:
    assert relevant_documents(collection()).tolist() == [[0, -1], [0, -1], [1, 2]]


def test_deep_measures_come_from_ranks_and_equal_those_of_the_whole_ranking() -> None:
    deep = ("R@3", "P@3", "Success@3", "AP@3", "RR@3", "mAP@3")
    shallow, whole = (
        evaluate_collection(
            collection(), SCORES, torch.eye(4), scoring="dense", depth=depth, measures=(*deep, "Judged@2")
        )
        for depth in (2, 4)
    )
    assert shallow.values == whole.values
    assert whole.values["R@3"]["sw"] == {"sw:1": 0.0, "sw:2": 1.0}
    assert whole.values["RR@3"]["sw"] == {"sw:1": 0.0, "sw:2": 0.5}
    assert whole.values["Judged@2"]["sw"] == {"sw:1": 0.0, "sw:2": 0.5}


def test_relevant_documents_outside_the_pool_count_and_are_never_found() -> None:
    judged = {**collection().judgements, "so:1": {"en:0": 1, "en:elsewhere": 1}}
    scores = evaluated(judgements=judged)
    assert scores.values["RR"]["so"] == {"so:1": 1.0}
    assert scores.values["AP"]["so"] == {"so:1": 0.5}
    assert scores.values["R@1"]["so"] == {"so:1": 0.5}


def test_queries_without_a_relevant_document_score_zero_as_in_trec_eval() -> None:
    judged = {**collection().judgements, "so:1": {"en:0": 0}}
    scores = evaluated(judgements=judged)
    assert {measure: scores.values[measure]["so"]["so:1"] for measure in scores.values} == dict.fromkeys(
        collection().measures, 0.0
    )


def test_ignored_documents_are_taken_out_and_those_below_move_up() -> None:
    ignored = {"so:1": ("en:3", "en:2"), "sw:2": ("en:0",)}
    for scoring in ("dense", "dense-ivf"):
        scores = evaluate_collection(
            collection(ignored=ignored), SCORES, torch.eye(4), scoring=scoring, depth=2, probes=4
        )
        assert list(map(list, scores.ranking.document_ids)) == [
            ["en:0", "en:1"],
            ["en:1", "en:2"],
            ["en:2", "en:1"],
        ]
        assert scores.values["RR"]["sw"]["sw:2"] == 1.0 and scores.values["AP"]["sw"]["sw:2"] == 1.0


def test_ignored_documents_of_late_interaction_and_a_relevant_one() -> None:
    """BEIR takes out a document with the id of the query even if it is relevant: it counts as not found."""
    stores = [TokenStore(rows.float(), torch.arange(len(rows) + 1)) for rows in (SCORES, torch.eye(4))]
    ignored = {"sw:2": ("en:1",)}
    scores = evaluate_collection(collection(ignored=ignored), *stores, scoring="maxsim", depth=4)
    assert scores.ranking.document_ids[2] == ["en:0", "en:2", "en:3"]
    assert scores.values["RR"]["sw"]["sw:2"] == 0.5 and scores.values["AP"]["sw"]["sw:2"] == 0.25


@pytest.mark.parametrize("scoring", ["dense", "dense-ivf"])
def test_empty_texts_find_nothing_and_are_not_found_by_sentence_vectors(scoring: str) -> None:
    queries = (Query("so:1", " ", "so"), *collection().queries[1:])
    documents = (Document("en:0", "", "en"), *collection().documents[1:])
    measures = ("RR", "AP", "nDCG@10", "R@1", "Judged@10")
    found = evaluate_collection(
        collection(queries=queries, documents=documents, measures=measures),
        SCORES,
        torch.eye(4),
        scoring=scoring,
        probes=4,
    )
    assert list(map(list, found.ranking.document_ids)) == [
        [],
        ["en:1", "en:2", "en:3"],
        ["en:2", "en:1", "en:3"],
    ]
    assert all(languages["so"]["so:1"] == 0 for languages in found.values.values())
    assert found.values["RR"]["sw"] == {"sw:1": 0.0, "sw:2": 1.0}
    blank = tuple(Document(f"en:{n}", "\n", "en") for n in range(4))
    nothing = evaluate_collection(
        collection(documents=blank, measures=measures), SCORES, torch.eye(4), scoring=scoring, probes=4
    )
    assert not any(nothing.ranking.document_ids) and all(mean.value == 0 for mean in nothing.means)
    assert nothing.score_table().num_rows == 2 * len(measures) and nothing.ranking_table().num_rows == 0


def test_a_query_whose_relevant_documents_are_all_missing() -> None:
    judgements = {key: {"en:9": 1} for key in ("so:1", "sw:1", "sw:2")}
    assert all(mean.value == 0 for mean in evaluated(judgements=judgements).means)
