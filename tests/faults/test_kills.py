"""A run that is killed at random moments, and resumed, ends as one that nothing interrupted."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.jobs.state import state_of
from engine.results.ingest import ingest
from engine.results.queries import ask
from tests.faults.conftest import KILLS, Runner, first_seed
from tests.faults.kinds import KINDS, assert_equal, first_stage, settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


@pytest.mark.parametrize("kind", KINDS)
def test_kills_at_random_moments(
    kind: str, runner: Runner, tiny: Any, tmp_path: Path, tell: Callable[[str, int, str], None]
) -> None:
    seed = first_seed()
    generator = random.Random(seed)
    # always the same folder: an encoder names the one that it was trained from, and runs record its hash
    empty, whole, runs = tmp_path / "empty", tmp_path / "whole", tmp_path / "runs"
    empty.mkdir()
    if kind == "cross-encoder":
        assert runner.run(first_stage(tiny), empty, "first")[0] == 0
    config = settings(kind, tiny, tmp_path)
    shutil.copytree(empty, runs)
    code, seconds, error = runner.run(config, runs, "run")
    assert (code, error) == (0, "")
    runs.rename(whole)
    ingest(tmp_path / "whole.duckdb", whole)
    killed = finished = left = 0
    while killed < KILLS:
        shutil.copytree(empty, runs)
        planned, code = generator.randint(1, 4), -9
        while code == -9:
            wait = generator.random() * seconds if planned and killed < KILLS else None
            code, _, error = runner.run(config, runs, "run", kill_after=wait)
            assert error == "" and code in (0, -9)
            planned -= 1
            killed += code == -9
            if code == -9 and (runs / "run" / "run.json").exists():
                assert state_of(runs / "run") in ("crashed", "finished")
        left += assert_equal(runs, whole)
        database = tmp_path / f"{finished}.duckdb"
        assert ingest(database, runs).problems == []
        scores = "SELECT * EXCLUDE revision FROM scores ORDER BY ALL"
        assert ask(database, scores).rows == ask(tmp_path / "whole.duckdb", scores).rows
        shutil.rmtree(runs)
        finished += 1
    outcome = f"resumed, {finished} runs ended equal; {left} temporary files stayed"
    tell(f"SIGKILL of `{kind}`, seed {seed}", killed, outcome)
