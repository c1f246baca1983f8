"""Searching very many candidates takes no memory that grows with queries times candidates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "million.py"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures memory by Linux's /proc")
def test_the_matrix_of_scores_is_never_held_whole() -> None:
    settings = {"candidates": 100_000, "queries": 2_500, "width": 32}
    arguments = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), *arguments], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    whole = settings["candidates"] * settings["queries"] * 4 >> 20
    assert found["search_peak_mb"] < whole / 2, found
    assert found["mAP@20"] > 0.3  # it did search
