"""A collection that is searched during training decides which step is best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.cli.commands import run as run_command
from engine.collections.load import load_collections
from engine.config import DistilConfig, parse_config
from engine.errors import InputError
from engine.evaluation.finished_run import encoders_of
from engine.results.metrics_log import tail
from engine.results.run_facts import is_unchanged, state_of_record
from engine.runs.checks import check_config
from engine.runs.execute import execute
from engine.training.distillation.validation import check_validation
from tests.training.conftest import Prepare
from tests.training.test_resume import AtStep, carry_on, interrupted, told_to_stop
from tests.training.test_resume import assert_same as assert_same_run

torch.set_num_threads(1)


def source(path: Path, code: str, **changes: Any) -> dict[str, Any]:
    return {"path": str(path), "language": code, **changes}


def settings(tiny: Any, **changes: Any) -> dict[str, Any]:
    """Train on all pairs of the training part, validate on the first of the test part, report on the rest."""
    made: dict[str, Any] = tiny.settings("sw", **changes)
    test = tiny.test["sw"]
    made["validation"] = {"name": "bitext", "bitext": [source(test, "sw", stop=10)]}
    made["collections"] = [{"name": "bitext", "bitext": [source(test, "sw", start=10)]}]
    return made


def configured(made: dict[str, Any]) -> DistilConfig:
    config = parse_config(made)
    assert isinstance(config, DistilConfig)
    return config


def test_the_step_with_the_best_validation_is_kept(tiny: Any, tmp_path: Path) -> None:
    config = configured(settings(tiny, training={"held_out": 0}))
    run, scores = execute(config, tmp_path, ["test"])
    records = [r for r in tail(run.metrics_path).records if "validation" in r.metrics]
    values = {r.step: r.metrics["validation"] for r in records}
    assert list(values) == [0, 20, 40, 60] and "held_out_rr" not in records[0].metrics
    best = max(values.values())
    summary = run.record["summary"]
    assert summary["validation"] == best > values[0]
    assert summary["best_step"] == next(step for step, value in values.items() if value == best)
    assert summary["validation_on"].startswith("RR by maxsim on bitext (")
    assert "10 questions in sw" in summary["validation_on"]
    assert len(scores[0].collection.queries) == 15
    # the saved student is that of the best step: it has its figure
    student, _ = encoders_of(run)
    again = prepare_search(config, student)
    assert again == pytest.approx(best)


def prepare_search(config: DistilConfig, student: Any) -> float:
    from engine.encoders.encoder import Encoder
    from engine.reporting import SILENT
    from engine.training.distillation.validation import read_validation

    teacher = Encoder.load(config.teacher)
    teacher.mean.copy_(student.mean)
    validation = read_validation(config, check_validation(config), teacher, torch.float32, SILENT)
    assert validation is not None
    return validation.search(student)["validation"]


def test_it_decides_although_pairs_are_held_out(prepare: Prepare, tiny: Any, tmp_path: Path) -> None:
    made = settings(tiny)
    found = prepare("sw", validation=made["validation"], collections=made["collections"])
    assert found.info.best_by == "validation" and found.info.summarised == ("held_out_rr",)
    figures = found.task.measure()
    assert figures is not None and {"validation", "validation_sw", "held_out_rr"} <= figures.keys()
    said = found.info.describe(figures)
    assert said.startswith(f"validation RR {figures['validation']:.4f}, held-out MRR")


def test_pairs_of_the_validation_are_not_trained_on(prepare: Prepare, tiny: Any) -> None:
    both = [source(tiny.training["sw"], "sw"), source(tiny.test["sw"], "sw")]
    made = settings(tiny)
    found = prepare("sw", bitext=both, validation=made["validation"], collections=[])
    assert sum(row["pairs"] for row in found.bitext.rows) == 120 + 15


def test_questions_that_are_reported_are_left_out(tiny: Any) -> None:
    made = settings(tiny)
    made["collections"] = [{"name": "bitext", "bitext": [source(tiny.test["sw"], "sw", start=8)]}]
    config = configured(made)
    assert config.validation is not None
    (left,), (whole,) = check_validation(config), load_collections(config.validation)
    assert [query.id for query in left.queries] == [query.id for query in whole.queries[:8]]
    assert any("2 of 10 held-out queries were left out" in note for note in left.notes)


@pytest.mark.parametrize("part", [{"stop": 10}, {}])
def test_a_validation_that_is_reported_is_refused(tiny: Any, part: dict[str, int]) -> None:
    made = settings(tiny)
    made["collections"] = [{"name": "bitext", "bitext": [source(tiny.test["sw"], "sw", **part)]}]
    config = configured(made)
    with pytest.raises(InputError, match=r"all 10 queries of .* are also reported"):
        check_validation(config)
    problems = check_config(config, Path("runs"))[1]
    assert [key for key, _ in problems] == ["validation"]


def test_the_same_questions_in_another_language_are_refused(tiny: Any) -> None:
    made = settings(tiny)
    made["collections"] = [{"name": "bitext", "bitext": [source(tiny.test["mr"], "mr")]}]
    with pytest.raises(InputError, match="all 10 queries"):
        check_validation(configured(made))


def test_settings_that_cannot_be_validated_are_refused(tiny: Any) -> None:
    with pytest.raises(InputError, match="student_role = 'passage'"):
        made = settings(tiny, training={"student_role": "passage"})
        parse_config({**made, "evaluation": {"documents": "student"}})
    with pytest.raises(InputError, match="documents that the teacher encoded"):
        parse_config({**settings(tiny), "evaluation": {"documents": "student"}})


def test_a_stopped_run_goes_on_as_if_it_had_not(tiny: Any, tmp_path: Path) -> None:
    made = settings(tiny)
    own = {name: made[name] for name in ("validation", "collections")}
    config = parse_config(tiny.settings("sw", "mr", **own))
    whole, _ = execute(config, tmp_path / "whole", ["test"])
    run, _ = carry_on(interrupted(tiny, tmp_path, AtStep("training", 30, told_to_stop), **own))
    assert_same_run(run, whole)


def test_a_student_that_no_step_improved_is_said_to_be_unchanged(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(settings(tiny, training={"learning_rate": 1e-12, "steps": 20}))
    run, _ = execute(config, tmp_path / "runs", ["test"])
    assert run.record["summary"]["best_step"] == 0
    assert is_unchanged(run.record) and state_of_record(run.record) == "finished, unchanged"
    assert not is_unchanged({**run.record, "state": "running"})
    results = ["--results", str(tmp_path / "results.duckdb")]

    def told(*command: str) -> str:
        assert run_command([*command, *results]) == 0
        return " ".join(capsys.readouterr().out.split())

    assert "finished, unchanged" in told("runs")
    shown = told("show", run.id)
    assert "finished, unchanged" in shown and "initial checkpoint unchanged" in shown
    facts = json.loads(told("show", run.id, "--json"))
    assert facts["unchanged"] is True and facts["held_out"]["figure"] == "validation"
