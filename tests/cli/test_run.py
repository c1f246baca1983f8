"""`run`, `query`, `plan` and `demo`, on the tiny checkpoint."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest
from rich.console import Console

from engine.cli import demo, toml
from engine.cli.commands import run as run_command
from engine.cli.console import ConsoleReporter
from engine.config import parse_config
from engine.errors import OpticalError
from engine.jobs.launch import launch, stop
from engine.jobs.state import state_of
from engine.pictures.plans import export_plan
from engine.results.database import exclusive
from engine.results.ingest import ingest
from engine.results.queries import ask
from engine.results.run_folder import RunFolder, tail

QUICK = {"steps": 4, "evaluate_every": 2}
Call = Callable[..., Any]


class Finished(NamedTuple):
    results: Path
    config: Path
    run: str
    printed: dict[str, Any]


def write(folder: Path, settings: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.toml"
    path.write_text(toml.dump(settings), "utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run from a TOML file, by the command line."""
    home = tmp_path_factory.mktemp("finished")
    config, results = write(home, tiny.settings(training={"steps": 120})), home / "results.duckdb"
    out = StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.setattr("sys.stdout", out)
        code = run_command(["run", str(config), "--results", str(results), "--json"])
    assert code == 0
    printed = json.loads(out.getvalue())
    return Finished(results, config, printed["run"], printed)


@pytest.fixture
def ask_finished(finished: Finished, capsys: pytest.CaptureFixture[str]) -> Call:
    """A function that runs a command on the finished run's results: code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run_command([*arguments, "--results", str(finished.results)])
        return code, *capsys.readouterr()

    return call


# -- run ----------------------------------------------------------------------------------------------


def test_a_run_says_what_it_was_and_is_in_the_database(finished: Finished) -> None:
    assert finished.printed["state"] == "finished"
    assert finished.printed["summary"]["held_out_rr"] > 0.5
    stored = ask(finished.results, "SELECT state, kind, name FROM runs WHERE id = ?", [finished.run])
    assert stored.rows == [("finished", "distil", "tiny")]
    (count,) = ask(finished.results, "SELECT count(*) FROM scores WHERE run = ?", [finished.run]).rows[0]
    assert count == 4


def test_a_run_prints_its_table_and_how_to_see_it_again(call: Call, tiny: Any, tmp_path: Path) -> None:
    config = write(tmp_path, tiny.settings("sw", "mr"))
    code, out, err = call("run", str(config), "--set", "training.steps=2", "--set", "name=two steps")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("ciphers (bitext, xx-en, maxsim)")
    assert [line.split()[0] for line in lines if line.startswith((" sw", " mr", " mean", "sw", "mr", "mean"))]
    identity = lines[-1]
    assert "-two-steps-" in identity and f"optical-workbench show {identity}" in err
    record = RunFolder.open(tmp_path / "runs" / identity).record
    assert record["config"]["training"]["steps"] == 2 and record["name"] == "two steps"
    assert "held-out MRR" in err and "held-out MRR" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--set", "training.lerning_rate=1"), "did you mean 'learning_rate'"),
        (("--set", "trainin.steps=1"), "did you mean 'training'"),
        (("--set", "training.steps"), "--set takes key=value"),
        (("--set", "teacher.checkpoint=./nowhere"), "no such checkpoint folder"),
        (("--set", "collections.0.lable=x"), "collections.0.lable is not a setting"),
        (
            ("--set", "collections.2.name=x"),
            "'2' is not an item of a list of 1 item; items are counted from 0",
        ),
        (("--resume", "x"), "there is no such results database"),
    ],
)
def test_a_mistake_is_one_sentence_and_code_2(
    call: Call, tiny: Any, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    code, out, err = call("run", str(write(tmp_path, tiny.settings())), *arguments)
    assert (code, out) == (2, "")
    told = [line for line in err.splitlines() if says in line]
    assert len(told) == 1 and "Traceback" not in err


def test_a_file_that_is_not_there(call: Call, tmp_path: Path) -> None:
    code, out, err = call("run", str(tmp_path / "nothing.toml"))
    assert (code, out) == (2, "")
    assert err == f"optical-workbench: {tmp_path / 'nothing.toml'}: there is no such file or preset\n"
    assert not (tmp_path / "runs").exists()


def test_a_run_that_diverges_fails_with_code_1(call: Call, tiny: Any, tmp_path: Path) -> None:
    code, out, err = call("run", str(write(tmp_path, tiny.settings())), "--set", "training.learning_rate=1e6")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("optical-workbench: ") and "lower training.learning_rate" in err
    (folder,) = (tmp_path / "runs").iterdir()
    assert state_of(folder) == "failed"


def test_a_full_disk_is_one_sentence(
    call: Call, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_nothing(*_: Any, **__: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("transformers.BertModel.save_pretrained", write_nothing)
    code, out, err = call("run", str(write(tmp_path, tiny.settings(training=QUICK))))
    assert (code, out) == (1, "")
    assert "No space left on device" in err.splitlines()[-1] and "Traceback" not in err
    (folder,) = (tmp_path / "runs").iterdir()
    assert state_of(folder) == "failed"
    # With room again, the run can be resumed from its state.
    assert [file.name for file in (folder / "checkpoints").iterdir()] == ["state.safetensors"]


def wait_for(folder: Path, process: psutil.Process, states: set[str], seconds: float = 120) -> str:
    """Ask for the run's state until it is one of `states`, its process ends, or time is up."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < deadline:
        ended = not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        state = state_of(folder)
        if state in states or ended:
            return state_of(folder)
        pause.wait(0.1)
    return f"still {state_of(folder)} after {seconds:g} s"


def stamped(log: Path) -> list[str]:
    """Return the lines of a log without their times."""
    lines = log.read_text("utf-8").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines)
    return [line[21:] for line in lines]


def test_a_run_in_the_foreground_keeps_a_log(call: Call, tiny: Any, tmp_path: Path) -> None:
    config = write(tmp_path, tiny.settings(training=QUICK))
    code, out, _ = call("run", str(config))
    assert code == 0
    log = tmp_path / "runs" / out.splitlines()[-1] / "log.txt"
    lines = stamped(log)
    assert "training (4)" in lines and any(line.startswith("step 4: held-out MRR") for line in lines)
    assert lines[0].startswith("optical-workbench") and lines[-1] == "finished"
    assert lines[-2].startswith("ciphers (xx-en, maxsim): RR 0.")
    assert call("logs", "tiny").out == log.read_text("utf-8")
    code, _, err = call("run", str(config), "--set", "training.batch_size=100000")
    assert code == 2
    failed = stamped(tmp_path / "runs" / err_run(tmp_path, "failed") / "log.txt")
    assert failed[-1].startswith("failed: training.batch_size = 100000 is more than")
    assert failed[-1].removeprefix("failed: ") in err


def err_run(folder: Path, state: str) -> str:
    """Return the id of the run of the given state."""
    (found,) = [path.name for path in (folder / "runs").iterdir() if state_of(path) == state]
    return found


@pytest.mark.slow
def test_a_detached_run_goes_on_by_itself(call: Call, tiny: Any, tmp_path: Path) -> None:
    config = write(tmp_path, tiny.settings(training=QUICK))
    code, out, _ = call("run", str(config), "--detach", "--json", "--set", "training.steps=3")
    started = json.loads(out)
    assert code == 0 and started.keys() == {"run", "pid", "place"}
    folder = tmp_path / "runs" / started["run"]
    assert wait_for(folder, psutil.Process(started["pid"]), {"finished", "failed"}) == "finished"
    record = RunFolder.open(folder).record
    assert record["pid"] == started["pid"] and record["config"]["training"]["steps"] == 3
    lines = stamped(folder / "log.txt")
    assert "training (3)" in lines and any(line.startswith("step 2: held-out MRR") for line in lines)
    assert lines.count("training (3)") == 1 and lines[-1] == "finished"


def test_a_run_that_failed_at_its_end_is_resumed_there(
    call: Call, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails after training, so when it is resumed it only evaluates."""

    def fail(*_: Any, **__: Any) -> None:
        raise OpticalError("the scores cannot be written: No space left on device")

    config = write(tmp_path, tiny.settings(training=QUICK))
    with monkeypatch.context() as patch:
        patch.setattr("engine.runs.steps.evaluate", fail)
        code, _, err = call("run", str(config))
    assert code == 1 and "No space left" in err.splitlines()[-1]
    for arguments, says in (
        ((str(config), "--set", "training.steps=5"), "training.steps is 5 here and 4 in run"),
        (("--set", "training.steps=5"), "--set changes a CONFIG"),
    ):
        code, out, err = call("run", *arguments, "--resume", "tiny")
        assert (code, out) == (2, "") and says in err.splitlines()[-1]
    code, out, err = call("run", str(config), "--resume", "tiny")
    assert code == 0 and out.startswith("ciphers (bitext, xx-en, maxsim)")
    assert "going on after step 4" in err and "step 2:" not in err
    (folder,) = (tmp_path / "runs").iterdir()
    assert out.splitlines()[-1] == folder.name and state_of(folder) == "finished"
    code, out, err = call("run", "--resume", folder.name, "--detach")
    assert (code, out) == (2, "") and "is finished, so there is nothing to resume" in err
    assert call("run")[0] == 2


@pytest.mark.slow
def test_a_run_that_was_killed_is_resumed_detached(call: Call, tiny: Any, tmp_path: Path) -> None:
    config = write(tmp_path, tiny.settings(training={"steps": 2000, "evaluate_every": 10}))
    code, out, _ = call("run", str(config), "--detach", "--json")
    started = json.loads(out)
    folder, process = tmp_path / "runs" / started["run"], psutil.Process(started["pid"])
    deadline, pause = time.monotonic() + 120, threading.Event()
    while not (folder / "checkpoints").is_dir() and time.monotonic() < deadline:
        assert process.is_running()
        pause.wait(0.1)
    process.kill()
    assert wait_for(folder, process, {"crashed"}) == "crashed"
    assert call("stop", folder.name)[0] == 2  # there is nothing to stop
    code, out, _ = call("run", "--resume", "tiny", "--detach", "--json")
    again = json.loads(out)
    assert code == 0 and again["run"] == folder.name
    assert wait_for(folder, psutil.Process(again["pid"]), {"finished", "failed"}) == "finished"
    assert "going on after step" in (folder / "log.txt").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("means", ["signal", "stop"])
def test_a_run_of_another_process_stops_with_its_student(tiny: Any, tmp_path: Path, means: str) -> None:
    settings = tiny.settings(training={"steps": 100_000, "evaluate_every": 10})
    config, results = write(tmp_path, settings), tmp_path / "results.duckdb"
    folder = tmp_path / "runs" / "a-run"
    argv = [sys.executable, "-m", "engine.cli", "run", str(config), "--run-id", "a-run"]
    process = psutil.Process(launch([*argv, "--results", str(results)], folder / "log.txt"))
    try:
        deadline, pause = time.monotonic() + 120, threading.Event()
        while len(tail(folder / "metrics.jsonl").records) < 20 and time.monotonic() < deadline:
            assert process.is_running()
            pause.wait(0.1)
        if means == "signal":
            process.send_signal(signal.SIGTERM)
            assert wait_for(folder, process, {"stopped"}) == "stopped"
        else:
            assert stop(folder) == "stopped"
    finally:
        if process.is_running():
            process.kill()
    record = RunFolder.open(folder).record
    assert record["failure"] == "stopped by its user"
    assert any((folder / "checkpoints" / "student").glob("model*.safetensors"))
    log = (folder / "log.txt").read_text("utf-8")
    assert log.splitlines()[-1].endswith("  stopped by its user") and "Traceback" not in log


# -- query --------------------------------------------------------------------------------------------


def test_query_in_json(finished: Finished, ask_finished: Call) -> None:
    text = "revir enots"
    code, out, _ = ask_finished(
        "query", finished.run, text, "--language", "sw", "--k", "5", "--explain", "--json"
    )
    found = json.loads(out)
    assert code == 0
    assert (found["run"], found["collection"], found["language"]) == (finished.run, "ciphers", "sw")
    assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3, 4, 5]
    scores = [hit["score"] for hit in found["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert {"river", "stone"} & set(found["hits"][0]["text"].split())
    for hit in found["hits"]:
        assert [match["query_token"] for match in hit["matches"]] == ["revir", "enots"]
        assert np.mean([match["score"] for match in hit["matches"]]) == pytest.approx(hit["score"], abs=1e-3)
    plain = json.loads(ask_finished("query", finished.run, text, "--language", "swa", "--json")[1])
    assert len(plain["hits"]) == 10 and "matches" not in plain["hits"][0]


def test_query_on_screen(finished: Finished, ask_finished: Call, tiny: Any) -> None:
    text, english = tiny.test["sw"].read_text("utf-8").splitlines()[0].split("\t")
    code, out, _ = ask_finished("query", finished.run, text, "--language", "sw", "--k", "25")
    assert code == 0 and "grade" in out
    assert [line for line in out.splitlines() if english in line and " 1 " in line]
    explained = ask_finished("query", finished.run, text, "--language", "sw", "--k", "2", "--explain")[1]
    assert explained.count("query token") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("", "--language", "sw"), "the query is empty; type some words"),
        (("revir", "--language", "swahily"), "swahily"),
        (("revir", "--language", "sw", "--collection", "cifers"), "did you mean 'ciphers'"),
        (("revir", "--language", "sw", "--k", "0"), "--k"),
        (("revir",), "--language"),
    ],
)
def test_wrong_queries(finished: Finished, ask_finished: Call, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = ask_finished("query", finished.run, *arguments)
    assert (code, out) == (2, "")
    assert says in err and "Traceback" not in err


@pytest.mark.parametrize(
    "arguments", [("query", "no-such-run", "revir", "--language", "sw"), ("plan", "no-such-run", *"ab")]
)
def test_an_unknown_run(finished: Finished, ask_finished: Call, arguments: tuple[str, ...]) -> None:
    if arguments[0] == "plan":
        arguments = ("plan", "no-such-run", "--source", "a", "--target", "b")
    code, out, err = ask_finished(*arguments)
    assert (code, out) == (2, "")
    assert "no-such-run" in err and len(err.splitlines()) == 1


def test_a_run_that_failed_has_no_encoders(call: Call, tiny: Any, tmp_path: Path) -> None:
    settings = tiny.settings(bitext=[{"path": str(tmp_path / "none.tsv"), "language": "sw"}])
    assert call("run", str(write(tmp_path, settings))).code == 2
    (folder,) = (tmp_path / "runs").iterdir()
    code, _, err = call("query", folder.name, "revir", "--language", "sw")
    assert code == 2 and "has no encoders" in err


# -- plan ---------------------------------------------------------------------------------------------

PAIR = ("--source", "revir enots", "--target", "stone cloud river!")


def test_plan_in_json(finished: Finished, ask_finished: Call) -> None:
    code, out, _ = ask_finished("plan", finished.run, *PAIR, "--language", "sw", "--json")
    row = json.loads(out)
    assert code == 0
    assert row["source_tokens"] == ["revir", "enots"]
    assert row["target_tokens"] == ["stone", "cloud", "river", "!"]
    plan, cost = np.array(row["plan"]), np.array(row["cost"])
    assert plan.shape == cost.shape == (2, 4)
    assert np.allclose(plan.sum(1), 1 / 2, atol=0.02) and np.allclose(plan.sum(0), 1 / 4, atol=0.02)
    assert row["value"] == pytest.approx((plan * cost).sum(), abs=1e-5)
    assert plan[0].argmax() == 2 and plan[1].argmax() == 0  # the cipher was learnt


def test_exported_arrays_are_what_is_printed(finished: Finished, ask_finished: Call, tmp_path: Path) -> None:
    for name in ("plan.npz", "PLAN.NPZ"):
        file = tmp_path / name
        code, out, err = ask_finished("plan", finished.run, *PAIR, "--export", str(file), "--json")
        row = json.loads(out)
        assert code == 0 and f"wrote {file}" in err
        with np.load(file, allow_pickle=False) as stored:
            assert sorted(stored) == ["cost", "plan", "record", "source_tokens", "target_tokens"]
            for key in ("plan", "cost", "source_tokens", "target_tokens"):
                assert stored[key].tolist() == row[key]
            record = json.loads(str(stored["record"]))
            assert record == {key: value for key, value in row.items() if key not in stored}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["PLAN.NPZ", "plan.npz"]


def test_exported_pictures(finished: Finished, ask_finished: Call, tmp_path: Path) -> None:
    for name, magic in (("plan.png", b"\x89PNG"), ("plan.svg", b"<?xml")):
        assert ask_finished("plan", finished.run, *PAIR, "--export", str(tmp_path / name))[0] == 0
        assert (tmp_path / name).read_bytes().startswith(magic)


def test_a_picture_of_tokens_that_look_like_formulas(tmp_path: Path) -> None:
    plan = np.full((2, 3), 1 / 6)
    row = {
        "plan": plan,
        "cost": plan,
        "source_tokens": ["$x_", "$$"],
        "target_tokens": ["▁$a$", r"\frac", "^"],
        "solver": "exact",
        **dict.fromkeys(("value", "epsilon", "entropy", "marginal_error"), 0.0),
    }
    export_plan(row, tmp_path / "plan.png")
    with pytest.raises(OpticalError, match="cannot be written"):
        export_plan(row, tmp_path / "nowhere" / "plan.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["plan.png"]


def test_plan_on_screen_and_with_other_settings(finished: Finished, ask_finished: Call) -> None:
    code, out, _ = ask_finished("plan", finished.run, *PAIR)
    assert code == 0
    (line,) = [line for line in out.splitlines() if "revir" in line]
    assert "0.50" in line and line.split().index("river") < line.split().index("cloud")
    values = []
    for arguments in (("--solver", "exact"), (), ("--epsilon", "5")):
        row = json.loads(ask_finished("plan", finished.run, *PAIR, *arguments, "--json")[1])
        values.append(row["value"])
    assert values == sorted(values)  # exact transport is the cheapest, blurred transport the dearest
    assert (
        json.loads(ask_finished("plan", finished.run, *PAIR, "--solver", "ipot", "--json")[1])["solver"]
        == "ipot"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--epsilon", "0"), "--epsilon: input should be greater than 0, not 0.0"),
        (("--iterations", "200000"), "--iterations: input should be less than or equal to 100000"),
        (("--solver", "simplex"), "simplex"),
        (("--export", "plan.pdf"), "a plan is exported as .png, .svg, .npz"),
        (("--source", ""), "the source sentence is empty"),
    ],
)
def test_wrong_plans(finished: Finished, ask_finished: Call, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = ask_finished("plan", finished.run, *PAIR, *arguments)
    assert (code, out) == (2, "")
    assert says in err and "Traceback" not in err


def test_epsilon_above_the_runs_annealing(call: Call, tiny: Any, tmp_path: Path) -> None:
    settings = tiny.settings(training=QUICK, transport={"anneal_from": 1.0})
    identity = json.loads(call("run", str(write(tmp_path, settings)), "--json").out)["run"]
    code, out, err = call("plan", identity, *PAIR, "--epsilon", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["plan"]


# -- progress and demo --------------------------------------------------------------------------------


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_takes_any_label(terminal: bool) -> None:
    console = Console(file=StringIO(), force_terminal=terminal, width=200, highlight=False)
    with ConsoleReporter(console) as reporter:
        reporter.stage("[/red] pool [bold]", 3)
        reporter.advance()
        reporter.figures({"loss": 0.5, "held_out_rr": float("nan"), "other": 1.0})
        reporter.progress.refresh()
        reporter.say("a sentence about [/x] and {braces}")
        reporter.stage("next", 0)
    written = console.file.getvalue()
    assert "[/red] pool [bold]" in written
    assert "a sentence about [/x] and {braces}" in written
    assert ("loss 0.5000" in written) == terminal


def test_the_demo_compares_losses_of_one_recipe() -> None:
    zero_shot, lir, *distilled = demo.systems().values()
    assert zero_shot.kind == lir.kind == "tune"
    losses = []
    for config in distilled:
        assert config.kind == "distil"
        assert config.collections == zero_shot.collections and config.teacher == zero_shot.encoder
        assert (config.training, config.transport) == (distilled[0].training, distilled[0].transport)
        losses.append(config.loss.model_dump(exclude_defaults=True))
    assert (
        {"pooled_mse": 1.0} in losses and {"transport": 1.0} in losses and {"maxsim_contrast": 1.0} in losses
    )
    assert len(losses) == len({json.dumps(loss) for loss in losses}) >= 4
    assert len(demo.LANGUAGES) >= 8 and {"sw", "mr"} <= set(demo.LANGUAGES)
    trained = {(source.part, source.test_share) for source in distilled[0].bitext}
    searched = {(source.part, source.test_share) for source in zero_shot.collections[0].bitext}
    assert trained == {("train", 0.45)} and searched == {("test", 0.3)}
    assert {source.test_share for source in zero_shot.held_out[0].bitext} == {0.45}
    other = zero_shot.encoder.model_copy(update={"query_prefix": "other"})
    assert [demo.with_encoder(config, other).teacher.query_prefix for config in distilled] == ["other"] * 4
    assert demo.with_encoder(lir, other).encoder == other


def test_the_demo_ends_with_a_table_and_commands_that_work(
    call: Call, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny.settings("sw", "mr")
    zero = {"kind": "evaluate", "encoder": settings["teacher"], "collections": settings["collections"]}
    names = list(demo.systems())
    losses = [{"pooled_mse": 1.0, "maxsim_contrast": 0.0, "transport": 0.0}] * (len(names) - 2)
    distilled = [tiny.settings("sw", "mr", loss=loss, training={"steps": 60}) for loss in [*losses, {}]]
    configs = [parse_config(given) for given in (zero, *distilled)]
    monkeypatch.setattr(demo, "systems", lambda: dict(zip(names, configs, strict=True)))
    code, out, err = call("demo")
    assert code == 0, err
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    for language in ("Swahili", "Marathi", "mean"):
        *values, gain = map(float, rows[language][1 : len(names) + 2])
        assert values[-1] > values[0] and gain == pytest.approx(values[-1] - values[0], abs=0.002)
    told = out[out.index("optical-workbench --results") :].replace("\\\n", " ").splitlines()
    commands = [shlex.split(line, comments=True) for line in told if line.startswith("optical-workbench ")]
    assert [command[1:2] for command in commands] == [["--results"], ["plan"], ["query"]]
    for command in commands[1:]:
        place = command.index("--results")
        assert call(*command[1:place], *command[place + 2 :]).code == 0


@pytest.mark.parametrize("obstacle", ["another writer", "no place for the lock", "an error in the database"])
def test_a_run_succeeds_whatever_happens_to_the_database(
    tiny: Any, tmp_path: Path, obstacle: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results.duckdb"
    config = write(tmp_path, tiny.settings(training={"steps": 2, "evaluate_every": 1}))
    command = ["run", str(config), "--results", str(results), "--json"]
    with ExitStack() as stack, monkeypatch.context() as patch:
        if obstacle == "another writer":
            stack.enter_context(exclusive(results))
            patch.setattr("engine.results.refresh.ingest", partial(ingest, wait=0.05))
        elif obstacle == "no place for the lock":
            results.with_name("results.duckdb.lock").mkdir()
        else:
            patch.setattr("engine.results.ingest._define", lambda connection: connection.execute("FROM none"))
        assert run_command(command) == 0
    printed = capsys.readouterr()
    run = json.loads(printed.out)["run"]
    said = [line for line in printed.err.splitlines() if "the run has finished" in line]
    assert len(said) == 1 and f"its scores are in {tmp_path / 'runs' / run}" in said[0]
    assert (tmp_path / "runs" / run / "scores.parquet").is_file()
    if obstacle == "no place for the lock":
        results.with_name("results.duckdb.lock").rmdir()
    assert run_command(["show", run, "--results", str(results), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]
