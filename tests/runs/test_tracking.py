"""Trackers receive the curves and scores of a run, each by its own library, and keep them on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.config import parse_config
from engine.errors import DivergedError, InputError
from engine.extensions.trackers import TRACKERS, Tracker
from engine.results.ingest import ingest
from engine.results.metrics_log import tail
from engine.results.run_folder import RunFolder
from engine.results.systems import Systems
from engine.runs.execute import execute
from engine.runs.tracking import check_trackers


def settings(tiny: Any, *names: str, **changes: Any) -> dict[str, Any]:
    training = {"steps": 4, "evaluate_every": 2}
    found: dict[str, Any] = tiny.settings("sw", training=training, tracking={"to": list(names)})
    return {**found, **changes}


def curve(run: RunFolder, name: str) -> dict[int, float]:
    return {one.step: one.metrics[name] for one in tail(run.metrics_path).records if name in one.metrics}


class Spy:
    """A tracker that remembers what it received, and can fail."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.steps: list[tuple[int, dict[str, float]]] = []
        self.ended: list[tuple[dict[str, float], str]] = []

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self.steps.append((step, dict(figures)))
        if self.fails:
            raise ConnectionError("the server\nis gone")

    def finish(self, figures: Mapping[str, float], state: str) -> None:
        self.ended.append((dict(figures), state))


@pytest.fixture
def spy() -> Iterator[Callable[..., Spy]]:
    """A function that registers a tracker called ``spy``."""
    made: list[Spy] = []

    def make(fails: bool = False) -> Spy:
        made.append(Spy(fails))
        TRACKERS.register(Tracker("spy", "remembers", "nothing-at-all", lambda *_: made[0]))
        return made[0]

    yield make
    if made:
        TRACKERS.unregister("spy")


def test_all_figures_and_scores_are_sent(tiny: Any, tmp_path: Path, spy: Callable[..., Spy]) -> None:
    tracker = spy()
    run, (scores,) = execute(parse_config(settings(tiny, "spy")), tmp_path / "runs", ["test"])
    logged = [(one.step, dict(one.metrics)) for one in tail(run.metrics_path).records]
    assert tracker.steps == logged and len(logged) >= 4
    ((figures, state),) = tracker.ended
    assert state == "finished"
    assert figures["scores/ciphers/maxsim/RR/sw"] == scores.macro("RR")
    assert run.observer is None


def test_a_tracker_that_fails_does_not_end_the_run(
    tiny: Any, tmp_path: Path, spy: Callable[..., Spy]
) -> None:
    tracker = spy(fails=True)
    run, _ = execute(parse_config(settings(tiny, "spy")), tmp_path / "runs", ["test"])
    assert len(tracker.steps) == 1 and run.record["state"] == "finished"
    log = (run.path / "log.txt").read_text("utf-8")
    assert log.count("spy failed and receives nothing more: the server is gone") == 1


def test_a_run_that_fails_is_marked(
    tiny: Any, tmp_path: Path, spy: Callable[..., Spy], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = spy()

    def diverge(*_: Any) -> None:
        raise DivergedError("it is not a number")

    monkeypatch.setattr("engine.training.trainer.Trainer.train_step", diverge)
    with pytest.raises(DivergedError):
        execute(parse_config(settings(tiny, "spy")), tmp_path / "runs", ["test"])
    assert [state for _, state in tracker.ended] == ["failed"]


def test_trackers_do_not_make_another_system(tiny: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for seed, to in ((0, []), (1, ["tensorboard"])):
        config = parse_config({**settings(tiny, *to), "seed": seed})
        RunFolder.create(runs, config, ["x"], f"run-{seed}").finish("finished")
    results = tmp_path / "results.duckdb"
    ingest(results, runs)
    systems = Systems.read(results)
    assert systems.key("run-0") == systems.key("run-1")


def test_a_missing_tracker_is_one_sentence_before_training(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match="wandb is not installed; pip install wandb"):
        execute(parse_config(settings(tiny, "wandb")), tmp_path / "runs", ["test"])
    TRACKERS.register(Tracker("none", "is not there", "no-such-distribution", lambda *_: Spy()))
    try:
        with pytest.raises(InputError, match="pip install no-such-distribution"):
            check_trackers(["none"])
    finally:
        TRACKERS.unregister("none")


def test_an_unknown_tracker_is_refused(tiny: Any) -> None:
    with pytest.raises(InputError, match=r"tracking\.to\.0"):
        parse_config(settings(tiny, "tensorbord"))


def test_nothing_is_imported_unless_it_is_asked_for(tiny: Any, tmp_path: Path) -> None:
    before = {"wandb", "mlflow", "trackio", "tensorboard"} & sys.modules.keys()
    execute(parse_config(settings(tiny)), tmp_path / "runs", ["test"])
    assert {"wandb", "mlflow", "trackio", "tensorboard"} & sys.modules.keys() == before


def test_tensorboard_reads_the_curve(tiny: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, (scores,) = execute(parse_config(settings(tiny, "tensorboard")), tmp_path / "runs", ["test"])
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    found = {event.step: event.value for event in events.Scalars("loss")}
    assert found == pytest.approx(curve(run, "loss"))
    (score,) = events.Scalars("scores/ciphers/maxsim/RR/sw")
    assert score.value == pytest.approx(scores.macro("RR"))


def test_wandb_writes_an_offline_run(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run, _ = execute(parse_config(settings(tiny, "wandb")), tmp_path / "runs", ["test"])
    (folder,) = (run.path / "wandb").glob("offline-run-*")
    (file,) = folder.glob("*.wandb")
    content = file.read_bytes()
    assert b"held_out_rr" in content and run.id.encode() in content


def test_mlflow_reads_the_curve(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run, _ = execute(parse_config(settings(tiny, "mlflow")), tmp_path / "runs", ["test"])
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("optical-workbench")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == run.id and found.info.status == "FINISHED"
    assert found.data.params["training.steps"] == "4"
    history = {one.step: one.value for one in client.get_metric_history(found.info.run_id, "loss")}
    assert history == pytest.approx(curve(run, "loss"))


def test_trackio_keeps_the_curve_on_this_machine(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    import sqlite3

    config = settings(tiny, "trackio")
    config["tracking"]["project"] = "mine"
    run, _ = execute(parse_config(config), tmp_path / "runs", ["test"])
    assert capsys.readouterr().out == ""
    (file,) = (tmp_path / "trackio").glob("mine*.db")
    with sqlite3.connect(file) as database:
        rows = database.execute("SELECT run_name, step, metrics FROM metrics").fetchall()
    assert {name for name, _, _ in rows} == {run.id}
    import json

    known = {step: json.loads(text)["loss"] for _, step, text in rows if "loss" in json.loads(text)}
    assert known == pytest.approx(curve(run, "loss"))
