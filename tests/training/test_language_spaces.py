"""A distillation with language components begins where LIR without training ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.config import parse_config
from engine.encoders.components import component_key, remove_components
from engine.errors import InputError
from engine.evaluation.finished_run import encoders_of
from engine.evaluation.scores import Scores
from engine.inspect.plan import encode_pair
from engine.inspect.search import Searcher
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.runs.elsewhere import elsewhere
from engine.runs.execute import execute
from engine.training.distillation.task import prepare_distillation
from engine.training.runtime import Runtime

Executed = tuple[RunFolder, list[Scores]]
UNTRAINED = {"steps": 1, "evaluate_every": 1, "learning_rate": 1e-12, "held_out": 0, "precision": "auto"}


def settings(tiny: Any, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = tiny.settings("sw", "mr", evaluation={"scoring": ["maxsim", "dense"]}, **changes)
    return {**made, "language_components": 2}


@pytest.fixture(scope="module")
def untrained(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """A distillation whose only step changes nothing."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("untrained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        return execute(parse_config(settings(tiny, training=UNTRAINED)), home / "runs", ["test"])


def test_step_0_scores_as_lir_without_training(untrained: Executed, tiny: Any, tmp_path: Path) -> None:
    made = settings(tiny)
    config = {
        "kind": "evaluate",
        "encoder": made["teacher"],
        **{name: made[name] for name in ("bitext", "collections", "evaluation", "language_components")},
    }
    _, lir = execute(parse_config(config), tmp_path / "runs", ["test"])
    _, plain = execute(parse_config({**config, "language_components": 0}), tmp_path / "runs", ["test"])
    for distilled, evaluated, zero_shot in zip(untrained[1], lir, plain, strict=True):
        assert distilled.scoring == evaluated.scoring
        for ours, theirs in zip(distilled.ranking.scores, evaluated.ranking.scores, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-3)
        assert distilled.macro("RR") == pytest.approx(evaluated.macro("RR"), abs=0.005)
        assert np.abs(np.subtract(distilled.ranking.scores, zero_shot.ranking.scores)).max() > 0.02


def test_the_components_are_singular_vectors_and_saved_with_both_encoders(
    untrained: Executed, tiny: Any
) -> None:
    student, teacher = encoders_of(untrained[0])
    texts = [line.split("\t")[0] for line in tiny.training["sw"].read_text("utf-8").splitlines()]
    ((_, encoded),) = student.encode(texts, "query", batch_size=len(texts))
    for kind, rows in (("tokens", encoded.tokens[encoded.mask]), ("sentences", encoded.sentences)):
        _, _, axes = np.linalg.svd(rows.double().numpy(), full_matrices=False)
        own = student.components[component_key(kind, "query", "sw")].double().numpy()
        assert np.abs(own @ axes[:2].T).round(2).tolist() == [[1, 0], [0, 1]]
    assert {key.split()[1] for key in teacher.components} == {"passage", "peer", "query"}
    assert {key.split()[2] for key in teacher.components} == {"en"}


def test_the_losses_see_vectors_without_components(tiny: Any) -> None:
    config: Any = parse_config(settings(tiny, training={"steps": 1, "precision": "fp32"}))
    task = prepare_distillation(config, Runtime.start(0, config.training), Reporter())
    assert task.spaces is not None
    of_english = task.teacher.components[component_key("tokens", "query", "en")]
    rows = range(len(task.bitext.english))
    assert (task.vectors.of(rows).store.vectors.float() @ of_english.T).abs().max() < 1e-3
    batch = next(task.batches())
    languages = [example.language for example in batch]
    assert {"sw", "mr"} == set(languages)
    encoded = task.student(task.tokens.of([example.text for example in batch], "query"), "query")
    found = task.spaces.of_batch(encoded, languages)
    for row, code in enumerate(languages):
        components = task.student.components[component_key("tokens", "query", code)]
        assert (found.tokens[row] @ components.T).abs().max() < 1e-4
        assert torch.allclose(
            found.tokens[row], remove_components(encoded.tokens[row], components), atol=1e-5
        )
    loss, _ = task.loss(0, batch, np.random.default_rng(0))
    loss.backward()
    gradients = [one.grad for one in task.student.parameters() if one.grad is not None]
    assert gradients and all(torch.isfinite(one).all() for one in gradients)
    assert any(one.abs().max() > 0 for one in gradients)


def test_training_improves_on_it_and_a_search_repeats_the_evaluation(
    untrained: Executed, tiny: Any, tmp_path: Path
) -> None:
    made = settings(tiny, training={"precision": "auto"})
    run, scores = execute(parse_config(made), tmp_path / "runs", ["test"])
    assert scores[0].macro("RR") > untrained[1][0].macro("RR") + 0.1
    before, after = (encoders_of(one)[0].components for one in (untrained[0], run))
    assert all(torch.equal(before[key], after[key]) for key in before)  # training leaves them as they are
    searcher = Searcher(run, "sw")
    query = scores[0].collection.queries[0]
    hit = searcher.search(query.text, 1)[0]
    place = list(scores[0].ranking.query_ids).index(query.id)
    assert hit.score == pytest.approx(scores[0].ranking.scores[place][0], abs=5e-3)
    config = elsewhere(run, settings(tiny)["collections"])
    _, again = execute(config, tmp_path / "runs", ["test"])
    for one, other in zip(again, scores, strict=True):
        assert one.macro("RR") == pytest.approx(other.macro("RR"), abs=0.02)
    with pytest.raises(InputError, match=r"transport.layers compares others"):
        parse_config(settings(tiny, transport={"layers": [1]}))
    with pytest.raises(InputError, match="student encodes documents"):
        parse_config(settings(tiny, training={"student_role": "both"}))


def test_passages_and_a_validation_are_searched_without_components(tiny: Any, tmp_path: Path) -> None:
    made = settings(tiny, loss={"pooled_mse": 1.0, "passages": {"weight": 1.0, "nearest": 2, "random": 4}})
    source = {"path": str(tiny.test["sw"]), "language": "sw"}
    made["validation"] = {"name": "bitext", "label": "held-out", "bitext": [{**source, "stop": 10}]}
    made["collections"] = [{"name": "bitext", "bitext": [{**source, "start": 10}]}]
    config: Any = parse_config(made)
    task = prepare_distillation(config, Runtime.start(0, config.training), Reporter())
    assert task.passages is not None and task.passages.tokens is not None and task.validation is not None
    of_documents = task.teacher.components[component_key("tokens", "peer", "en")]
    for store in (task.passages.tokens, task.validation.documents[0]):
        assert (store.vectors.float() @ of_documents.T).abs().max() < 5e-3  # type: ignore[union-attr]
    assert task.validation.search(task.student)["validation"] > 0


def test_a_typed_plan_is_between_vectors_without_components(untrained: Executed, tiny: Any) -> None:
    student, teacher = encoders_of(untrained[0])
    pair = encode_pair(student, teacher, "retaw", "water", "query", "sw")
    components = student.components[component_key("tokens", "query", "sw")]
    assert (pair.query.tokens[0] @ components.T).abs().max() < 1e-4
    with pytest.raises(InputError, match="one of en, mr, sw"):
        encode_pair(student, teacher, "retaw", "water", "query")
