"""A loss, a cost, a marginal, a solver and a scoring of other code in a run, from settings to results."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from pydantic import Field

from engine.cli import toml
from engine.cli.config import config as config_command
from engine.config import LossConfig, load_config, parse_config
from engine.errors import InputError
from engine.extensions.losses import LOSSES, Batch, Loss, LossInputs, LossSettings
from engine.extensions.scorings import SCORINGS, Scoring
from engine.extensions.transport import (
    COSTS,
    MARGINALS,
    SOLVERS,
    Cost,
    Marginal,
    MassInputs,
    Problem,
    Solution,
    Solver,
    SolverOptions,
)
from engine.results.metrics_log import tail
from engine.results.run_folder import table_files
from engine.retrieval.topk import Found, find
from engine.runs.execute import execute
from workbench.launch.form import Form


class Sliced(LossSettings):
    """Settings of the sliced loss."""

    directions: int = Field(8, ge=1)
    """Number of random directions."""


class SlicedLoss:
    """Squared distance between sentence vectors along random directions."""

    def __init__(self, directions: int) -> None:
        self.directions = directions

    def __call__(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        difference = batch.sentences - batch.targets.sentences[: len(batch.sentences)]
        generator = torch.Generator().manual_seed(0)
        directions = torch.randn(difference.shape[1], self.directions, generator=generator)
        loss = (difference @ directions).square().mean()
        return loss, {"sliced": float(loss.detach()), "directions": float(self.directions)}


def build(inputs: LossInputs) -> SlicedLoss:
    return SlicedLoss(inputs.settings.directions)


def manhattan(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x.unsqueeze(-2) - y.unsqueeze(-3)).abs().sum(-1)


def by_position(side: Any, _: MassInputs) -> torch.Tensor:
    weights = side.mask / torch.arange(1, side.mask.shape[1] + 1)
    return weights / weights.sum(1, keepdim=True)


def independent(problem: Problem, _: SolverOptions) -> Solution:
    return Solution(problem.source.unsqueeze(2) * problem.target.unsqueeze(1))


def by_distance(queries: torch.Tensor, documents: torch.Tensor, k: int, wanted: torch.Tensor) -> Found:
    return find(-torch.cdist(queries, documents, p=1), k, wanted)


@pytest.fixture
def extras() -> Iterator[None]:
    registered: list[tuple[Any, Any]] = [
        (LOSSES, Loss("sliced", "Sliced distance.", build, sentence_vectors=True, settings=Sliced)),
        (COSTS, Cost("manhattan", "sum of absolute differences", manhattan)),
        (MARGINALS, Marginal("position", "by position", by_position)),
        (SOLVERS, Solver("independent", "the independent coupling", independent, settings=())),
        (SCORINGS, Scoring("l1", "minus the L1 distance", "sentences", search=by_distance)),
    ]
    for registry, entry in registered:
        registry.register(entry)
    yield
    for registry, entry in registered:
        registry.unregister(entry.name)


TRANSPORT = {"cost": "manhattan", "marginals": "position", "solver": "independent"}


def test_a_run_with_entries_of_other_code_from_a_file_to_its_tables(
    extras: None, tiny: Any, tmp_path: Path
) -> None:
    settings = tiny.settings(
        loss={"sliced": {"weight": 0.5, "directions": 3}, "transport_contrast": 0.3},
        transport=TRANSPORT,
        training={"steps": 3, "evaluate_every": 3},
        evaluation={"scoring": ["dense", "l1"]},
    )
    path = tmp_path / "run.toml"
    path.write_text(toml.dump(settings), "utf-8")
    config = load_config(path, ["loss.sliced.directions=5"])
    run, scores = execute(config, tmp_path / "runs", ["test"])
    steps = [r.metrics for r in tail(run.metrics_path).records if "loss" in r.metrics]
    assert len(steps) == 3 and all(math.isfinite(value) for step in steps for value in step.values())
    for step in steps:
        parts = (0.5 * step["sliced"], 0.1 * step["transport_cost"])
        contrasts = (step["maxsim_contrast"], 0.3 * step["transport_contrast"])
        assert step["loss"] == pytest.approx(sum((*parts, *contrasts)), rel=1e-5)
        assert step["directions"] == 5 and step["sliced"] > 0
    plan = pq.read_table(run.path / "plans.parquet").to_pylist()[0]
    moved = np.array(plan["plan"])
    rows, columns = moved.sum(1), moved.sum(0)
    assert plan["solver"] == "independent" and (np.diff(rows) < 0).all()
    np.testing.assert_allclose(moved, np.outer(rows, columns), rtol=1e-4)
    recorded: Any = parse_config(run.record["config"])
    assert recorded.loss.own_settings("sliced") == Sliced(weight=0.5, directions=5)
    assert {score.scoring for score in scores} == {"dense", "l1"}
    tables = [pq.read_table(file) for file in table_files(run.path, "scores")]
    stored = {row["scoring"] for table in tables for row in table.to_pylist()}
    assert stored == {"dense", "l1"}


def test_a_registered_loss_is_a_setting_everywhere(extras: None, tiny: Any, tmp_path: Path) -> None:
    done = CliRunner().invoke(config_command, ["schema"])
    schema = json.loads(done.stdout)
    loss = schema["$defs"]["DistilConfig"]["properties"]["loss"]["properties"]
    assert loss["transport"]["type"] == "number"
    assert loss["sliced"]["$ref"] == "#/$defs/Sliced"
    number, table = schema["$defs"]["Sliced"]["anyOf"]
    assert number == {"type": "number", "minimum": 0}
    assert table["properties"]["directions"]["description"] == "Number of random directions."
    for setting, name in (("cost", "manhattan"), ("marginals", "position"), ("solver", "independent")):
        assert name in schema["$defs"]["TransportConfig"]["properties"][setting]["enum"]
    assert "l1" in schema["$defs"]["EvaluationConfig"]["properties"]["scoring"]["items"]["enum"]

    path = tmp_path / "run.toml"
    path.write_text(toml.dump(tiny.settings(loss={"sliced": 0.5}, transport=TRANSPORT)), "utf-8")
    form = Form.from_preset(str(path))
    rows = {row.path: row for row in form.rows()}
    assert rows["loss", "sliced", "weight"].value == 0.5
    assert rows["loss", "sliced", "directions"].value == 8
    assert "independent" in rows["transport", "solver"].choices
    form.set_value(("loss", "sliced", "directions"), 2)
    assert not form.errors
    read: Any = form.validate()
    assert read.loss.own_settings("sliced").directions == 2


def test_a_number_is_the_weight_of_a_loss_with_settings_of_its_own(extras: None) -> None:
    whole = LossConfig(sliced={"weight": 0.25, "directions": 8})
    assert LossConfig(sliced=0.25) == whole and whole.weight("sliced") == 0.25
    assert LossConfig(transport=1).weight("sliced") == 0 and LossConfig(transport=1).weight("transport") == 1
    assert whole.own_settings("transport") is None


def test_mistakes_in_the_settings_of_a_loss_are_one_sentence(extras: None, tiny: Any) -> None:
    for loss, says in (
        ({"sliced": -1}, r"loss\.sliced\.weight: .* 0, not -1"),
        ({"sliced": {"weight": 1, "directons": 2}}, r"loss\.sliced\.directons .*did you mean 'directions'"),
        ({"slicd": 1}, r"loss\.slicd .*did you mean 'sliced'"),
        ({"sliced": {"directions": 2}, "maxsim_contrast": 0, "transport": 0}, "every loss has weight 0"),
    ):
        with pytest.raises(InputError, match=says):
            parse_config(tiny.settings(loss=loss))


def test_a_run_that_does_not_use_a_loss_is_read_without_it(tiny: Any) -> None:
    older = parse_config(tiny.settings())
    LOSSES.register(Loss("sliced", "Sliced distance.", build, settings=Sliced))
    LOSSES.register(Loss("plain", "Plain.", build))
    try:
        assert older.model_dump(mode="json") == parse_config(tiny.settings()).model_dump(mode="json")
        recorded = parse_config(tiny.settings()).model_dump(mode="json")
        used = parse_config(tiny.settings(loss={"plain": 1})).model_dump(mode="json")
    finally:
        LOSSES.unregister("sliced")
        LOSSES.unregister("plain")
    assert set(recorded["loss"]) == set(LossConfig.model_fields)
    assert parse_config(recorded) == parse_config(tiny.settings())
    with pytest.raises(InputError, match=r"loss\.plain is not a setting"):
        parse_config(used)


@pytest.mark.parametrize("name", ["temperature", "hardest", "weight", "copy", "two words", "_private", ""])
def test_a_loss_cannot_take_the_name_of_another_setting(name: str) -> None:
    with pytest.raises(InputError, match="cannot be called"):
        Loss(name, "Anything.", build)


def test_a_contrast_of_other_code_needs_several_sentences(tiny: Any) -> None:
    LOSSES.register(Loss("other", "Another contrast.", build, compares="batches"))
    try:
        with pytest.raises(InputError, match=r"raise training\.batch_size above 1 or set loss\.negatives"):
            parse_config(
                tiny.settings(
                    loss={"maxsim_contrast": 0, "transport": 0, "other": 1}, training={"batch_size": 1}
                )
            )
    finally:
        LOSSES.unregister("other")
