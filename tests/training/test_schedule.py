"""The learning rate's closed form, against numpy's and transformers' schedules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from engine.training.schedule import learning_rate_factor


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.1), (7, 0.5), (1, 0.0), (50, 1.0), (30, 0.0)])
def test_linear_is_a_broken_line(steps: int, warmup: float) -> None:
    rising = round(warmup * steps)
    expected = np.interp(range(steps), [-1, max(rising - 1, 0), rising, steps], [0, 1, 1, 0])
    found = [learning_rate_factor(step, steps, warmup, "linear") for step in range(steps)]
    if rising == 0:
        expected = 1 - np.arange(steps) / steps
    assert np.allclose(found, expected)
    flat = [learning_rate_factor(step, steps, warmup, "none") for step in range(steps)]
    assert flat == found[:rising] + [1.0] * (steps - rising)


@pytest.mark.parametrize(
    ("decay", "theirs"),
    [("linear", get_linear_schedule_with_warmup), ("cosine", get_cosine_schedule_with_warmup)],
)
def test_decay_is_that_of_transformers(decay: str, theirs: object) -> None:
    """After the warm-up; in it, theirs begins at zero, which wastes a step."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = theirs(optimiser, num_warmup_steps=8, num_training_steps=40)  # type: ignore[operator]
    factor = schedule.lr_lambdas[0]
    for step in range(8, 40):
        assert learning_rate_factor(step, 40, 0.2, decay) == pytest.approx(factor(step))
