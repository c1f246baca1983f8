"""Cross-encoders: their training data, and re-ranking."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from engine.bitext.pairs import DistinctTexts, Pairs
from engine.config import parse_config
from engine.encoders.cross import CrossEncoder
from engine.errors import InputError
from engine.evaluation.reranking import rerank, top_ranks
from engine.evaluation.scores import Scores
from engine.extensions.bitext import SentencePair
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder, tail
from engine.retrieval.fusion import Ranks
from engine.runs.execute import execute
from engine.training.cross_encoder.examples import (
    Candidates,
    HeldOutQuery,
    Sentences,
    reciprocal_ranks,
    words_of,
)

# -- re-ranking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 4, 7, 30])
def test_the_top_is_sorted_by_the_new_scores_and_the_rest_keeps_its_order(depth: int) -> None:
    generator = np.random.default_rng(depth)
    rankings = {
        query: generator.permutation(20)[: generator.integers(1, 15)].tolist() for query in (0, 1, 3, 4)
    }
    rows = [(q, d, r) for q, found in rankings.items() for r, d in enumerate(found, 1)]
    generator.shuffle(rows)
    ranks = Ranks(*(np.array(column) for column in zip(*rows, strict=True)))
    # few values, so that scores tie
    score = {(q, d): float(generator.integers(3)) for q, d, _ in rows}
    top = top_ranks(ranks, depth)
    assert len(top.ranks) == sum(min(depth, len(found)) for found in rankings.values())
    given = np.array([score[pair] for pair in zip(top.queries.tolist(), top.documents.tolist(), strict=True)])
    found = rerank(ranks, top, given)
    for query, before in rankings.items():
        mine = found.queries == query
        head = sorted(before[:depth], key=lambda document: -score[query, document])  # stable, as ours must be
        assert found.documents[mine].tolist() == head + before[depth:]
        assert found.ranks[mine].tolist() == list(range(1, len(before) + 1))
        assert found.scores[mine].tolist()[:depth] == [score[query, document] for document in head]
        assert all(np.diff(found.scores[mine]) <= 0)
        assert all(np.diff(found.scores[mine][depth - 1 :]) < 0)


# -- what is learnt from -----------------------------------------------------------------------------


def pair(source: str, target: str, language: str = "sw") -> SentencePair:
    return SentencePair(source, target, language, "en", "1")


def sentences() -> Sentences:
    pairs = [
        pair("moja mbili", "one two"),
        pair("moja mbili", "One, two!"),  # the same again, in another spelling
        pair("moja mbili", "a pair"),  # and another translation of the same query
        pair("mbili tatu", "two three"),
        pair("nne", "four"),
        pair("un deux", "two three", "fr"),
    ]
    return known(pairs)


def known(pairs: list[SentencePair], candidates: int | None = None) -> Sentences:
    """Return what is known of some pairs, of which the first sentences are candidates, or all."""
    found = Pairs.of(pairs)
    texts = DistinctTexts(found)
    vectors = torch.nn.functional.normalize(torch.eye(len(texts)) + 0.1, dim=1)
    rows = np.arange(len(texts) if candidates is None else candidates)

    def encode(others: Sequence[str]) -> torch.Tensor:
        return vectors[[list(texts).index(text) for text in others]]

    return Sentences(found, texts, len(texts), Candidates(rows, vectors[: len(rows)], encode))


@pytest.mark.parametrize("nearest", [True, False])
def test_no_translation_of_a_query_stands_against_it(nearest: bool) -> None:
    some, generator = sentences(), np.random.default_rng(0)
    for _ in range(20):
        rows = some.negatives("moja mbili", "moja mbili", "sw", 0, 3, generator, nearest=nearest)
        assert {some.texts[row] for row in rows} == {"two three", "four"}
        rows = some.negatives("un deux", "un deux", "fr", 3, 1, generator, nearest=nearest)
        assert len(rows) == 1 and some.texts[rows[0]] != "two three"


def test_a_sentence_whose_translation_holds_a_short_query_does_not_stand_against_it() -> None:
    some, generator = sentences(), np.random.default_rng(0)
    for _ in range(20):
        rows = some.negatives("moja mbili", "mbili", "sw", 0, 3, generator, nearest=True)
        assert {some.texts[row] for row in rows} == {"four"}
        rows = some.negatives("moja mbili", "moja", "sw", 0, 3, generator, nearest=True)
        assert {some.texts[row] for row in rows} == {"two three", "four"}


@pytest.mark.parametrize("nearest", [True, False])
def test_negatives_are_candidates_and_so_is_what_a_held_out_query_ranks(nearest: bool) -> None:
    pairs = [pair(f"maneno {n}", f"words {n}") for n in range(12)]
    some, generator = known(pairs, candidates=6), np.random.default_rng(0)
    for row in (3, 9):  # one of the candidates, and another sentence
        source = pairs[row].source
        rows = some.negatives(source, source, "sw", row, 20, generator, nearest=nearest)
        assert sorted(rows) == [n for n in range(6) if n != row]
        asked = some.held_out_query(pairs[row], row).candidates
        assert asked[0] == row and sorted(asked[1:]) == [n for n in range(6) if n != row]


def test_candidates_are_all_sentences_or_a_sample_of_those_of_training_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Candidates.chosen(8, 11, 0).tolist() == list(range(11))
    monkeypatch.setattr("engine.training.cross_encoder.examples.EXACT", 5)
    rows = Candidates.chosen(8, 11, 0).tolist()
    assert len(set(rows)) == 8 and rows == sorted(rows) and rows[5:] == [8, 9, 10]
    assert rows == Candidates.chosen(8, 11, 0).tolist() != Candidates.chosen(8, 11, 1).tolist()


def test_short_queries_are_words_in_a_row() -> None:
    generator = np.random.default_rng(0)
    made = {words_of("a b c d", 2, generator) for _ in range(300)}
    assert made == {"a", "b", "c", "d", "a b", "b c", "c d"}
    assert words_of("abc", 5, generator) == "abc"


def test_one_english_sentence_is_nothing_to_learn_from() -> None:
    pairs = [pair("moja", "one"), pair("mosi", "One.")]
    with pytest.raises(InputError, match="one English sentence"):
        known(pairs)


def test_ranks_of_held_out_queries_are_never_flattered_by_ties() -> None:
    asked = [
        HeldOutQuery("x", "sw", [0, 1, 2]),
        HeldOutQuery("y", "sw", [1, 0]),
        HeldOutQuery("z", "fr", [2, 1, 0]),
    ]
    scores = np.array([2.0, 1.0, 0.0, 1.0, 1.0, 0.0, 3.0, -1.0])
    assert reciprocal_ranks(scores, asked) == {"sw": [1.0, 0.5], "fr": [0.5]}


# -- whole runs --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def topics(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Pairs that share a topic and nothing else, and a finished first stage that knows nothing of it."""
    from tests.conftest import WORDS, cipher

    generator = random.Random(1)
    home = tmp_path_factory.mktemp("topics")
    files = {}
    for name, count in (("train", 320), ("test", 40)):
        lines = []
        for place in range(count):
            sides = [[WORDS[place % 2], *generator.sample(WORDS[2:], 3)] for _ in range(2)]
            for side in sides:
                generator.shuffle(side)
            lines.append(" ".join(cipher(word, "sw") for word in sides[0]) + "\t" + " ".join(sides[1]) + "\n")
        files[name] = home / f"{name}.tsv"
        files[name].write_text("".join(lines), "utf-8")
    collection = {"name": "bitext", "bitext": [{"path": str(files["test"]), "language": "sw"}]}
    first = {"kind": "evaluate", "name": "first", "encoder": tiny.encoder(centring=False)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        _, (scores,) = execute(parse_config({**first, "collections": [collection]}), home / "runs", ["test"])
    return {"home": home, "files": files, "scores": scores, "words": [cipher(w, "sw") for w in WORDS[:2]]}


def settings(tiny: Any, topics: dict[str, Any], **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": "cross-encoder",
        "name": "cross",
        "checkpoint": str(tiny.checkpoint),
        "max_length": 32,
        "first_stage": {"run": "first", "depth": 40},
        "teacher": tiny.encoder(),
        "bitext": [{"path": str(topics["files"]["train"]), "language": "sw"}],
        "training": {
            "steps": 200,
            "batch_size": 8,
            "negatives": 3,
            "learning_rate": 2e-3,
            "held_out": 0,
            "evaluate_every": 200,
            "precision": "fp32",
            "negatives_from": "random",
            "threads": 1,
            "alignment": "keep",
        },
    }
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = {**found[key], **value} if both else value
    return found


def of_its_topic(scores: Scores, words: list[str]) -> float:
    """The share of the first ten documents that have their query's topic."""
    texts = {document.id: document.text.split() for document in scores.collection.documents}
    asked = {query.id: query.text.split() for query in scores.collection.queries}
    shares = []
    for query, documents in zip(scores.ranking.query_ids, scores.ranking.document_ids, strict=True):
        topic = next(word for word in words if word in asked[query])[::-1]
        shares.append(sum(topic in texts[document] for document in documents[:10]) / 10)
    return sum(shares) / len(shares)


@pytest.fixture(scope="module")
def learnt(
    tiny: Any, topics: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunFolder, Scores]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        run, (scores,) = execute(parse_config(settings(tiny, topics)), topics["home"] / "runs", ["test"])
    return run, scores


def test_it_learns_the_only_thing_that_pairs_share(
    learnt: tuple[RunFolder, Scores], topics: dict[str, Any]
) -> None:
    run, scores = learnt
    assert of_its_topic(topics["scores"], topics["words"]) < 0.6  # 0.5 by chance
    assert of_its_topic(scores, topics["words"]) > 0.95
    records = [record.metrics for record in tail(run.metrics_path).records]
    losses = [metrics["loss"] for metrics in records if "loss" in metrics]
    assert len(losses) == 200 and np.mean(losses[-20:]) < np.mean(losses[:20])
    assert run.record["summary"]["best_step"] == 200
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["cross-encoder"]


def test_what_is_stored_is_the_first_stage_in_the_order_of_the_saved_model(
    tiny: Any, learnt: tuple[RunFolder, Scores], topics: dict[str, Any]
) -> None:
    """Read by plain transformers, query by query, the checkpoint gives the stored order and scores."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    run, _ = learnt
    folder = run.checkpoints / "cross-encoder"
    changes = {"checkpoint": str(folder), "bitext": [], "training": {}, "first_stage": {"depth": 12}}
    config = {**settings(tiny, topics, **changes), "training": {}}
    again, (scores,) = execute(parse_config(config), topics["home"] / "runs", ["test"])
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = {document.id: document.text for document in scores.collection.documents}
    first = topics["scores"].ranking
    for place, query in list(enumerate(scores.collection.queries))[:5]:
        head, rest = list(first.document_ids[place][:12]), list(first.document_ids[place][12:])
        with torch.inference_mode():
            logits = [
                float(model(**tokenizer(query.text, texts[name], return_tensors="pt")).logits)
                for name in head
            ]
        found = dict(zip(scores.ranking.document_ids[place], scores.ranking.scores[place], strict=True))
        assert list(found)[12:] == rest and set(list(found)[:12]) == set(head)
        # where the processor computes in bf16, the states that the head reads are rounded
        assert [found[name] for name in head] == pytest.approx(logits, abs=0.1)
        assert len(set(found.values())) == len(found)
    stored = [row for file in again.path.glob("scores*.parquet") for row in pq.read_table(file).to_pylist()]
    assert {row["scoring"] for row in stored} == {"cross-encoder"}
    assert {row["revision"] for row in stored} == {topics["scores"].collection.revision}
    assert again.record["summary"]["first_stage"]["name"] == "first"


def test_a_run_that_was_stopped_goes_on_as_if_it_never_had(tiny: Any, topics: dict[str, Any]) -> None:
    import os
    import signal

    from engine.jobs.resume import reopen
    from engine.runs.execute import resume

    class StopsAt(Reporter):
        def __init__(self, step: int) -> None:
            self.left = step

        def figures(self, values: Any) -> None:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGTERM)

    quick = {"steps": 6, "evaluate_every": 2, "query_words": 2, "dropout": 0.1, "held_out": 5}
    config = parse_config(settings(tiny, topics, name="short", training=quick))
    whole, _ = execute(config, topics["home"] / "runs", ["test"])
    with pytest.raises(KeyboardInterrupt):
        execute(config, topics["home"] / "runs", ["test"], run_id="cut", reporter=StopsAt(3))
    cut = reopen(topics["home"] / "runs" / "cut", ["again"])
    (scores,) = resume(cut)
    weights = [
        torch.cat([p.flatten() for p in CrossEncoder.load(str(folder), 32).parameters()])
        for folder in (run.checkpoints / "cross-encoder" for run in (whole, cut))
    ]
    assert torch.equal(*weights)
    assert scores.scoring == "cross-encoder"


# -- what is refused ---------------------------------------------------------------------------------


def refused(tiny: Any, topics: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(InputError) as error:
        config = settings(tiny, topics, **changes)
        if not config["bitext"]:
            config["training"] = {}
        execute(parse_config(config), topics["home"] / "runs", ["test"])
    return str(error.value)


def test_impossible_runs_are_refused_before_anything_trains(
    tiny: Any, topics: dict[str, Any], tmp_path: Path
) -> None:
    assert "there is no run 'frist' (did you mean 'first'?)" in refused(
        tiny, topics, first_stage={"run": "frist"}
    )
    assert "has no rankings by 'dense'" in refused(tiny, topics, first_stage={"scoring": "dense"})
    assert "has no head where one of 1 label is needed" in refused(tiny, topics, bitext=[])
    assert "max_length = 100 is more than the checkpoint's 64 positions" in refused(
        tiny, topics, max_length=100
    )
    same = [{"path": str(topics["files"]["train"]), "language": "en"}]
    assert "bitext in one language has no queries" in refused(tiny, topics, bitext=same)
    with pytest.raises(InputError, match=r"no \[\[bitext\]\] to train on"):
        parse_config({**settings(tiny, topics), "bitext": []})


def test_a_first_stage_of_fewer_ranks_or_other_data_is_refused(
    tiny: Any, topics: dict[str, Any], tmp_path: Path
) -> None:
    test = tmp_path / "test.tsv"
    test.write_bytes(topics["files"]["test"].read_bytes())
    collection = {"name": "bitext", "bitext": [{"path": str(test), "language": "sw"}]}
    short = {
        "kind": "evaluate",
        "name": "short",
        "encoder": tiny.encoder(centring=False),
        "evaluation": {"depth": 10},
        "collections": [collection],
    }
    execute(parse_config(short), tmp_path / "runs", ["test"])
    elsewhere = {**topics, "home": tmp_path}
    message = refused(tiny, elsewhere, first_stage={"run": "short", "depth": 11})
    assert "first_stage.depth = 11, but short" in message and "stored 10 ranks" in message
    test.write_text("\n".join(test.read_text("utf-8").splitlines()[:-1]) + "\n", "utf-8")
    message = refused(tiny, elsewhere, first_stage={"run": "short", "depth": 10})
    assert "is not what its configuration finds now" in message
