"""The estimate of a step's memory, and the refusal of a run that cannot fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.config import parse_config
from engine.errors import InputError
from engine.results.run_folder import RunFolder
from engine.runs.execute import execute
from engine.training import memory
from engine.training.memory import check_memory

WIDTH = 64


def linear_loss(layer: torch.nn.Linear, rows: int) -> Callable[[], Tensor]:
    """Return a loss whose graph keeps the input and the output of `layer`, (rows, WIDTH) each."""
    given = torch.ones(rows, WIDTH)
    return lambda: (layer(given) ** 2).mean()


def test_what_is_kept_is_counted_once_and_without_weights() -> None:
    layer = torch.nn.Linear(WIDTH, WIDTH)
    assert memory._kept_bytes(layer, linear_loss(layer, 10)) == 2 * 10 * WIDTH * 4


def test_a_step_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = torch.nn.Linear(WIDTH, WIDTH)
    weights = (WIDTH * WIDTH + WIDTH) * 4
    # the gradient, two moments and a copy; a batch of 100 rows keeps 2 x 100 x 64 values
    needed = 4 * weights + 2 * 100 * WIDTH * 4

    def check(free: int) -> None:
        monkeypatch.setattr(memory, "available_memory", lambda device: free)
        check_memory(
            layer, linear_loss(layer, 2), 2 / 100, setting="training.batch_size", batch_size=100, copies=1
        )

    state = torch.random.get_rng_state()
    layer.eval()
    check(needed)
    with pytest.raises(InputError, match=r"lower training\.batch_size from 100 to 99 or less"):
        check(needed - 1)
    with pytest.raises(InputError, match=r"from 100 to 50 or less"):
        check(4 * weights + 100 * WIDTH * 4)
    with pytest.raises(InputError, match="train a smaller encoder"):
        check(4 * weights)
    assert torch.equal(state, torch.random.get_rng_state()) and not layer.training


def test_the_memory_of_a_container_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "max").write_text("5000000\n")
    (tmp_path / "current").write_text("1000000\n")
    monkeypatch.setattr(memory, "_LIMITS", ((str(tmp_path / "max"), str(tmp_path / "current")),))
    assert memory.available_memory(torch.device("cpu")) == 4_000_000
    (tmp_path / "max").write_text("max\n")
    assert memory.available_memory(torch.device("cpu")) > 4_000_000


def test_a_run_that_cannot_fit_is_refused_before_its_first_step(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda device: 3_000_000)
    config = parse_config(tiny.settings(training={"steps": 2, "evaluate_every": 1, "batch_size": 64}))
    with pytest.raises(InputError, match=r"a step needs about .* GB .*training\.batch_size from 64 to \d+"):
        execute(config, tmp_path / "runs", ["test"])
    (folder,) = (tmp_path / "runs").iterdir()
    run = RunFolder.open(folder)
    assert run.record["state"] == "failed" and "training.batch_size" in run.record["failure"]
    assert not run.metrics_path.exists()


def test_the_estimate_grows_with_the_batch_as_the_batch_does(prepare: Any) -> None:
    task = prepare().task
    batch = max(
        (next(task.batches()) for _ in range(1)), key=lambda found: sum(example.length for example in found)
    )
    longest = sorted(batch, key=lambda example: example.length)[-2:]

    def kept(examples: Any) -> int:
        import numpy as np

        return memory._kept_bytes(task.learner, lambda: task.loss(0, examples, np.random.default_rng(0))[0])

    assert kept(longest) * len(batch) / 2 == pytest.approx(kept(batch), rel=0.5)
