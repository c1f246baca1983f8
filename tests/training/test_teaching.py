"""Teachers: losses against plain formulas, batches, and runs that learn a cipher."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch import Tensor

from engine.collections.training_questions.question import TrainingQuestion
from engine.config import TeacherConfig, parse_config
from engine.config.teacher import QuestionSampling, TeacherLossConfig
from engine.encoders.checkpoints import load_model
from engine.encoders.encoder import Encoded
from engine.errors import InputError
from engine.evaluation.finished_run import encoders_of
from engine.jobs.resume import reopen
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder, tail
from engine.runs.execute import execute, resume
from engine.training.runtime import Runtime
from engine.training.teaching.batches import draw_questions, shares, with_passages
from engine.training.teaching.held_out import HeldOutQuestions
from engine.training.teaching.losses import Scored, TeacherLoss, scores_of
from engine.training.teaching.task import prepare_teaching

# -- losses -------------------------------------------------------------------------------------------


def encoded(count: int, length: int, seed: int) -> Encoded:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(count, length, 8, generator=generator, dtype=torch.float64)
    tokens = torch.nn.functional.normalize(tokens, dim=-1).requires_grad_()
    mask = torch.rand(count, length, generator=generator) < 0.7
    mask[:, 0] = True
    nothing = torch.zeros(0)
    return Encoded(tokens, mask, tokens[:, 0], nothing, nothing)


def test_late_interaction_and_its_gradient_are_those_of_the_plain_formula() -> None:
    """PyLate's `colbert_scores`: all products, the maximum over document tokens, the sum of them."""
    questions, passages = encoded(3, 5, 1), encoded(4, 6, 2)
    ours = scores_of("maxsim", questions, passages)
    products = torch.einsum("ash,bth->abst", questions.tokens, passages.tokens)
    best = products.masked_fill(~passages.mask[None, :, None], -torch.inf).amax(-1)
    total = (best * questions.mask[:, None]).sum(-1)
    assert torch.allclose(ours * questions.mask.sum(1, keepdim=True), total)
    weights = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    both = [questions.tokens, passages.tokens]
    expected = torch.autograd.grad((total / questions.mask.sum(1, keepdim=True) * weights).sum(), both)
    for found, right in zip(torch.autograd.grad((ours * weights).sum(), both), expected, strict=True):
        assert torch.allclose(found, right)


def test_the_losses_are_those_of_the_formulas() -> None:
    scores = torch.tensor([[0.9, 0.2, 0.4, 0.8], [0.1, 0.7, 0.6, 0.3]], dtype=torch.float64)
    excluded = torch.tensor([[False, False, False, True], [False] * 4])
    own = torch.tensor([[0, 2, 1], [1, 3, -1]])
    given = torch.tensor([[3.0, 1.0, -2.0], [0.5, 2.0, 99.0]], dtype=torch.float64)
    batch = Scored(torch.tensor([0, 1]), excluded, own, given)
    config = TeacherLossConfig(contrast=2.0, score_kl=0.5, temperature=0.1, given_temperature=2.0)
    loss, figures = TeacherLoss(config)(scores, batch)

    def softmax(values: list[float], temperature: float) -> np.ndarray:
        powers = np.exp(np.array(values) / temperature)
        return powers / powers.sum()

    contrast = -np.mean(
        [np.log(softmax([0.9, 0.2, 0.4], 0.1)[0]), np.log(softmax([0.1, 0.7, 0.6, 0.3], 0.1)[1])]
    )
    divergence = np.mean(
        [
            entropy(softmax([3, 1, -2], 2.0), softmax([0.9, 0.4, 0.2], 0.1)),
            entropy(softmax([0.5, 2], 2.0), softmax([0.7, 0.3], 0.1)),
        ]
    )
    assert figures["contrast"] == pytest.approx(contrast)
    assert figures["score_kl"] == pytest.approx(divergence)
    assert figures["in_batch_accuracy"] == 1.0
    assert float(loss) == pytest.approx(2 * contrast + 0.5 * divergence)


# -- batches ------------------------------------------------------------------------------------------


def question(
    topic: str, language: str, passages: list[str], answering: str = "en", **more: Any
) -> TrainingQuestion:
    return TrainingQuestion(topic, f"{topic} {language}?", language, answering, tuple(passages), **more)


def test_what_answers_a_topic_is_no_negative_of_its_questions() -> None:
    batch = [
        question("a", "en", ["A", "x", "y"]),
        question("a", "sw", ["A auf Deutsch"], "de"),
        question("b", "en", ["B", "A", "y"], scores=(2.0, 1.0, 0.0)),
    ]
    known = {"a": frozenset({"A", "A auf Deutsch"}), "b": frozenset({"B"})}
    texts, scored = with_passages(batch, known, 5, np.random.default_rng(0))
    assert texts == ["A", "x", "y", "A auf Deutsch", "B"]
    assert scored.labels.tolist() == [0, 3, 4]
    assert scored.own.tolist() == [[0, 1, 2], [3, -1, -1], [4, 0, 2]]
    excluded = [[texts[c] for c in row.nonzero()[:, 0].tolist()] for row in scored.excluded]
    assert excluded == [["A auf Deutsch"], ["A"], []]
    assert scored.given is None  # not all have scores


def test_negatives_are_drawn_and_keep_their_scores() -> None:
    passages = ["answer", *(f"n{i}" for i in range(9))]
    one = question("a", "en", passages, scores=tuple(float(i) for i in range(10)))
    generator, drawn = np.random.default_rng(0), Counter[str]()
    for _ in range(200):
        texts, scored = with_passages([one], {"a": frozenset({"answer"})}, 3, generator)
        assert len(texts) == 4 and scored.given is not None
        assert scored.given[0].tolist() == [float(passages.index(text)) for text in texts]
        drawn.update(texts[1:])
    assert set(drawn) == set(passages[1:]) and min(drawn.values()) > 40  # 66.7 expected


def test_shares_of_language_pairs() -> None:
    counts = {("en", "en"): 900, ("sw", "sw"): 100, ("en", "sw"): 40, ("sw", "en"): 10}
    assert shares(counts, QuestionSampling()) == {pair: count / 1050 for pair, count in counts.items()}
    half = shares(counts, QuestionSampling(cross_lingual_share=0.5, alpha=0.5))
    assert half == pytest.approx(
        {("en", "en"): 0.375, ("sw", "sw"): 0.125, ("en", "sw"): 1 / 3, ("sw", "en"): 1 / 6}
    )


def test_batches_of_one_pair_or_mixed() -> None:
    questions = {
        (asked, answered): [question(f"{i}", asked, ["p"], answered) for i in range(7)]
        for asked in ("en", "sw")
        for answered in ("en", "sw")
    }
    one = QuestionSampling(cross_lingual_share=0.5, batches="one_pair")
    drawn = list(islice(draw_questions(questions, one, 7, 0), 400))
    assert all(len({q.languages for q in batch}) == 1 for batch in drawn)
    assert all(len({q.topic for q in batch}) == 7 for batch in drawn[:4])  # each before any comes again
    crossing = sum(batch[0].language != batch[0].passage_language for batch in drawn)
    assert 160 < crossing < 240  # 200 ± 4 standard deviations
    mixed = next(draw_questions(questions, QuestionSampling(), 32, 0))
    assert len({q.languages for q in mixed}) == 4


def test_held_out_rank_counts_equals_above_and_other_answers_not_at_all() -> None:
    class Fixed(HeldOutQuestions):
        def _encode(self, encoder: Any, texts: Any, role: str) -> Any:
            return torch.zeros(len(texts), 2)

        def _scores(self, queries: Any, rows: Tensor, documents: Any) -> Tensor:
            return torch.tensor([[0.5, 0.9, 0.9, 0.5, 0.1]])

    held = Fixed(
        questions={("en", "en"): [question("a", "en", ["right"])]},
        pools={"en": ["right", "also right", "wrong", "equal", "low"]},
        known={"a": frozenset({"right"})},
        scoring="dense",
        precision=torch.float32,
    )
    assert held.measure(None)["held_out_rr"] == pytest.approx(1 / 4)  # type: ignore[arg-type]
    both = Fixed(
        held.questions, held.pools, {"a": frozenset({"right", "also right"})}, "dense", torch.float32
    )
    assert both.measure(None)["held_out_rr_en"] == pytest.approx(1 / 2)  # type: ignore[arg-type]


# -- runs ---------------------------------------------------------------------------------------------


def settings(tiny: Any, folder: Path, **changes: Any) -> dict[str, Any]:
    """A run that learns which English sentence a ciphered question means; tables in `changes` are merged."""
    rows = []
    for number, line in enumerate(tiny.training["sw"].read_text("utf-8").splitlines()):
        asked, answer = line.split("\t")
        entry = {"query_id": str(number), "query": asked, "positive_passages": [{"text": answer}]}
        rows.append(json.dumps({**entry, "negative_passages": []}) + "\n")
    (folder / "train.jsonl").write_text("".join(rows))
    test = [{"path": str(tiny.test["sw"]), "language": "sw"}]
    made: dict[str, Any] = {
        "kind": "teacher",
        "name": "tiny teacher",
        "encoder": tiny.encoder(centring=False),
        "sources": [
            {"path": str(folder / "train.jsonl"), "format": "tevatron", "question_language": "sw"},
        ],
        "loss": {"temperature": 0.1},
        "training": tiny.loop(),
        "collections": [{"name": "bitext", "label": "ciphers", "bitext": test}],
    }
    return tiny.merged(made, changes)


def curve(run: RunFolder, metric: str = "held_out_rr") -> dict[int, float]:
    return {r.step: r.metrics[metric] for r in tail(run.metrics_path).records if metric in r.metrics}


LATE = {
    "query_expansion": True,
    "special_tokens": True,
    "passage_punctuation": False,
    "projection": "linear",
    "projection_dim": 16,
}


@pytest.mark.parametrize(
    ("encoder", "loss", "scoring"),
    [(LATE, {}, "maxsim"), ({}, {"scoring": "dense"}, "dense")],
    ids=["late interaction", "dense"],
)
def test_a_teacher_learns_and_serves_another_run_as_its_checkpoint(
    tiny: Any, tmp_path: Path, encoder: dict[str, Any], loss: dict[str, Any], scoring: str
) -> None:
    made = settings(tiny, tmp_path, evaluation={"scoring": [scoring]}, loss={"temperature": 0.1, **loss})
    made["encoder"] |= encoder
    run, (scores,) = execute(parse_config(made), tmp_path / "runs", ["test"])
    rising = curve(run)
    assert rising[0] < 0.2 and rising[60] > 0.5, rising
    assert scores.macro("RR") > 0.5
    asking, answering = encoders_of(run)
    assert asking.config == answering.config
    again = {
        "kind": "evaluate",
        "encoder": {**made["encoder"], "checkpoint": str(run.checkpoints / "teacher")},
        "evaluation": made["evaluation"],
        "collections": made["collections"],
    }
    _, (found,) = execute(parse_config(again), tmp_path / "runs", ["test"])
    assert found.macro("RR") == pytest.approx(scores.macro("RR"), abs=0.05)  # it may compute in bf16


@pytest.mark.slow
def test_given_scores_alone_teach(tiny: Any, tmp_path: Path) -> None:
    """A cross-encoder's part is played by scores that favour the right one of four sentences."""
    pairs = [line.split("\t") for line in tiny.training["sw"].read_text("utf-8").splitlines()]
    rows = ["".join(f"{i}\t{pair[side]}\n" for i, pair in enumerate(pairs)) for side in (0, 1)]
    (tmp_path / "queries.tsv").write_text(rows[0])
    (tmp_path / "collection.tsv").write_text(rows[1])
    count = len(pairs)
    ways = [[i, *([(i + k) % count, 4.0 - 8.0 * (k > 0)] for k in (0, 1, 2, 3))] for i in range(count)]
    (tmp_path / "ways.json").write_text("".join(json.dumps(way) + "\n" for way in ways))
    source = {
        "path": str(tmp_path / "ways.json"),
        "format": "colbert",
        "queries": str(tmp_path / "queries.tsv"),
        "collection": str(tmp_path / "collection.tsv"),
        "question_language": "sw",
    }
    loss = {"contrast": 0.0, "score_kl": 1.0, "negatives": 3, "temperature": 0.1}
    made = settings(tiny, tmp_path, sources=[source], loss=loss, collections=[])
    run, _ = execute(parse_config(made), tmp_path / "runs", ["test"])
    rising = curve(run)
    assert rising[0] < 0.2 and rising[60] > 0.5, rising
    assert curve(run, "score_kl")[60] < 0.5 * curve(run, "score_kl")[1]


def test_hybrid_batches_of_squad_shaped_files(tiny: Any, tmp_path: Path) -> None:
    sources = []
    for code in ("sw", "mr"):
        paragraphs = []
        for number, line in enumerate(tiny.training[code].read_text("utf-8").splitlines()[:60]):
            text = line.split("\t")[0]
            asked = {"id": str(number), "question": text, "answers": [{"answer_start": 0}]}
            paragraphs.append({"context": f"{text}. river stone.", "qas": [asked]})
        file = tmp_path / f"{code}.json"
        file.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
        sources.append(
            {"path": str(file), "format": "squad", "question_language": code, "passage_language": code}
        )
    config = parse_config(
        settings(
            tiny,
            tmp_path,
            sources=sources,
            sampling={"cross_lingual_share": 0.5},
            training={"held_out": 10},
            collections=[],
        )
    )
    assert isinstance(config, TeacherConfig)
    teaching = prepare_teaching(config, Runtime.start(config.seed, config.training))
    every = {(a, b) for a in ("sw", "mr") for b in ("sw", "mr")}
    assert {pair: len(found) for pair, found in teaching.questions.items()} == dict.fromkeys(every, 50)
    assert {pair: len(found) for pair, found in teaching.held_out.questions.items()} == dict.fromkeys(
        every, 10
    )
    learnt = {q.topic for found in teaching.questions.values() for q in found}
    assert learnt.isdisjoint(q.topic for found in teaching.held_out.questions.values() for q in found)
    figures = teaching.held_out.measure(teaching.encoder)
    assert set(figures) == {"held_out_rr"} | {
        f"held_out_rr_{name}" for name in ("sw", "mr", "sw_mr", "mr_sw")
    }


def test_what_is_evaluated_is_not_learnt(tiny: Any, tmp_path: Path) -> None:
    class Said(Reporter):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def say(self, sentence: str) -> None:
            self.lines.append(sentence)

    made = settings(tiny, tmp_path, training={"steps": 1, "held_out": 0})
    asked, answer = tiny.test["sw"].read_text("utf-8").splitlines()[0].split("\t")
    entry = {"query": f"{asked}!", "positive_passages": [{"text": answer.upper()}]}
    with Path(made["sources"][0]["path"]).open("a") as stream:
        stream.write(json.dumps(entry) + "\n")
    reporter = Said()
    config = parse_config(made)
    assert isinstance(config, TeacherConfig)
    teaching = prepare_teaching(config, Runtime.start(config.seed, config.training), reporter)
    assert sum(map(len, teaching.questions.values())) == 120
    assert any(line.startswith("1 of 121 questions dropped") for line in reporter.lines)
    made["sources"][0]["start"] = 120
    with pytest.raises(InputError, match="every question, or the passage that answers it"):
        execute(parse_config(made), tmp_path / "runs", ["test"])


def test_a_stopped_training_ends_as_one_that_never_stopped(tiny: Any, tmp_path: Path) -> None:
    class AtStep(Reporter):
        here, left = False, 3

        def stage(self, name: str, total: int) -> None:
            self.here = name == "training"

        def advance(self, parts: int = 1) -> None:
            self.left -= self.here
            if self.here and not self.left:
                os.kill(os.getpid(), signal.SIGTERM)

    made = settings(
        tiny, tmp_path, training={"steps": 6, "evaluate_every": 3, "dropout": 0.1}, collections=[]
    )
    whole, _ = execute(parse_config(made), tmp_path / "whole", ["test"])
    with pytest.raises(KeyboardInterrupt):
        execute(parse_config(made), tmp_path / "runs", ["test"], run_id="cut", reporter=AtStep())
    cut = reopen(tmp_path / "runs/cut", ["again"])
    resume(cut)
    assert curve(cut, "loss") == curve(whole, "loss")
    weights = [load_model(str(run.checkpoints / "teacher"))[0].state_dict() for run in (whole, cut)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


# -- refusals -----------------------------------------------------------------------------------------

ID_FILES = {"queries": "q", "collection": "c"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"evaluation": {"scoring": ["dense"]}}, "loss.scoring = 'maxsim' trains what evaluation.scoring"),
        ({"loss": {"scoring": "dense"}}, "loss.scoring = 'dense' trains what evaluation.scoring"),
        (
            {
                "loss": {"scoring": "dense"},
                "encoder": {"projection": "linear"},
                "evaluation": {"scoring": ["dense"]},
            },
            "set encoder.projection to 'none'",
        ),
        (
            {
                "loss": {"scoring": "dense"},
                "encoder": {"query_expansion": True},
                "evaluation": {"scoring": ["dense"]},
            },
            "set encoder.query_expansion to false",
        ),
        (
            {"loss": {"score_kl": 1.0}},
            "loss.score_kl needs a score for each passage, which format 'tevatron'",
        ),
        ({"loss": {"contrast": 0.0}}, "every loss has weight 0"),
        ({"sampling": {"cross_lingual_share": 0.0}}, "would never draw the sources that cross languages"),
        ({"sampling": {"cross_lingual_share": 0.5}}, "draws monolingual pairs too"),
        ({"training": {"batch_size": 1}, "loss": {"negatives": 0}}, "raise training.batch_size above 1"),
        ({"sources": [{"path": "x", "format": "triples"}]}, "so it needs queries, their file"),
        ({"sources": [{"path": "x", "format": "squad", **ID_FILES}]}, "leave queries out"),
        ({"sources": []}, "sources: list should have at least 1 item"),
    ],
)
def test_impossible_settings_are_refused(
    tiny: Any, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse_config(settings(tiny, tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_examples_without_scores_are_refused_where_scores_teach(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "q").write_text("1\triver\n")
    (tmp_path / "c").write_text("1\triver stone\n2\twinter\n")
    (tmp_path / "ways").write_text("[1, 1, 2]\n")
    files = {name: str(tmp_path / file) for name, file in ID_FILES.items()}
    source = {"path": str(tmp_path / "ways"), "format": "colbert", **files}
    made = settings(tiny, tmp_path, sources=[source], loss={"score_kl": 1.0})
    with pytest.raises(InputError, match=r"ways: loss\.score_kl needs a score for each passage"):
        execute(parse_config(made), tmp_path / "runs", ["test"])


def test_too_many_held_out_questions_are_refused(tiny: Any, tmp_path: Path) -> None:
    made = settings(tiny, tmp_path, training={"held_out": 120})
    with pytest.raises(InputError, match="cannot hold out 120 of 120 questions"):
        execute(parse_config(made), tmp_path / "runs", ["test"])
