"""Resuming: a run that was cut short ends as one that was not."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from engine.config import parse_config
from engine.errors import DivergedError, InputError
from engine.jobs.resume import check_unchanged, reopen
from engine.jobs.state import state_of
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder, table_files, tail
from engine.runs.execute import execute, resume

#: Everything that draws random numbers while it trains: dropout, negatives, anchors, several languages.
HARD: dict[str, Any] = {
    "training": {
        "dropout": 0.1,
        "anchor": 0.2,
        "averaging": 0.2,
        "ema": 0.7,
        "layer_decay": 0.8,
        "steps": 50,
        "learning_rate": 1e-2,
    },
    "loss": {"negatives": 8},
    "evaluation": {"scoring": ["maxsim", "dense"]},
}
NOBODY = 2**22 + 1  # no process has this number


class AtStep(Reporter):
    """Acts when a stage begins or a number of its parts is done; hears what is said."""

    def __init__(self, stage: str = "", parts: int = 0, act: Callable[[], None] = lambda: None) -> None:
        self.wanted, self.left, self.act, self.here = stage, parts, act, False
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def stage(self, name: str, total: int) -> None:
        self.here = bool(self.wanted) and self.wanted in name
        if self.here and self.left == 0:
            self.act()

    def advance(self, parts: int = 1) -> None:
        self.left -= self.here
        if self.here and self.left == 0:
            self.act()


@pytest.fixture(scope="module")
def whole(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run that nothing interrupted."""
    home = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        run, _ = execute(parse_config(tiny.settings("sw", "mr", **HARD)), home, ["test"])
    return run


def interrupted(tiny: Any, runs: Path, reporter: Reporter, **settings: Any) -> Path:
    config = parse_config(tiny.settings("sw", "mr", **(settings or HARD)))
    with pytest.raises(KeyboardInterrupt):
        execute(config, runs, ["test"], run_id="cut", reporter=reporter)
    return runs / "cut"


def told_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def carry_on(folder: Path) -> tuple[RunFolder, list[str]]:
    reporter = AtStep()
    run = reopen(folder, ["again"])
    resume(run, reporter)
    return run, reporter.said


def curve(run: RunFolder) -> dict[int, dict[str, float]]:
    """What was logged last of each step."""
    figures: dict[int, dict[str, float]] = {}
    for record in tail(run.metrics_path).records:
        figures.setdefault(record.step, {}).update(record.metrics)
    return {step: {k: v for k, v in f.items() if k != "pairs_per_second"} for step, f in figures.items()}


def rows(run: RunFolder, table: str) -> list[dict[str, Any]]:
    return [row for file in table_files(run.path, table) for row in pq.read_table(file).to_pylist()]


def reached(run: RunFolder) -> dict[str, Any]:
    """The summary without what it cost, which no two runs share."""
    return {
        k: v for k, v in run.record["summary"].items() if k not in ("pairs_per_second", "peak_memory_bytes")
    }


def assert_same(run: RunFolder, whole: RunFolder) -> None:
    assert curve(run) == curve(whole)
    for table in ("scores", "query_scores", "rankings", "plans", "bitext"):
        assert rows(run, table) == rows(whole, table), table
    names = ("student/model.safetensors", "student/optical.safetensors", "teacher/optical.safetensors")
    for name in names:
        found, expected = (load_file(str(r.checkpoints / name)) for r in (run, whole))
        assert found.keys() == expected.keys()
        assert all(found[key].equal(expected[key]) for key in found), name
    assert reached(run) == reached(whole)
    assert state_of(run.path) == "finished" and run.record["failure"] is None
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["student", "teacher"]


def test_a_stopped_run_goes_on_after_the_step_it_stopped_at(
    tiny: Any, whole: RunFolder, tmp_path: Path
) -> None:
    folder = interrupted(tiny, tmp_path, AtStep("training", 27, told_to_stop))
    assert state_of(folder) == "stopped"
    steps = [record.step for record in tail(folder / "metrics.jsonl").records]
    assert max(steps) == 27
    run, said = carry_on(folder)
    assert any("after step 27" in sentence for sentence in said)
    steps = [record.step for record in tail(run.metrics_path).records if "loss" in record.metrics]
    assert steps == list(range(1, 51))
    assert run.id == "cut" and run.record["argv"] == ["again"]
    assert_same(run, whole)


def test_a_killed_run_goes_on_after_its_last_held_out_retrieval(
    tiny: Any, whole: RunFolder, tmp_path: Path
) -> None:
    """Its folder as it was at step 33 is what a kill would have left."""
    left = tmp_path / "killed"
    reporter = AtStep("training", 33, lambda: shutil.copytree(tmp_path / "cut", left))
    execute(parse_config(tiny.settings("sw", "mr", **HARD)), tmp_path, ["t"], run_id="cut", reporter=reporter)
    record = json.loads((left / "run.json").read_text("utf-8"))
    (left / "run.json").write_text(json.dumps({**record, "pid": NOBODY}), "utf-8")
    assert state_of(left) == "crashed"
    run, said = carry_on(left)
    assert any("after step 20" in sentence for sentence in said)
    assert_same(run, whole)


def test_an_evaluation_cut_short_is_done_for_what_lacks(tiny: Any, whole: RunFolder, tmp_path: Path) -> None:
    folder = interrupted(tiny, tmp_path, AtStep("dense: search", 0, told_to_stop))
    kept = table_files(folder, "scores")
    assert len(kept) == 1
    before = kept[0].stat().st_mtime_ns
    # Another search was stored in part.
    for table in ("scores", "query_scores"):
        shutil.copy(folder / f"{table}.parquet", folder / f"{table}-1.parquet")
    run, said = carry_on(folder)
    assert any(sentence.startswith("1 searches were finished") for sentence in said)
    assert kept[0].stat().st_mtime_ns == before
    assert_same(run, whole)


def test_patience_that_ran_out_stays_run_out(tiny: Any, tmp_path: Path) -> None:
    training = {"learning_rate": 1e-9, "evaluate_every": 1, "patience": 3}
    folder = interrupted(tiny, tmp_path, AtStep(": queries", 1, told_to_stop), training=training)
    run, _ = carry_on(folder)
    assert max(curve(run)) == 3 and run.record["summary"]["best_step"] == 0


def test_a_run_without_a_saved_state_starts_over(tiny: Any, whole: RunFolder, tmp_path: Path) -> None:
    folder = interrupted(tiny, tmp_path, AtStep("teacher vectors", 0, told_to_stop), seed=4)
    assert not (folder / "checkpoints").exists()
    run, said = carry_on(folder)
    assert "the run had saved no state yet, so it starts over" in said
    assert state_of(folder) == "finished" and max(curve(run)) == 60


def test_an_evaluation_of_an_encoder_goes_on_too(tiny: Any, tmp_path: Path) -> None:
    settings = tiny.settings("sw")
    config = parse_config(
        {"kind": "evaluate", "encoder": settings["teacher"], "collections": settings["collections"] * 2}
    )
    reporter = AtStep("search", 1, told_to_stop)
    with pytest.raises(KeyboardInterrupt):
        execute(config, tmp_path, ["test"], run_id="cut", reporter=reporter)
    again, _ = execute(config, tmp_path, ["test"], run_id="all")
    run, _ = carry_on(tmp_path / "cut")
    assert rows(run, "query_scores") == rows(again, "query_scores")


def test_what_cannot_be_resumed_says_why(tiny: Any, whole: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is finished, so there is nothing to resume"):
        reopen(whole.path, [])
    with pytest.raises(InputError, match=r"no run\.json"):
        reopen(tmp_path, [])
    folder = interrupted(tiny, tmp_path, AtStep("training", 5, told_to_stop), training={"steps": 9})
    run = RunFolder.open(folder)
    config = parse_config(tiny.settings("sw", "mr", training={"steps": 9}))
    check_unchanged(run, config, "x.toml")
    changed = parse_config(tiny.settings("sw", "mr", training={"steps": 11}))
    with pytest.raises(InputError, match=r"x\.toml: training\.steps is 11 here and 9 in run 'cut'"):
        check_unchanged(run, changed, "x.toml")
    run.resume([])  # as another process would
    with pytest.raises(InputError, match="is running already"):
        reopen(folder, [])


def test_other_bitext_and_a_damaged_state_are_refused(tiny: Any, tmp_path: Path) -> None:
    bitext = tmp_path / "pairs.tsv"
    bitext.write_bytes(tiny.training["sw"].read_bytes())
    settings = {"training": {"steps": 9}, "bitext": [{"path": str(bitext), "language": "sw"}]}
    folder = interrupted(tiny, tmp_path / "runs", AtStep("training", 5, told_to_stop), **settings)
    lines = bitext.read_text("utf-8").splitlines(keepends=True)
    bitext.write_text("".join(lines[:-1]), "utf-8")
    with pytest.raises(InputError, match=r"the training data has changed since the run began"):
        carry_on(folder)
    assert state_of(folder) == "failed"
    bitext.write_text("".join(lines), "utf-8")
    state = folder / "checkpoints" / "state.safetensors"
    content = state.read_bytes()
    state.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="the saved state is damaged"):
        carry_on(folder)
    state.write_bytes(content)
    run, _ = carry_on(folder)  # refusals cost nothing
    assert run.record["state"] == "finished" and max(curve(run)) == 9


def test_a_run_that_diverged_keeps_no_state(tiny: Any, tmp_path: Path) -> None:
    training = {"learning_rate": 1e3, "evaluate_every": 1, "held_out": 0}
    with pytest.raises(DivergedError):
        execute(parse_config(tiny.settings(training=training)), tmp_path, ["test"], run_id="cut")
    assert not list(tmp_path.glob("cut/checkpoints/*"))
