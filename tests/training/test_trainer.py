"""The trainer with a task of its own: a line fitted to points."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.config import DistilConfig, parse_config
from engine.config.optimisation import LoopConfig
from engine.errors import DivergedError
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder, tail
from engine.training.optimiser import adamw
from engine.training.runtime import Runtime
from engine.training.trainer import TaskInfo, Trainer


class Line:
    """Fit w in y = 3 x by least squares, with noise that the trainer's generator draws."""

    def __init__(self, settings: LoopConfig, info: TaskInfo, values: list[float] | None = None) -> None:
        self.info, self.values, self.hashes = info, values, ["points"]
        self.learner = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.learner.weight)
        self.optimiser = adamw(self.learner, settings)
        self.measured: list[float] = []

    @property
    def weight(self) -> float:
        return float(self.learner.weight.detach())

    def batches(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(0)
        while True:
            yield torch.rand(8, 1, generator=generator)

    def loss(
        self, step: int, batch: Tensor, generator: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        noise = float(generator.normal(0, 0.01))
        return ((self.learner(batch) - 3 * batch - noise) ** 2).mean(), {"noise": noise}

    def measure(self) -> dict[str, float] | None:
        self.measured.append(self.weight)
        if self.values is None:
            return {"held_out_rr": -abs(3 - self.weight)}
        return {"held_out_rr": self.values[len(self.measured) - 1]}


SETTINGS = LoopConfig(steps=12, batch_size=8, learning_rate=0.1, warmup=0.0, evaluate_every=3, weight_decay=0)


def run_in(folder: Path, name: str = "one") -> RunFolder:
    config = parse_config({"kind": "distil", "bitext": [{"path": "x", "language": "sw"}]})
    assert isinstance(config, DistilConfig)
    return RunFolder.create(folder, config, ["test"], name)


def runtime(**changes: Any) -> Runtime:
    return Runtime(torch.device("cpu"), torch.float32, 5, **changes)


def curve(run: RunFolder, name: str) -> list[float]:
    return [record.metrics[name] for record in tail(run.metrics_path).records if name in record.metrics]


def test_the_best_weights_are_kept(tmp_path: Path) -> None:
    task = Line(SETTINGS, TaskInfo(), values=[0.0, 0.2, 0.9, 0.8, 0.1])
    run = run_in(tmp_path)
    progress = Trainer(SETTINGS, runtime(), run).fit(task)
    assert (progress.step, progress.best_step, progress.best_value) == (12, 6, 0.9)
    assert task.weight == task.measured[2] != task.measured[-1]
    assert run.record["summary"]["best_step"] == 6 and run.record["summary"]["held_out_rr"] == 0.9
    assert len(curve(run, "loss")) == 12 and curve(run, "held_out_rr") == [0.0, 0.2, 0.9, 0.8, 0.1]


def test_a_task_may_keep_its_last_weights_and_log_less_often(tmp_path: Path) -> None:
    info = TaskInfo(
        speed="points_per_second", units=8, log_every=4, best_by=None, summarised=("held_out_rr",)
    )
    task, run = Line(SETTINGS, info, values=[0.9, 0.2, 0.1, 0.1, 0.0]), run_in(tmp_path)
    Trainer(SETTINGS, runtime(), run).fit(task)
    assert task.weight == task.measured[-1]
    assert len(curve(run, "points_per_second")) == 3
    assert run.record["summary"]["held_out_rr"] == 0.0 and "best_step" not in run.record["summary"]


def test_patience_and_averaging(tmp_path: Path) -> None:
    info = TaskInfo(patience=2, averaging=0.25)
    task = Line(SETTINGS, info, values=[0.5, 0.6, 0.4, 0.4, 0.9])
    progress = Trainer(SETTINGS, runtime(), run_in(tmp_path)).fit(task)
    assert (progress.step, progress.best_step) == (9, 3)
    # the weight before training is 0, so a quarter of it takes a quarter away, also while it is measured
    last = Line(SETTINGS, TaskInfo(best_by=None))
    Trainer(SETTINGS.model_copy(update={"evaluate_every": 3}), runtime(), run_in(tmp_path, "two")).fit(last)
    assert task.weight == pytest.approx(0.75 * last.measured[1])
    assert task.measured[1:] == pytest.approx([0.75 * value for value in last.measured[1:4]])


def test_a_moving_average_of_the_weights_is_measured_and_kept(tmp_path: Path) -> None:
    class Steps(Line):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.seen = [0.0]

        def loss(self, *args: Any) -> tuple[Tensor, dict[str, float]]:
            if self.optimiser.state:
                self.seen.append(self.weight)
            return super().loss(*args)

    task = Steps(SETTINGS, TaskInfo(ema=0.8), [0.1, 0.2, 0.3, 0.9, 0.4])
    progress = Trainer(SETTINGS, runtime(), run_in(tmp_path)).fit(task)
    average, averages = 0.0, [0.0]
    for value in task.seen[1:]:
        average = 0.8 * average + 0.2 * value
        averages.append(average)
    assert len(averages) == 12 and progress.best_step == 9
    assert task.measured[:4] == pytest.approx([averages[step] for step in (0, 3, 6, 9)])
    assert task.weight == pytest.approx(averages[9])
    assert task.seen[10] > task.seen[9] > averages[9]  # the steps themselves go on from the weights


def test_a_loss_that_is_no_number_names_the_setting_of_its_kind(tmp_path: Path) -> None:
    class Broken(Line):
        def loss(self, step: int, batch: Tensor, generator: np.random.Generator) -> Any:
            return self.learner(batch).sum() * (float("nan") if step == 4 else 1.0), {}

    trainer = Trainer(SETTINGS, runtime(), run_in(tmp_path))
    with pytest.raises(DivergedError, match=r"not a number at step 4; lower pretraining\.learning_rate"):
        trainer.fit(Broken(SETTINGS, TaskInfo(section="pretraining")))
    assert not trainer.state_file.exists()  # what was saved at step 3 would diverge again


def test_a_stopped_training_ends_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    class StopAt(Reporter):
        left = 5

        def advance(self, parts: int = 1) -> None:
            self.left -= parts
            if not self.left:
                os.kill(os.getpid(), signal.SIGINT)

    whole = Line(SETTINGS, TaskInfo())
    run = run_in(tmp_path, "whole")
    Trainer(SETTINGS, runtime(), run).fit(whole)
    cut = run_in(tmp_path, "cut")
    first = Line(SETTINGS, TaskInfo())
    with pytest.raises(KeyboardInterrupt):
        Trainer(SETTINGS, runtime(), cut, StopAt()).fit(first)
    assert first.weight == first.measured[1]  # the best so far
    second = Line(SETTINGS, TaskInfo())
    Trainer(SETTINGS, runtime(), cut).fit(second)
    assert second.weight == whole.weight and second.measured == whole.measured[2:]
    assert curve(cut, "noise") == curve(run, "noise") and curve(cut, "loss") == curve(run, "loss")


def test_only_the_main_process_writes(tmp_path: Path) -> None:
    main, other = run_in(tmp_path, "main"), run_in(tmp_path, "other")
    tasks = [Line(SETTINGS, TaskInfo()) for _ in range(2)]
    Trainer(SETTINGS, runtime(world_size=2), main).fit(tasks[0])
    trainer = Trainer(SETTINGS, runtime(rank=1, world_size=2), other)
    trainer.fit(tasks[1])
    assert tasks[0].weight == tasks[1].weight  # they compute the same
    assert curve(main, "loss") and not other.metrics_path.exists() and not trainer.state_file.exists()
    assert other.record["summary"] == {}


def test_a_runtime_seeds_torch_and_sets_what_the_loop_asks_for() -> None:
    before = torch.get_num_threads()
    try:
        settings = LoopConfig(precision="bf16", threads=1)
        started = Runtime.start(3, settings)
        drawn = torch.rand(2)
        assert (started.precision, started.threads, torch.get_num_threads()) == (torch.bfloat16, 1, 1)
        assert started.is_main and not Runtime.start(3, settings).rank
        assert torch.equal(torch.rand(2), drawn)
        with started.autocast():
            assert (torch.eye(2) @ torch.eye(2)).dtype == torch.bfloat16
        with Runtime.start(3, LoopConfig(precision="fp32")).autocast():
            assert (torch.eye(2) @ torch.eye(2)).dtype == torch.float32
    finally:
        torch.set_num_threads(before)
