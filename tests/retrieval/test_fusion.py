"""Fusion by ranks against ranx and by scores against numpy, and runs that fuse runs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.config import parse_config
from engine.errors import InputError
from engine.evaluation.finished_run import config_of
from engine.results.run_folder import RunFolder
from engine.retrieval.fusion import (
    Scored,
    candidates,
    reciprocal_ranks,
    standard_scores,
    unit_range,
    weighted_sum,
)
from engine.runs.execute import execute


def random_systems(seed: int, queries: int = 6, pool: int = 30) -> list[dict[int, list[int]]]:
    generator = random.Random(seed)
    return [
        {query: generator.sample(range(pool), generator.randint(1, 12)) for query in range(queries)}
        for _ in range(3)
    ]


def as_ranks(system: dict[int, list[int]]) -> Scored:
    rows = [(q, d, rank) for q, found in system.items() for rank, d in enumerate(found, 1)]
    queries, documents, ranks = np.array(rows, dtype=np.int64).T
    return Scored(queries, documents, ranks, 100.0 - ranks)


def reciprocal_rank_fusion(systems: list[Scored], k: int = 60) -> Scored:
    found = candidates(systems)
    return weighted_sum(found, reciprocal_ranks(found, k=k), [1.0] * len(systems))


@pytest.mark.slow  # ranx compiles for half a minute
def test_scores_equal_those_of_ranx() -> None:
    from ranx import Run
    from ranx import fuse as ranx_fuse

    k, systems = 60, random_systems(60)
    theirs = ranx_fuse(
        [
            Run({f"q{q}": {f"d{d}": 100.0 - rank for rank, d in enumerate(found)} for q, found in s.items()})
            for s in systems
        ],
        norm=None,
        method="rrf",
        params={"k": k},
    ).to_dict()
    fused = reciprocal_rank_fusion([as_ranks(system) for system in systems], k)
    ours: dict[str, dict[str, float]] = {}
    for query, document, score in zip(fused.queries, fused.documents, fused.scores, strict=True):
        ours.setdefault(f"q{query}", {})[f"d{document}"] = score
    assert ours.keys() == theirs.keys()
    for query, scores in ours.items():
        assert scores == pytest.approx(theirs[query])
        assert list(scores.values()) == sorted(scores.values(), reverse=True)


@pytest.mark.parametrize("k", [0, 1, 60])
def test_scores_are_the_papers_formula(k: int) -> None:
    systems = random_systems(k)
    expected: dict[tuple[int, int], float] = {}
    for system in systems:
        for query, found in system.items():
            for rank, document in enumerate(found, 1):
                expected[query, document] = expected.get((query, document), 0) + 1 / (k + rank)
    fused = reciprocal_rank_fusion([as_ranks(system) for system in systems], k)
    pairs = [*zip(fused.queries.tolist(), fused.documents.tolist(), strict=True)]
    assert len(pairs) == len(expected)
    assert dict(zip(pairs, fused.scores.tolist(), strict=True)) == pytest.approx(expected)
    order = sorted(range(len(pairs)), key=lambda i: (fused.queries[i], fused.ranks[i]))
    assert order == [*range(len(pairs))] and np.all(
        (np.diff(fused.scores) <= 0) | (np.diff(fused.queries) > 0)
    )


def test_neither_the_order_of_systems_nor_of_entries_matters() -> None:
    systems = [as_ranks(system) for system in random_systems(3)]
    first = reciprocal_rank_fusion(systems)
    shuffled = [Scored(*(column[::-1] for column in system)) for system in reversed(systems)]
    for one, two in zip(first, reciprocal_rank_fusion(shuffled), strict=True):
        assert np.array_equal(one, two)


def test_equal_scores_keep_the_lower_document_first() -> None:
    one, two = as_ranks({0: [9, 4]}), as_ranks({0: [4, 9]})
    fused = reciprocal_rank_fusion([one, two])
    assert fused.documents.tolist() == [4, 9] and fused.ranks.tolist() == [1, 2]
    assert fused.scores.tolist() == [1 / 61 + 1 / 62] * 2


def scored(*systems: dict[int, float]) -> list[Scored]:
    """Return systems of one query from their documents' scores."""
    made = []
    for system in systems:
        documents = sorted(system, key=lambda document: -system[document])
        scores = [system[document] for document in documents]
        count = len(documents)
        made.append(
            Scored(
                np.zeros(count, dtype=np.int64),
                np.array(documents, dtype=np.int64),
                np.arange(1, count + 1),
                np.array(scores, dtype=np.float64),
            )
        )
    return made


def test_a_document_that_a_system_lacks_gets_the_lowest_score_or_zero_below_a_complete_ranking() -> None:
    one, two = {1: 0.9, 2: 0.8, 3: 0.7}, {3: 5.0, 4: 2.0}
    found = candidates(scored(one, two), complete_below=[None, 10])
    assert found.documents.tolist() == [1, 2, 3, 4]
    assert found.scores.tolist() == [[0.9, 0], [0.8, 0], [0.7, 5], [0.7, 2]]
    assert found.ranks.tolist() == [[1, 0], [2, 0], [3, 1], [0, 2]]
    cut = candidates(scored(one, two), complete_below=[None, 2])
    assert cut.scores[:, 1].tolist() == [2, 2, 5, 2]
    assert candidates(scored(one, two), depth=1).documents.tolist() == [1, 3]


def test_scores_are_normalised_over_the_candidates_of_each_query() -> None:
    found = candidates(scored({1: 0.9, 2: 0.8, 3: 0.7}, {3: 5.0, 4: 2.0}), complete_below=[None, 10])
    expected = (found.scores - found.scores.mean(0)) / found.scores.std(0)
    assert standard_scores(found) == pytest.approx(expected)
    low, high = found.scores.min(0), found.scores.max(0)
    assert unit_range(found) == pytest.approx((found.scores - low) / (high - low))
    fused = weighted_sum(found, standard_scores(found), [1.0, 0.5])
    assert fused.scores == pytest.approx(sorted(expected @ [1, 0.5], reverse=True))


def test_a_system_that_scores_all_alike_has_no_share() -> None:
    found = candidates(scored({1: 0.9, 2: 0.8}, {1: 0.3, 2: 0.3}, {}))
    for shares in (standard_scores(found), unit_range(found)):
        assert shares[:, 1:].tolist() == [[0, 0], [0, 0]]
    nothing = candidates(scored({}, {}))
    assert not len(standard_scores(nothing)) and not len(unit_range(nothing))


def lexical(tiny: Any, runs: Path, name: str, **changes: Any) -> RunFolder:
    test = [{"path": str(tiny.test[code]), "language": code} for code in ("sw", "mr")]
    settings = {
        "kind": "lexical",
        "method": "tfidf",
        "collections": [{"name": "bitext", "bitext": test}],
        "shortest": 1,
        "longest": 1,
    }
    return execute(parse_config({**settings, "name": name, **changes}), runs, ["test"])[0]


def fuse(runs: Path, *systems: dict[str, Any], **changes: Any) -> Any:
    return execute(parse_config({"kind": "fuse", "systems": list(systems), **changes}), runs, ["test"])


def test_a_fusion_is_a_run_that_is_scored_with_the_stored_rankings(tiny: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    letters = lexical(tiny, runs, "letters")
    pairs = lexical(tiny, runs, "pairs", longest=2, depth=10)
    run, (scores,) = fuse(runs, {"run": "letters"}, {"run": pairs.id, "scoring": "tfidf"}, k=10)
    assert scores.scoring == "rrf" and RunFolder.open(run.path).record["state"] == "finished"
    assert run.record["summary"]["depths"] == {"bitext": [25, 10]}
    assert [system["run"] for system in run.record["summary"]["fused"]] == [letters.id, pairs.id]
    assert "fused from the first 25, 10 ranks stored" in run.record["summary"]["notes"][0]
    # The same, computed from the tables.
    import pyarrow.parquet as pq

    expected: dict[str, dict[str, float]] = {}
    for source in (letters, pairs):
        for row in pq.read_table(source.path / "rankings.parquet").to_pylist():
            score = expected.setdefault(row["query_id"], {})
            score[row["document_id"]] = score.get(row["document_id"], 0) + 1 / (10 + row["rank"])
    for query, documents, values in zip(
        scores.ranking.query_ids, scores.ranking.document_ids, scores.ranking.scores, strict=True
    ):
        best = sorted(expected[query].values(), reverse=True)[: len(values)]
        assert list(values) == pytest.approx(best)
        assert [expected[query][document] for document in documents] == pytest.approx(best)
        code = query.partition(":")[0]
        (relevant,) = scores.collection.judgements[query]
        rank = list(documents).index(relevant) + 1 if relevant in documents else 0
        assert scores.values["RR"][code][query] == pytest.approx(1 / rank if rank else 0)


@pytest.mark.parametrize("method", ["zscore", "minmax"])
def test_a_weighted_sum_of_stored_scores(tiny: Any, tmp_path: Path, method: str) -> None:
    runs = tmp_path / "runs"
    lexical(tiny, runs, "letters")
    lexical(tiny, runs, "pairs", longest=2, depth=10)
    systems = [{"run": "letters", "weight": 0.5}, {"run": "pairs"}]
    run, (scores,) = fuse(runs, *systems, method=method)
    assert scores.scoring == method and scores.macro("RR") > 0.9
    assert [system["weight"] for system in run.record["summary"]["fused"]] == [0.5, 1.0]
    with pytest.raises(InputError, match=r"depth = 20, but pairs .* stored 10 ranks of 'bitext'; lower it"):
        fuse(runs, *systems, method=method, depth=20)
    _, (first,) = fuse(runs, {"run": "letters"}, {"run": "pairs", "weight": 0.0}, method=method, depth=10)
    letters = next(path for path in runs.iterdir() if RunFolder.open(path).record["name"] == "letters")
    _, (alone,) = execute(config_of(RunFolder.open(letters)), runs, ["test"])
    assert first.macro("RR") == pytest.approx(alone.macro("RR"))


def test_weights_are_chosen_on_held_out_queries_that_are_not_reported(tiny: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    part = {code: {"path": str(tiny.test[code]), "language": code} for code in ("sw", "mr")}
    other = {code: {"path": str(tiny.training[code]), "language": code} for code in ("sw", "mr")}
    collections = [
        {"name": "bitext", "label": "held-out", "bitext": list(other.values())},
        {"name": "bitext", "label": "reported", "bitext": list(part.values())},
    ]
    lexical(tiny, runs, "letters", collections=collections)
    lexical(tiny, runs, "words", method="bm25", collections=collections)
    systems = [{"run": "words"}, {"run": "letters"}]
    run, (scores,) = fuse(runs, *systems, method="zscore", choose_on="held-out", grid=[0, 1])
    summary = run.record["summary"]
    assert scores.collection.name == "reported" and scores.macro("RR") > 0.9
    assert [system["weight"] for system in summary["fused"]] == [1.0, 1.0]
    assert [row["weights"] for row in summary["tries"]] == [[1.0, 0.0], [1.0, 1.0]]
    assert summary["held_out"] == max(row["value"] for row in summary["tries"]) and summary["measure"] == "RR"

    def refused(message: str, *systems: dict[str, Any], **changes: Any) -> None:
        with pytest.raises(InputError, match=message):
            fuse(runs, *systems, method="zscore", **changes)

    refused("no collection 'heldout' in common .did you mean 'held-out'", *systems, choose_on="heldout")
    refused("leave out weight", {"run": "words", "weight": 2}, systems[1], choose_on="held-out")
    refused("measure chooses weights", *systems, measure="RR")
    same = [{**collections[1], "label": label} for label in ("held-out", "reported")]
    lexical(tiny, runs, "letters again", collections=same)
    lexical(tiny, runs, "words again", method="bm25", collections=same)
    again = [{"run": "words again"}, {"run": "letters again"}]
    refused("all 50 queries of 'held-out' are also reported", *again, choose_on="held-out")


def test_fusing_a_fusion(tiny: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    lexical(tiny, runs, "letters")
    lexical(tiny, runs, "pairs", longest=2)
    fuse(runs, {"run": "letters"}, {"run": "pairs"}, name="both")
    _, (scores,) = fuse(runs, {"run": "both"}, {"run": "letters"})
    assert scores.scoring == "rrf" and len(scores.means) > 0


def test_rankings_that_cannot_be_fused_are_refused_with_a_sentence(tiny: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    lexical(tiny, runs, "letters")
    test = {"path": str(tiny.test["sw"]), "language": "sw"}

    def refused(message: str, *systems: dict[str, Any]) -> None:
        with pytest.raises(InputError, match=message):
            fuse(runs, {"run": "letters"}, *systems)

    lexical(tiny, runs, "less", collections=[{"name": "bitext", "bitext": [test], "limit": 5}])
    refused("searched 'bitext' with revision .* only rankings of the same revision", {"run": "less"})
    lexical(tiny, runs, "back", collections=[{"name": "bitext", "bitext": [test], "directions": ["en-xx"]}])
    refused("searched 'bitext' with revision", {"run": "back"})
    lexical(tiny, runs, "other", collections=[{"name": "bitext", "label": "mine", "bitext": [test]}])
    refused("has mine: no collection in common", {"run": "other"})
    refused(r"there is no run 'leters' \(did you mean 'letters'\?\)", {"run": "leters"})
    refused("no rankings by 'maxsim'.*; it has tfidf", {"run": "less", "scoring": "maxsim"})
    refused("is named twice", {"run": "letters", "scoring": "tfidf"})
    unfinished = lexical(tiny, runs, "stopped")
    unfinished.finish("stopped", "by its user")
    refused("is stopped, not finished", {"run": "stopped"})
    with pytest.raises(InputError, match="'letters' twice"):
        parse_config({"kind": "fuse", "systems": [{"run": "letters"}, {"run": "letters"}]})


def test_a_run_that_found_nothing_adds_nothing_to_a_fusion(tiny: Any, tmp_path: Path) -> None:
    """The ciphers share no word with English, so BM25 finds nothing."""
    runs = tmp_path / "runs"
    lexical(tiny, runs, "letters")
    lexical(tiny, runs, "words", method="bm25")
    run, (scores,) = fuse(runs, {"run": "letters"}, {"run": "words"})
    assert run.record["summary"]["depths"] == {"bitext": [25, 0]} and scores.macro("RR") == 1
    lexical(tiny, runs, "more words", method="bm25")
    _, (nothing,) = fuse(runs, {"run": "words"}, {"run": "more words"})
    assert not any(nothing.ranking.document_ids) and all(mean.value == 0 for mean in nothing.means)


def test_systems_that_find_fewer_documents_than_a_measure_looks_at(tmp_path: Path) -> None:
    """The query itself is taken out of the ranking, so three of four documents are stored."""
    files = {
        "corpus.jsonl": "".join(f'{{"_id": "d{n}", "text": "rain in town {n}"}}\n' for n in range(4)),
        "queries.jsonl": '{"_id": "d0", "text": "rain in town 1"}\n',
        "qrels/test.tsv": "d0\td1\t1\n",
    }
    (tmp_path / "beir" / "qrels").mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / "beir" / name).write_text(content)
    collection = {
        "name": "folder",
        "path": str(tmp_path / "beir"),
        "languages": ["en"],
        "document_languages": ["en"],
    }
    runs = tmp_path / "runs"
    for method in ("bm25", "tfidf"):
        settings = {"kind": "lexical", "name": method, "method": method, "collections": [collection]}
        execute(parse_config(settings), runs, ["test"])
    _, (scores,) = fuse(runs, {"run": "bm25"}, {"run": "tfidf"})
    assert [len(found) for found in scores.ranking.document_ids] == [3]
    assert scores.macro("nDCG@10") == 1 and scores.macro("AP") == 1
