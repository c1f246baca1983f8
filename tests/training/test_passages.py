"""Score distillation over passages: the loss by hand, what is drawn, and runs that learn from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.cli.commands import run as run_command
from engine.config import DistilConfig, LossConfig, parse_config
from engine.errors import InputError
from engine.extensions.losses import Loss, Passages, PassageSettings
from engine.retrieval.tokens import TokenStore
from engine.runs.checks import check_config
from engine.runs.execute import execute
from engine.training.distillation.passages import PassagePool
from engine.training.losses import Batch, build_loss
from engine.transport import TokenTransport
from tests.training.conftest import Prepare
from tests.training.test_losses import EXACT, lengths, make_batch, unit
from tests.training.test_resume import AtStep, carry_on, interrupted, told_to_stop
from tests.training.test_resume import assert_same as assert_same_run
from tests.training.test_resume import curve as curve_of


def with_passages(batch: Batch) -> Batch:
    passages = Passages(unit(6, 4, 8, seed=11), lengths([4, 1, 2, 3, 4, 2]), unit(6, 6, seed=12))
    return replace(batch, passages=passages)


def softmax(scores: np.ndarray[Any, Any], temperature: float) -> np.ndarray[Any, Any]:
    powers = np.exp(scores / temperature)
    weights: np.ndarray[Any, Any] = powers / powers.sum()
    return weights


def maxsim(queries: Tensor, mask: Tensor, passages: Passages) -> np.ndarray[Any, Any]:
    rows = []
    for query, counted in zip(queries.detach().numpy(), mask.numpy(), strict=True):
        row = []
        for passage, kept in zip(passages.tokens.numpy(), passages.mask.numpy(), strict=True):
            row.append(np.mean([max(float(q @ p) for p in passage[kept]) for q in query[counted]]))
        rows.append(row)
    return np.array(rows)


def by_hand(batch: Batch, scoring: str, temperature: float) -> float:
    """Σ p log(p/q) of the teacher's scores p and the student's q, in NumPy."""
    passages, own = batch.passages, batch.targets.first(3)
    assert passages is not None
    if scoring == "maxsim":
        student = maxsim(batch.tokens, batch.mask, passages)
        teacher = maxsim(own.tokens, own.mask, passages)
    else:
        student = batch.sentences.detach().numpy() @ passages.sentences.numpy().T
        teacher = own.sentences.numpy() @ passages.sentences.numpy().T
    total = 0.0
    for mine, theirs in zip(student, teacher, strict=True):
        p, q = softmax(theirs, temperature), softmax(mine, temperature)
        total += float((p * np.log(p / q)).sum())
    return total / len(student)


@pytest.mark.parametrize("temperature", [0.03, 1.0])
@pytest.mark.parametrize("scorings", [["maxsim"], ["dense"], ["maxsim", "dense"]])
def test_the_divergence_by_hand(scorings: list[str], temperature: float) -> None:
    batch = with_passages(make_batch())
    config = LossConfig.model_validate(
        {"passages": {"weight": 2.0, "scoring": scorings, "temperature": temperature}}
    )
    loss, figures = build_loss(config, EXACT)(batch)
    expected = {scoring: by_hand(batch, scoring, temperature) for scoring in scorings}
    assert float(loss) == pytest.approx(2.0 * sum(expected.values()))
    for scoring, value in expected.items():
        assert figures[f"passages_kl_{scoring}"] == pytest.approx(value)
        assert 0 <= figures[f"passages_agreement_{scoring}"] <= 1


def test_a_student_that_scores_as_the_teacher_has_no_loss() -> None:
    batch = make_batch()
    same = replace(batch, tokens=batch.targets.tokens[:3], mask=batch.targets.mask[:3])
    loss, figures = build_loss(LossConfig.model_validate({"passages": 1.0}), EXACT)(with_passages(same))
    assert float(loss) == pytest.approx(0.0, abs=1e-12)
    assert figures["passages_agreement_maxsim"] == 1.0


def test_the_gradient_against_finite_differences() -> None:
    transport: TokenTransport = EXACT
    loss = build_loss(LossConfig.model_validate({"passages": {"weight": 1.0, "temperature": 0.5}}), transport)
    tokens = unit(3, 4, 8, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(with_passages(make_batch(x)))[0], (tokens,), atol=1e-6)


def test_a_batch_shares_the_nearest_passages_of_its_queries_and_random_ones() -> None:
    sentences = unit(40, 6, seed=1).float()
    store = TokenStore.from_padded(unit(40, 3, 8, seed=2).half(), lengths([1 + row % 3 for row in range(40)]))
    pool = PassagePool(sentences, store, nearest=2, random=5, counts={})
    queries = sentences[[7, 30]] + 0.01
    drawn = pool.draw(queries, np.random.default_rng(3))
    rows = [int((sentences == row).all(1).nonzero()) for row in drawn.sentences]
    nearest = {int(i) for row in queries.numpy() @ sentences.numpy().T for i in np.argsort(-row)[:2]}
    assert {7, 30} <= nearest <= set(rows)
    random = set(np.random.default_rng(3).choice(40, 5, replace=False).tolist())
    assert rows == sorted(nearest | random)
    assert drawn.mask.sum(1).tolist() == [1 + row % 3 for row in rows]
    assert drawn.tokens.dtype == torch.float32
    assert torch.equal(drawn.tokens[0][drawn.mask[0]], store[rows[0]].float())


def test_a_pool_smaller_than_what_is_drawn_is_taken_whole() -> None:
    pool = PassagePool(unit(4, 6, seed=1).float(), None, nearest=9, random=32, counts={})
    drawn = pool.draw(unit(2, 6, seed=2).float(), np.random.default_rng(0))
    assert torch.equal(drawn.sentences, pool.sentences) and drawn.tokens.shape == (4, 0, 0)


ALONE = {"transport": 0.0, "maxsim_contrast": 0.0}


@pytest.mark.parametrize("scoring", ["maxsim", "dense"])
def test_scores_over_unlabelled_passages_teach_to_find_passages(
    tiny: Any, tmp_path: Path, scoring: str
) -> None:
    """Before, 25 passages are ranked by chance (.15): the ciphers have nothing in common with English."""
    changes = {"evaluation": {"scoring": [scoring]}, "training": {"steps": 120}}
    temperature = {"maxsim": 0.1, "dense": 0.01}[scoring]  # pooled vectors of a random model are alike
    loss = {**ALONE, "passages": {"weight": 1.0, "scoring": [scoring], "temperature": temperature}}
    run, (scores,) = execute(parse_config(tiny.settings(loss=loss, **changes)), tmp_path, ["test"])
    assert scores.macro("RR") > 0.3
    figures = curve_of(run)
    agreed = [figures[step][f"passages_agreement_{scoring}"] for step in range(1, 121)]
    assert np.mean(agreed[:5]) < 0.3 and np.mean(agreed[-5:]) > 0.5
    assert figures[0]["held_out_passages"] < run.record["summary"]["held_out_passages"]
    assert run.record["summary"]["best_step"] > 0


def test_passages_of_another_collection_and_a_limit(prepare: Prepare, tiny: Any, tmp_path: Path) -> None:
    corpus = tmp_path / "folder"
    (corpus / "qrels").mkdir(parents=True)
    (corpus / "corpus.jsonl").write_text(
        "\n".join(
            f'{{"_id": "d{i}", "text": "{text}"}}'
            for i, text in enumerate(["river stone", "", "cloud horse"] * 9)
        )
    )
    (corpus / "queries.jsonl").write_text('{"_id": "q", "text": "river"}\n')
    (corpus / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td0\t1\n")
    named = {
        "passages": [
            {"name": "folder", "path": str(corpus), "languages": ["en"], "document_languages": ["en"]}
        ]
    }
    whole = prepare(loss={"passages": 1.0}, **named).passages
    assert len(whole) == 18 and list(whole.counts.values()) == [27]
    some = prepare(loss={"passages": {"weight": 1.0, "limit": 9}}, **named).passages
    again = prepare(loss={"passages": {"weight": 1.0, "limit": 9}}, **named).passages
    assert 2 <= len(some) <= 9 and torch.equal(some.sentences, again.sentences)


def test_the_record_and_show_name_the_passages(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tiny.settings(loss={"passages": 1.0}, training={"steps": 2, "evaluate_every": 2})
    run, _ = execute(parse_config(settings), tmp_path / "runs", ["test"])
    ((name, count),) = run.record["summary"]["passages"].items()
    assert name.startswith("ciphers (") and count == 25
    capsys.readouterr()
    assert run_command(["show", run.id, "--results", str(tmp_path / "results.duckdb")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"learnt from 25 unlabelled passages of {name}" in shown
    # a comparison says it of the system that did
    other, _ = execute(parse_config(tiny.settings(training={"steps": 2})), tmp_path / "runs", ["test"])
    assert run_command(["compare", other.id, run.id, "--results", str(tmp_path / "results.duckdb")]) == 0
    assert capsys.readouterr().out.count("learnt from 25 unlabelled passages") == 1


def test_a_resumed_run_has_equal_losses(tiny: Any, tmp_path: Path) -> None:
    settings = {
        "loss": {"passages": {"weight": 1.0, "random": 4}, "pooled_mse": 1.0},
        "training": {"steps": 30},
    }
    whole, _ = execute(parse_config(tiny.settings("sw", "mr", **settings)), tmp_path, ["test"])
    folder = interrupted(tiny, tmp_path, AtStep("training", 17, told_to_stop), **settings)
    run, _ = carry_on(folder)
    assert_same_run(run, whole)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"loss": {"passages": 1.0}, "training": {"target_role": "passage"}}, "training.target_role must be"),
        (
            {
                "loss": {"passages": 1.0},
                "training": {"student_role": "both"},
                "evaluation": {"documents": "student"},
            },
            "training.student_role must be 'query', not 'both'",
        ),
        ({"passages": [{"name": "lareqa"}]}, "passages belongs to loss.passages, which has weight 0"),
        ({"loss": {"passages": {"weight": 1.0, "nearest": 0, "random": 1}}}, "fewer than two passages"),
        ({"loss": {"passages": {"weight": 1.0, "scoring": ["bm25"]}}}, "should be 'maxsim' or 'dense'"),
    ],
)
def test_settings_that_contradict_each_other(tiny: Any, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_config(tiny.settings(**changes))


def test_a_loss_over_passages_needs_a_collection(tiny: Any, prepare: Prepare, tmp_path: Path) -> None:
    says = r"loss.passages needs passages to score; name a collection in \[\[passages\]\]"
    with pytest.raises(InputError, match=says):
        prepare(loss={"passages": 1.0}, collections=[])
    config = parse_config(tiny.settings(loss={"passages": 1.0}, collections=[]))
    ((key, error),) = check_config(config, tmp_path)[1]
    assert key == "loss" and "loss.passages needs passages" in str(error)


def test_a_loss_over_passages_needs_their_settings() -> None:
    with pytest.raises(InputError, match="subclass of PassageSettings"):
        Loss(name="mine", meaning="Mine.", build=lambda inputs: None, passages=True)  # type: ignore[arg-type]
    Loss(name="mine", meaning="Mine.", build=lambda inputs: None, passages=True, settings=PassageSettings)  # type: ignore[arg-type, return-value]


def test_the_teacher_encodes_the_english_side_as_the_student_its_own(tiny: Any) -> None:
    def role(**training: Any) -> str:
        changes: dict[str, Any] = {"training": training, "evaluation": {"documents": "student"}}
        config = parse_config(tiny.settings(**changes))
        assert isinstance(config, DistilConfig)
        return config.training.target_role

    assert role() == role(student_role="query") == "query"
    assert role(student_role="passage") == role(student_role="both") == "passage"
    assert role(student_role="passage", target_role="query") == "query"
