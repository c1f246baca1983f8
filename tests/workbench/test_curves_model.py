"""The curves of runs: reading and smoothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.runs.curves_model import CurvesReader, smooth


def test_curves_grow_skip_incomplete_lines_and_keep_the_last_value_of_a_step(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"

    def line(step: int, value: float) -> str:
        return json.dumps({"step": step, "elapsed": float(step), "metrics": {"loss": value}})

    follower = CurvesReader()
    file.write_text(line(1, 1.0) + "\n" + line(2, 2.0) + "\n" + line(3, 3.0)[:9])
    first = follower.read(tmp_path)
    assert first.values["loss"][2] == [1.0, 2.0]
    file.write_text(file.read_text()[:-9] + line(3, 3.0) + "\nnonsense\n" + line(2, 9.0) + "\n")
    second = follower.read(tmp_path)
    assert (second.values["loss"][0], second.values["loss"][2]) == ([1, 2], [1.0, 9.0])
    assert second.corrupt == 1
    assert first.values["loss"][2] == [1.0, 2.0]  # curves that were returned do not change


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.sampled_from([0.0, 0.6, 0.9]))
def test_smoothing_is_the_weighted_mean_of_the_values_so_far(values: list[float], weight: float) -> None:
    weights = weight ** np.arange(len(values))[::-1] if weight else np.eye(len(values))[-1]
    assert smooth(values, weight)[-1] == pytest.approx(
        np.average(values, weights=weights), rel=1e-6, abs=1e-6
    )
