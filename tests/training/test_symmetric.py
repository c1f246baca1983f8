"""Queries and documents that are texts of one kind have one prefix, as the authors of E5 advise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import parse_config
from engine.evaluation.finished_run import encoders_of
from engine.evaluation.scores import Scores
from engine.extensions.collections import COLLECTIONS
from engine.inspect.plan import target_role
from engine.inspect.search import Searcher
from engine.results.metrics_log import tail
from engine.results.run_folder import RunFolder
from engine.runs.elsewhere import elsewhere
from engine.runs.execute import execute
from engine.training.distillation.encoders import load_encoders
from tests.conftest import WORDS

Executed = tuple[RunFolder, list[Scores]]


def evaluated(tiny: Any, folder: Path, scoring: str = "maxsim", **encoder: Any) -> Executed:
    settings = {
        "kind": "evaluate",
        "encoder": tiny.encoder(**encoder),
        "evaluation": {"scoring": [scoring]},
        "collections": tiny.settings("sw")["collections"],
    }
    return execute(parse_config(settings), folder / "runs", ["test"])


def test_sentence_retrieval_is_symmetric_and_passage_retrieval_is_not() -> None:
    symmetric = {name for name, reader in COLLECTIONS.items() if reader.symmetric}
    assert symmetric == {"bitext", "ntrex", "tatoeba"}


def test_both_sides_have_the_prefix_of_queries_unless_another_is_named(tiny: Any, tmp_path: Path) -> None:
    run, (default,) = evaluated(tiny, tmp_path)
    _, (queries,) = evaluated(tiny, tmp_path, passage_prefix="query: ")
    named, (passages,) = evaluated(tiny, tmp_path, passage_prefix="passage: ")
    assert default.values == queries.values != passages.values
    assert list(default.ranking.scores) == list(queries.ranking.scores)
    notes = [one.record["summary"].get("notes", []) for one in (run, named)]
    assert [sum("'query: '" in note for note in of_run) for of_run in notes] == [1, 0]


def test_sentence_vectors_are_those_of_plain_transformers(tiny: Any, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    _, (scores,) = evaluated(tiny, tmp_path, "dense")
    model = AutoModel.from_pretrained(tiny.checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(tiny.checkpoint)

    def encode(text: str) -> torch.Tensor:
        with torch.no_grad():
            states = model(**tokenizer("query: " + text, return_tensors="pt")).last_hidden_state[0]
        return torch.nn.functional.normalize(states.mean(0), dim=0)

    documents = {one.id: one.text for one in scores.collection.documents}
    for query, ids, found in zip(
        scores.collection.queries, scores.ranking.document_ids, scores.ranking.scores, strict=True
    ):
        expected = float(encode(query.text) @ encode(documents[ids[0]]))
        assert found[0] == pytest.approx(expected, abs=2e-3)


def test_a_search_and_an_evaluation_elsewhere_encode_as_the_run_did(tiny: Any, tmp_path: Path) -> None:
    run, (scores,) = evaluated(tiny, tmp_path)
    searcher = Searcher(run, "sw")
    for place, query in list(enumerate(scores.collection.queries))[:5]:
        hits = searcher.search(query.text, 3)
        stored = dict(zip(scores.ranking.document_ids[place], scores.ranking.scores[place], strict=True))
        assert [stored[hit.document] for hit in hits] == pytest.approx([hit.score for hit in hits], abs=5e-3)
        matches = searcher.explain(query.text, hits[0].document)
        assert sum(match.score for match in matches) / len(matches) == pytest.approx(hits[0].score, abs=2e-3)
    config = elsewhere(run, tiny.settings("sw")["collections"])
    _, (again,) = execute(config, tmp_path / "runs", ["test"])
    assert again.values == scores.values
    assert target_role(config, config.encoder) == "peer"  # type: ignore[attr-defined]


def test_a_distillation_and_its_validation_encode_documents_as_an_evaluation(
    tiny: Any, tmp_path: Path
) -> None:
    settings = tiny.settings("sw", training={"steps": 2, "evaluate_every": 1, "held_out": 0})
    source = {"path": str(tiny.training["sw"]), "language": "sw", "stop": 20}
    settings["validation"] = {"name": "bitext", "label": "held-out", "bitext": [source]}
    named = {**settings, "teacher": tiny.encoder(passage_prefix="query: ")}
    runs = [execute(parse_config(made), tmp_path / "runs", ["test"]) for made in (settings, named)]
    assert runs[0][1][0].values == runs[1][1][0].values
    measured = [
        [
            record.metrics["validation"]
            for record in tail(run.metrics_path).records
            if "validation" in record.metrics
        ]
        for run, _ in runs
    ]
    assert measured[0] and measured[0] == measured[1]
    assert encoders_of(runs[0][0])[1].config.passage_prefix is None


@pytest.mark.parametrize("table", ["collections", "validation", "passages"])
def test_a_teacher_is_centred_as_it_encodes_whatever_collection_is_named(tiny: Any, table: str) -> None:
    settings = tiny.settings("sw")
    (collection,) = settings["collections"]
    settings |= {"collections": [], table: collection if table == "validation" else [collection]}
    if table == "passages":
        settings["loss"] = {"passages": 1.0}
    means = []
    for prefix in (None, "query: ", "passage: "):
        config = parse_config({**settings, "teacher": tiny.encoder(passage_prefix=prefix)})
        teacher, _ = load_encoders(config, WORDS, WORDS, torch.float32)  # type: ignore[arg-type]
        means.append(teacher.mean)
    assert torch.equal(means[0], means[1]) and not torch.allclose(means[0], means[2], atol=1e-3)
