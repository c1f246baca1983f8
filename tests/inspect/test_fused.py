"""Lexical and fused runs answer single queries as they answered the queries of their collections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config import parse_config
from engine.errors import InputError
from engine.evaluation.finished_run import find_run
from engine.evaluation.scores import Scores
from engine.inspect.opening import open_searcher
from engine.results.run_folder import RunFolder
from engine.runs.execute import execute


def collections(tiny: Any) -> list[dict[str, Any]]:
    test = [{"path": str(tiny.test[code]), "language": code} for code in ("sw", "mr")]
    return [{"name": "bitext", "label": "ciphers", "bitext": test}]


def lexical(tiny: Any, runs: Path, name: str, **changes: Any) -> tuple[RunFolder, Scores]:
    settings = {"kind": "lexical", "method": "tfidf", "shortest": 1, "longest": 1, "name": name}
    run, (scores, *_) = execute(
        parse_config({**settings, "collections": collections(tiny), **changes}), runs, ["test"]
    )
    return run, scores


def check(run: RunFolder, scores: Scores, count: int = 6) -> None:
    """Check that single queries find what the run stored."""
    searchers = {code: open_searcher(run, code) for code in scores.collection.query_languages}
    ranking = scores.ranking
    rows = zip(scores.collection.queries, ranking.document_ids, ranking.scores, strict=True)
    for query, documents, values in list(rows)[::10][:count]:
        hits = searchers[query.language].search(query.text, 5)
        assert [hit.document for hit in hits] == list(documents[:5])
        assert [hit.score for hit in hits] == pytest.approx(values[:5], abs=2e-3)
        grades = scores.collection.judgements[query.id]
        assert [hit.grade for hit in hits] == [grades.get(hit.document) for hit in hits]


def test_a_lexical_run_is_asked_and_explained(tiny: Any, tmp_path: Path) -> None:
    for changes in ({}, {"method": "bm25"}):
        english = {"path": str(tiny.test["sw"]), "language": "sw"}
        same = [{"name": "bitext", "label": "ciphers", "bitext": [english], "upper_line": True}]
        run, _ = lexical(tiny, tmp_path / "runs", "words", collections=same, **changes)
        searcher = open_searcher(run, "en", pool=1)
        document = searcher.collection.documents[3]
        hits = searcher.search(document.text, 3)
        assert hits[0].document == document.id and not searcher.translates
        assert not searcher.is_cut(document.text)
        matches = searcher.explain(document.text, document.id)
        assert searcher.adds_up
        assert sum(match.score for match in matches) == pytest.approx(hits[0].score, rel=1e-5)
        with pytest.raises(InputError, match="has no document 'nowhere'"):
            searcher.explain(document.text, "nowhere")


def test_a_lexical_run_finds_what_it_stored(tiny: Any, tmp_path: Path) -> None:
    check(*lexical(tiny, tmp_path / "runs", "letters"))


@pytest.mark.parametrize("method", ["zscore", "minmax", "rrf"])
def test_a_fused_run_finds_what_it_stored_and_shows_the_parts(tiny: Any, tmp_path: Path, method: str) -> None:
    runs = tmp_path / "runs"
    settings = {
        "kind": "evaluate",
        "name": "tokens",
        "encoder": tiny.encoder(),
        "evaluation": {"depth": 12},
        "collections": collections(tiny),
    }
    execute(parse_config(settings), runs, ["test"])
    lexical(tiny, runs, "letters", depth=15)
    systems = [{"run": "tokens", "weight": 0.5}, {"run": "letters"}]
    run, (scores,) = execute(
        parse_config({"kind": "fuse", "name": "both", "method": method, "systems": systems}), runs, ["test"]
    )
    searcher = open_searcher(run, "sw")
    query = next(query for query in scores.collection.queries if query.language == "sw")
    place = scores.ranking.query_ids.index(query.id)
    hits = searcher.search(query.text, 5)
    assert [hit.score for hit in hits] == pytest.approx(scores.ranking.scores[place][:5], abs=2e-2)
    assert hits[0].document == scores.ranking.document_ids[place][0]
    for hit in hits:
        assert [part.name for part in hit.parts] == ["tokens", "letters"]
        assert sum(part.share for part in hit.parts) == pytest.approx(hit.score)
    assert not searcher.adds_up and searcher.explain(query.text, hits[0].document)


def test_a_fused_run_that_cannot_be_asked_says_why(tiny: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    settings = {
        "kind": "evaluate",
        "name": "sentences",
        "encoder": tiny.encoder(),
        "evaluation": {"scoring": ["dense"]},
        "collections": collections(tiny),
    }
    execute(parse_config(settings), runs, ["test"])
    lexical(tiny, runs, "letters")
    systems = [{"run": "sentences"}, {"run": "letters"}]
    run, _ = execute(parse_config({"kind": "fuse", "name": "both", "systems": systems}), runs, ["test"])
    with pytest.raises(
        InputError, match="fuses sentences by 'dense', and single queries are searched by 'maxsim'"
    ):
        open_searcher(find_run(tmp_path / "results.duckdb", run.id), "sw")
