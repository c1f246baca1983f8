"""Language bias, on rankings whose bias is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine.collections.base import Collection, Document, Query
from engine.evaluation.scores import Scores, evaluate_collection
from engine.results.tables import KEYS, to_table


def parallel(topics: int = 6, languages: tuple[str, ...] = ("de", "en", "sw")) -> Collection:
    """Every topic is asked in every language and has a relevant document in every one."""
    documents = tuple(
        Document(f"{code}:{n}", f"{code} {n}", code) for code in languages for n in range(topics)
    )
    queries = tuple(Query(f"{code}:t{n}", f"{code}? {n}", code) for code in languages for n in range(topics))
    return Collection(
        name="parallel",
        revision="r",
        protocol="xtreme-r",
        direction="xx-xx",
        queries=queries,
        documents=documents,
        judgements={
            f"{code}:t{n}": {f"{other}:{n}": 1 for other in languages}
            for code in languages
            for n in range(topics)
        },
        measures=("AP",),
    )


def searched(topic: float, language: float, topics: int = 6) -> Scores:
    """Search with vectors that hold the topic and the language, weighted."""
    collection = parallel(topics)
    codes = list(collection.document_languages)

    def vectors(texts: tuple[Query, ...] | tuple[Document, ...]) -> torch.Tensor:
        rows = torch.zeros(len(texts), topics + len(codes))
        for row, text in zip(rows, texts, strict=True):
            row[int(text.id.partition(":")[2].removeprefix("t"))] = topic**0.5
            row[topics + codes.index(text.language)] = language**0.5
        return rows

    return evaluate_collection(
        collection, vectors(collection.queries), vectors(collection.documents), scoring="dense", depth=18
    )


def figures(scores: Scores, language: str) -> dict[str, float]:
    return {figure.measure: figure.value for figure in scores.extra if figure.query_language == language}


def test_a_system_that_sees_topics_alone_puts_translations_side_by_side() -> None:
    found = figures(searched(1.0, 0.0), "sw")
    # relevant documents hold ranks 1 to 3, in the pool's order of languages: de, en, sw
    assert found["RankDistance"] == pytest.approx((1 + 1 + 2) / 3)
    assert found["OwnFirst"] == 0.0
    assert [found[f"RR:{code}"] for code in ("de", "en", "sw")] == pytest.approx([1, 1 / 2, 1 / 3])


def test_a_system_that_sees_language_first_prefers_its_own() -> None:
    found = figures(searched(0.5, 1.0), "sw")
    assert found["OwnFirst"] == 1.0 and found["RR:sw"] == 1.0
    # its own language fills ranks 1 to 6, then the other two translations follow at 7 and 8
    assert found["RR:de"] == pytest.approx(1 / 7) and found["RankDistance"] == pytest.approx((6 + 7 + 1) / 3)
    assert found["Share@10:sw"] == pytest.approx(6 / 10)


def test_shares_of_the_first_ten_sum_to_one() -> None:
    for code in ("de", "en", "sw"):
        found = figures(searched(0.3, 0.2), code)
        assert sum(value for name, value in found.items() if name.startswith("Share@10:")) == pytest.approx(1)


def test_random_scores_prefer_no_language() -> None:
    generator = torch.Generator().manual_seed(0)
    collection = parallel(60)
    scores = evaluate_collection(
        collection,
        torch.randn(180, 16, generator=generator),
        torch.randn(180, 16, generator=generator),
        scoring="dense",
    )
    preference = np.mean([figures(scores, code)["OwnFirst"] for code in ("de", "en", "sw")])
    assert preference == pytest.approx(0.5, abs=0.06)
    # the mean distance of two random ranks of n is (n + 1) / 3
    distance = np.mean([figures(scores, code)["RankDistance"] for code in ("de", "en", "sw")])
    assert distance == pytest.approx(181 / 3, rel=0.08)


def test_rows_join_the_tables_under_protocols_of_their_own() -> None:
    scores = searched(1.0, 0.5)
    table = to_table("scores", scores.score_table())
    rows = table.to_pylist()
    assert {row["protocol"] for row in rows} == {
        "xtreme-r",
        "xtreme-r/bias",
        "xtreme-r/share",
        "xtreme-r/by-language",
    }
    assert {row["document_language"] for row in rows if row["measure"] == "Share@10:sw"} == {"sw"}
    keys = [tuple(row[name] for name in KEYS["scores"]) for row in rows]
    assert len(set(keys)) == len(keys)
    kept = to_table("query_scores", scores.query_score_table()).to_pylist()
    assert {row["measure"] for row in kept} == {
        *("AP", "RankDistance", "OwnFirst", "LPR", "LangnDCG@10", "Max@R", "Complete@10")
    }
    keys = [tuple(row[name] for name in KEYS["query_scores"]) for row in kept]
    assert len(set(keys)) == len(keys)


def test_one_language_of_documents_has_no_bias() -> None:
    collection = parallel(3, ("en",))
    assert evaluate_collection(collection, torch.eye(3), torch.eye(3), scoring="dense").extra == []


def test_which_language_comes_first_and_when_all_are_found() -> None:
    own, blind = figures(searched(0.5, 1.0), "sw"), figures(searched(1.0, 0.0), "sw")
    assert (own["LPR"], blind["LPR"]) == (1.0, 0.0)
    # ranks 1, 7 and 8 against 1, 2 and 3, of which the query's language is the third
    assert (own["Max@R"], blind["Max@R"]) == (8.0, 3.0)
    assert own["Complete@10"] == blind["Complete@10"] == 1.0
    ideal = 1 + 0.5 / math.log2(3) + 0.5 / math.log2(4)
    assert own["LangnDCG@10"] == pytest.approx((1 + 0.5 / math.log2(8) + 0.5 / math.log2(9)) / ideal)
    assert blind["LangnDCG@10"] == pytest.approx((0.5 + 0.5 / math.log2(3) + 1 / math.log2(4)) / ideal)


def test_a_document_below_ten_is_not_complete() -> None:
    # with 12 topics its own language fills ranks 1 to 12
    found = figures(searched(0.5, 1.0, topics=12), "sw")
    assert found["Max@R"] == 14.0 and found["Complete@10"] == 0.0
