"""Pools that stay on disk are evaluated and asked as those in memory are, with every scoring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config import parse_config
from engine.errors import InputError
from engine.inspect.search import Searcher
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.single import CandidateSearch, SingleSearch
from engine.retrieval.stored import StoredTokens
from engine.runs.execute import execute

SCORINGS = ["maxsim", "maxsim-ivf", "maxsim-muvera"]


class Heard(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def evaluated(
    tiny: Any, folder: Path, heard: Reporter | None = None, **settings: Any
) -> tuple[RunFolder, Any]:
    config = {
        "kind": "evaluate",
        "encoder": tiny.encoder(),
        "bitext": tiny.settings("sw")["bitext"],
        "collections": tiny.settings("sw")["collections"],
        "evaluation": {"scoring": SCORINGS, "depth": 25},
    }
    run, scores = execute(
        parse_config(tiny.merged(config, settings)), folder, ["test"], reporter=heard or Heard()
    )
    return run, {(one.scoring, mean.measure): mean.value for one in scores for mean in one.means}


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every pool is a large one, with a cache of its own."""
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("engine.retrieval.vectors.SHARD", 4)
    monkeypatch.setattr("engine.retrieval.vectors.IN_MEMORY", 0)


def test_a_pool_on_disk_has_the_scores_of_one_in_memory(
    tiny: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    memory, expected = evaluated(tiny, tmp_path / "memory")
    hits = Searcher(memory, "sw").search("revir enots", 5)
    request.getfixturevalue("on_disk")
    run, found = evaluated(tiny, tmp_path / "disk")
    assert found == pytest.approx(expected, abs=1e-6) and {name for name, _ in found} == set(SCORINGS)
    assert (
        len({value for (name, measure), value in found.items() if measure == "RR"}) == 1
    )  # all are candidates
    searcher = Searcher(run, "sw")
    assert isinstance(searcher.vectors.documents, StoredTokens)
    again = searcher.search("revir enots", 5)
    assert [hit.document for hit in again] == [hit.document for hit in hits]
    assert [hit.score for hit in again] == pytest.approx([hit.score for hit in hits], abs=1e-3)
    matches = searcher.explain("revir enots", again[0].document)
    mean = sum(match.score for match in matches) / len(matches)
    assert mean == pytest.approx(again[0].score, abs=1e-3)


@pytest.mark.usefixtures("on_disk")
def test_quantised_vectors_are_searched_and_their_error_is_said(tiny: Any, tmp_path: Path) -> None:
    heard = Heard()
    run, found = evaluated(tiny, tmp_path / "runs", heard, evaluation={"token_bits": 4})
    (sentence,) = [one for one in heard.said if "bits" in one]
    assert "stored in 4 bits; their mean cosine with the exact ones is 0.9" in sentence
    assert {name for name, _ in found} == set(SCORINGS)
    assert list((tmp_path / "cache" / "vectors").glob("tokens-4bit-*.safetensors"))
    searcher = Searcher(run, "sw")
    assert isinstance(searcher.vectors.documents, StoredTokens) and searcher.vectors.documents.codec
    hits = searcher.search("revir enots", 3)
    assert len(hits) == 3


@pytest.mark.parametrize("scoring", ["maxsim-ivf", "maxsim-muvera"])
def test_a_pool_on_disk_is_asked_as_it_was_evaluated(
    tiny: Any, tmp_path: Path, request: pytest.FixtureRequest, scoring: str
) -> None:
    memory, _ = evaluated(tiny, tmp_path / "memory", evaluation={"scoring": [scoring]})
    exact = Searcher(memory, "sw")
    assert isinstance(exact.vectors, SingleSearch)
    request.getfixturevalue("on_disk")
    few = {"scoring": ["dense", scoring, "maxsim"], "candidates": 2}
    run, _ = evaluated(tiny, tmp_path / "disk", evaluation=few)
    searcher = Searcher(run, "sw")
    assert isinstance(searcher.vectors, CandidateSearch)
    hits = searcher.search("revir enots", 1)
    assert len(searcher.search("revir enots", 2)) == 2
    scores = {hit.document: hit.score for hit in exact.search("revir enots", 100)}
    assert hits[0].score == pytest.approx(scores[hits[0].document], abs=1e-3)
    every = [hit.document for hit in searcher.search("revir enots", len(scores))]
    assert every == list(scores)


@pytest.mark.usefixtures("on_disk")
def test_components_are_removed_from_a_pool_on_disk(tiny: Any, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"language_components": 1, "evaluation": {"scoring": ["maxsim-muvera"]}}
    _, found = evaluated(tiny, tmp_path / "runs", **settings)
    assert found
    settings["evaluation"] = {"scoring": ["maxsim-ivf"]}
    with pytest.raises(InputError, match="'maxsim-ivf' finds candidates with sentence vectors"):
        evaluated(tiny, tmp_path / "runs", **settings)
