"""Measures against their formulas, ranx and trec_eval itself."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.evaluation.measures import (
    average_precision_from_ranks,
    depth_of,
    measure_from_ranks,
    parse_measure,
    ranks_suffice,
    reciprocal_rank_from_ranks,
    score_rankings,
)
from engine.retrieval.ranking import Ranking
from engine.retrieval.topk import ranks_of

Judgements = dict[str, dict[str, int]]


def random_run(
    seed: int, queries: int = 6, documents: int = 30, levels: int = 4
) -> tuple[Ranking, Judgements]:
    """Return rankings full of equal scores, and judgements with up to 25 relevant documents."""
    generator = np.random.default_rng(seed)
    names = [f"d{generator.integers(10**6)}-{index}" for index in range(documents)]
    ids, lists, scores = [], [], []
    judgements = {}
    for query in range(queries):
        values = generator.integers(0, levels, documents) / levels
        order = np.argsort(-values, kind="stable")[: generator.integers(1, documents + 1)]
        ids.append(f"q{query}")
        lists.append([names[index] for index in order])
        scores.append([float(values[index]) for index in order])
        chosen = generator.permutation(documents)[: generator.integers(1, 26)]
        judgements[f"q{query}"] = {names[index]: int(generator.integers(0, 2)) for index in chosen}
        judgements[f"q{query}"][names[chosen[0]]] = 1
    return Ranking(ids, lists, scores), judgements


def by_hand(documents: list[str], grades: dict[str, int], measure: str) -> float:
    relevant = sum(grades.values())
    hits = [rank for rank, document in enumerate(documents, 1) if grades.get(document)]
    precision = [(number / rank, rank) for number, rank in enumerate(hits, 1)]
    return {
        "RR": 1 / hits[0] if hits else 0.0,
        "R@1": sum(rank <= 1 for rank in hits) / relevant,
        "R@10": sum(rank <= 10 for rank in hits) / relevant,
        "Success@1": float(hits[:1] == [1]),
        "AP": sum(value for value, _ in precision) / relevant,
        "AP@20": sum(value for value, rank in precision if rank <= 20) / relevant,
        "mAP@20": sum(value for value, rank in precision if rank <= 20) / min(relevant, 20),
        "mAP@3": sum(value for value, rank in precision if rank <= 3) / min(relevant, 3),
    }[measure]


MEASURES = ("RR", "R@1", "R@10", "Success@1", "AP", "AP@20", "mAP@20", "mAP@3")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99999))
def test_every_measure_follows_its_formula_in_the_order_of_the_ranking(seed: int) -> None:
    ranking, judgements = random_run(seed)
    lists = dict(zip(ranking.query_ids, ranking.document_ids, strict=True))
    scored = score_rankings(ranking, judgements, MEASURES)
    assert [(s.query_id, s.measure) for s in scored] == [(q, m) for m in MEASURES for q in ranking.query_ids]
    for query, measure, value in scored:
        expected = by_hand(list(lists[query]), judgements[query], measure)
        assert value == pytest.approx(expected, abs=1e-12), (query, measure)


@pytest.mark.slow  # ranx compiles its measures when first used
@pytest.mark.filterwarnings("ignore:.*unsafe cast")
def test_measures_agree_with_ranx() -> None:
    ranx = pytest.importorskip("ranx")
    ranking, judgements = random_run(7, queries=40)
    names = {"RR": "mrr", "R@10": "recall@10", "Success@1": "hit_rate@1", "AP": "map", "nDCG@10": "ndcg@10"}
    run = ranx.Run({query: dict(documents) for query, documents in ranking.for_measures().items()})
    theirs = ranx.evaluate(ranx.Qrels(judgements), run, list(names.values()))
    scored = score_rankings(ranking, judgements, list(names))
    for measure, name in names.items():
        mine = np.mean([value for _, m, value in scored if m == measure])
        assert mine == pytest.approx(theirs[name], abs=1e-9), measure


def test_equal_scores_are_measured_in_the_order_found_and_not_in_trec_evals() -> None:
    judgements = {"q": {"a": 1}}
    ranking = Ranking(["q"], [["a", "b", "c"]], [[0.5, 0.5, 0.5]])
    (score,) = score_rankings(ranking, judgements, ["RR"])
    assert score.value == 1.0
    tied = {"q": dict.fromkeys("abc", 0.5)}
    own = pytrec_eval.RelevanceEvaluator(judgements, {"recip_rank"}).evaluate(tied)
    assert own["q"]["recip_rank"] == pytest.approx(1 / 3)  # by descending document id: c, b, a


def test_scores_closer_than_fp32_tells_apart_keep_their_order() -> None:
    ranking = Ranking(["q"], [["a", "b"]], [[1.0 + 1e-12, 1.0]])
    assert score_rankings(ranking, {"q": {"a": 1}}, ["RR"])[0].value == 1.0


def test_xtremes_average_precision_differs_where_more_than_twenty_are_relevant() -> None:
    documents = [f"d{index}" for index in range(40)]
    ranking = Ranking(["q"], [documents], [[1.0] * 40])
    many = {"q": dict.fromkeys(documents[:30], 1)}
    values = {m: v for _, m, v in score_rankings(ranking, many, ["mAP@20", "AP@20"])}
    assert values == {"mAP@20": pytest.approx(1.0), "AP@20": pytest.approx(20 / 30)}
    eleven = {"q": dict.fromkeys(documents[::3][:11], 1)}
    values = {m: v for _, m, v in score_rankings(ranking, eleven, ["mAP@20", "AP@20"])}
    assert values["mAP@20"] == pytest.approx(values["AP@20"])


def test_a_query_that_found_nothing_scores_zero_and_one_without_judgements_is_left_out() -> None:
    ranking = Ranking(["q", "r", "s"], [[], ["a"], ["a"]], [[], [1.0], [1.0]])
    scored = score_rankings(ranking, {"q": {"a": 1}, "r": {"a": 1}}, ["RR", "mAP@20"])
    assert scored == [("q", "RR", 0.0), ("r", "RR", 1.0), ("q", "mAP@20", 0.0), ("r", "mAP@20", 1.0)]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99999), levels=st.integers(2, 200))
def test_average_precision_from_ranks_equals_trec_evals_on_whole_rankings(seed: int, levels: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, levels, (5, 60)).astype(np.float32)
    wanted = np.stack([generator.permutation(60)[:4] for _ in range(5)])
    wanted[generator.random((5, 4)) < 0.3] = -1
    wanted[:, 0] = generator.integers(0, 4, 5) * 15
    wanted = np.array([[*dict.fromkeys(row), *[-1] * 4][:4] for row in wanted.tolist()])
    ranks = ranks_of(torch.from_numpy(scores), torch.from_numpy(wanted)).numpy()
    mine = average_precision_from_ranks(ranks, (wanted >= 0).sum(1))
    qrels = {str(q): {str(d): 1 for d in row if d >= 0} for q, row in enumerate(wanted.tolist())}
    order = np.argsort(-scores, axis=1, kind="stable")
    run = {str(q): {str(d): float(60 - r) for r, d in enumerate(row)} for q, row in enumerate(order.tolist())}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"map"}).evaluate(run)
    np.testing.assert_allclose(mine, [theirs[str(query)]["map"] for query in range(5)], atol=1e-12)


def test_relevant_documents_that_were_not_found_count_against_the_precision() -> None:
    ranks = np.array([[2, 0, 1], [0, 0, 0]])
    np.testing.assert_allclose(average_precision_from_ranks(ranks, np.array([4, 2])), [(1 + 1) / 4, 0.0])
    np.testing.assert_allclose(reciprocal_rank_from_ranks(ranks), [1.0, 0.0])
    np.testing.assert_allclose(reciprocal_rank_from_ranks(np.zeros((2, 0))), [0.0, 0.0])


@pytest.mark.parametrize("name", ["Foo@3", "mAP@0", "R@", "import os", "nDCGG@10"])
def test_unknown_measures_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="unknown measure"):
        parse_measure(name)


def test_a_misspelt_measure_gets_a_suggestion_and_one_trec_eval_lacks_a_reason() -> None:
    with pytest.raises(InputError, match="did you mean 'nDCG@10'"):
        parse_measure("nDCGG@10")
    with pytest.raises(InputError, match="trec_eval"):
        parse_measure("ERR@10")


def test_cutoffs_are_read_from_names() -> None:
    assert [depth_of(name) for name in ("mAP@20", "R@10", "RR", "nDCG@5")] == [20, 10, None, 5]


# -- against trec_eval on random runs with ties, unjudged documents and topics without a relevant one ----

TREC = {
    "nDCG@10": "ndcg_cut_10",
    "nDCG@20": "ndcg_cut_20",
    "AP@20": "map_cut_20",
    "R@10": "recall_10",
    "P@10": "P_10",
    "Success@1": "success_1",
    "R@1000": "recall_1000",
}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99999), levels=st.integers(1, 40))
def test_measures_equal_trec_evals_on_random_runs_with_ties(seed: int, levels: int) -> None:
    generator = np.random.default_rng(seed)
    ranking, _ = random_run(seed, queries=8, documents=60, levels=levels)
    names = sorted({name for documents in ranking.document_ids for name in documents})
    judgements: Judgements = {}
    for query in ranking.query_ids[:7]:  # the last topic has no judgement, some have no relevant document
        judged = generator.choice([*names, "nowhere-1", "nowhere-2"], min(20, len(names)), replace=False)
        judgements[query] = {str(name): int(generator.integers(-1, 4)) for name in judged}
    judgements[ranking.query_ids[0]] = {"nowhere-1": 0}
    run = {query: dict(documents) for query, documents in ranking.for_measures().items()}
    theirs = pytrec_eval.RelevanceEvaluator(
        judgements, {"ndcg_cut", "map_cut", "recall", "P", "success"}
    ).evaluate(run)
    scored = score_rankings(ranking, judgements, list(TREC))
    assert {score.query_id for score in scored} == set(theirs) == set(judgements)
    for query, measure, value in scored:
        assert value == pytest.approx(theirs[query][TREC[measure]], abs=1e-6), (query, measure)
    # and the same from the ranks of relevant documents alone
    for measure, name in TREC.items():
        if ranks_suffice(measure):
            for query, documents in zip(ranking.query_ids, ranking.document_ids, strict=True):
                relevant = [d for d, grade in judgements.get(query, {}).items() if grade > 0]
                ranks = [documents.index(d) + 1 if d in documents else 0 for d in relevant] or [0]
                if query in judgements:
                    value = measure_from_ranks(measure, np.array([ranks]), np.array([len(relevant)]))
                    assert value == pytest.approx(theirs[query][name], abs=1e-6), (query, measure)


def test_trec_evals_own_order_of_ties_differs_from_ours_and_ours_is_what_is_measured() -> None:
    ranking = Ranking(["q"], [["a", "b"]], [[0.5, 0.5]])
    ((_, _, ours),) = score_rankings(ranking, {"q": {"a": 1}}, ["P@1"])
    theirs = pytrec_eval.RelevanceEvaluator({"q": {"a": 1}}, {"P"}).evaluate({"q": {"a": 0.5, "b": 0.5}})
    assert (ours, theirs["q"]["P_5"] * 5) == (1.0, 1.0)
    assert (
        pytrec_eval.RelevanceEvaluator({"q": {"a": 1}}, {"success"}).evaluate({"q": {"a": 0.5, "b": 0.5}})[
            "q"
        ]["success_1"]
        == 0.0
    )


def test_judged_counts_judged_documents_of_any_grade() -> None:
    ranking = Ranking(["q"], [["a", "b", "c", "d"]], [[4.0, 3.0, 2.0, 1.0]])
    scored = score_rankings(ranking, {"q": {"a": 0, "c": 2}}, ["Judged@2", "Judged@4"])
    assert [value for *_, value in scored] == [0.5, 0.5]


def test_ms_marcos_reciprocal_rank_is_zero_below_its_cutoff() -> None:
    documents = [f"d{index}" for index in range(12)]
    ranking = Ranking(["q", "r"], [documents, documents], [[1.0] * 12] * 2)
    scored = score_rankings(ranking, {"q": {"d9": 1}, "r": {"d10": 1, "d11": 1}}, ["RR@10", "RR"])
    assert scored == [("q", "RR@10", 0.1), ("r", "RR@10", 0.0), ("q", "RR", 0.1), ("r", "RR", 1 / 11)]


def test_ranks_do_not_suffice_for_graded_measures() -> None:
    with pytest.raises(ValueError, match="nDCG@10"):
        measure_from_ranks("nDCG@10", np.array([[1]]), np.array([1]))


@pytest.mark.parametrize("found", [[[], []], [["d1"], []]])
def test_a_query_that_finds_nothing_scores_0_in_every_measure(found: list[list[str]]) -> None:
    names = ["nDCG@10", "AP", "RR", "R@100", "Judged@10", "P@5", "Success@1", "mAP@20", "RR@10", "Rprec"]
    ranking = Ranking(["q1", "q2"], found, [[1.0] * len(documents) for documents in found])
    scores = score_rankings(ranking, {"q1": {"d1": 1}, "q2": {"d1": 1, "d2": 0}}, names)
    assert {score.measure for score in scores} == set(names) and len(scores) == 2 * len(names)
    assert all(score.value == 0 for score in scores if score.query_id == "q2")
    hit = [score.value for score in scores if score.query_id == "q1" and score.measure != "P@5"]
    assert set(hit) == {float(bool(found[0]))}
