from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.config import BitextConfig, DistilConfig
from engine.errors import InputError, OpticalError
from engine.jobs.launch import launch, stop
from engine.jobs.resume import reopen, resumable
from engine.jobs.state import SILENCE_SECONDS, state_of
from engine.results import run_lock
from engine.results.run_folder import RunFolder

# Says it is ready, then does what its first argument says on SIGTERM; ends by itself if nobody stops it.
RUN = f"""
import signal, sys, subprocess, pathlib
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from engine.results.run_folder import RunFolder
run, how = RunFolder.open(pathlib.Path(sys.argv[1])), sys.argv[2]
def save(*_):
    run.finish("stopped"); sys.exit(0)
signal.signal(signal.SIGTERM, {{"saves": save, "ignores": signal.SIG_IGN, "dies": signal.SIG_DFL}}[how])
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
run.resume([])
run.update(summary={{"child": child.pid}})
print("ready", flush=True)
signal.pause() if how != "ignores" else sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(
        tmp_path / "runs", DistilConfig(bitext=[BitextConfig(path="x", language="so")]), []
    )


@pytest.fixture
def started(run: RunFolder) -> Iterator[object]:
    """A function that starts a process as the run's own."""
    processes = []

    def start(how: str) -> subprocess.Popen[str]:
        run_lock.release(run.path)
        command = [sys.executable, "-c", RUN, str(run.path), how]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, **pipes)
        processes.append(process)
        assert process.stdout.readline() == "ready\n"
        run.record = RunFolder.open(run.path).record
        assert run.record["pid"] == process.pid
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def ended(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(20)


def test_a_launched_process_is_detached_and_logged(tmp_path):
    log = tmp_path / "runs" / "r" / "log.txt"
    code = """
import os, sys
print(sorted(sys.argv[1:]), os.getsid(0) == os.getpid(), sys.stdin.read() == "", flush=True)
print("narration", file=sys.stderr)
"""
    pid = launch([sys.executable, "-c", code, "b", "a c"], log)
    ended(pid)
    assert log.read_text() == "['a c', 'b'] True True\nnarration\n"
    # Its log goes on where it was.
    ended(launch([sys.executable, "-c", "print('again')"], log))
    assert log.read_text().endswith("narration\nagain\n")


def test_what_cannot_be_launched_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no such program"):
        launch(["no-such-program-here"], tmp_path / "log.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(OpticalError, match="cannot be started"):
        launch([sys.executable], tmp_path / "file" / "log.txt")


def test_states_that_the_record_tells(run, tmp_path):
    assert state_of(run.path) == "running"
    for state in ("finished", "failed", "stopped"):
        run.finish(state)
        assert state_of(run.path) == state
    run.update(state="walking")
    assert state_of(run.path) == "unknown"
    assert state_of(tmp_path / "nothing") == "unknown"


def test_a_killed_process_has_crashed_even_as_a_zombie(run, started):
    process = started("dies")
    assert state_of(run.path) == "running"
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    assert state_of(run.path) == "crashed"
    process.wait()
    assert state_of(run.path) == "crashed"
    with pytest.raises(InputError, match="the run is crashed; there is nothing to stop"):
        stop(run.path)


def test_on_another_machine_the_heartbeat_tells(run):
    run_lock.release(run.path)
    run.update(host=f"not-{platform.node()}", pid=1)
    assert state_of(run.path) == "running"
    heartbeat = run.path / "heartbeat"
    late = time.time() - SILENCE_SECONDS - 60
    os.utime(heartbeat, (late, late))
    assert state_of(run.path) == "crashed"
    heartbeat.unlink()
    assert state_of(run.path) == "unknown"
    with pytest.raises(InputError, match="the run runs on 'not-"):
        stop(run.path)


def test_a_run_that_saves_is_stopped(run, started):
    process = started("saves")
    assert stop(run.path, kill_after=20) == "stopped"
    assert not psutil.pid_exists(process.pid)
    assert RunFolder.open(run.path).record["failure"] is None


def test_a_run_that_just_dies_is_recorded_as_stopped(run, started):
    process = started("dies")
    assert stop(run.path, kill_after=20) == "stopped"
    assert not psutil.pid_exists(process.pid)
    assert RunFolder.open(run.path).record["failure"] == "it was stopped before it could save"


def test_a_run_that_does_not_listen_is_killed_with_its_children(run, started):
    process = started("ignores")
    child = psutil.Process(RunFolder.open(run.path).record["summary"]["child"])
    assert stop(run.path, kill_after=0.1) == "stopped"
    assert not psutil.pid_exists(process.pid)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    record = RunFolder.open(run.path).record
    assert record["ended"] and record["failure"] == "it did not stop within 0.1 s and was killed"


def test_a_process_that_has_the_number_of_a_run_is_never_signalled(run, started):
    """Also if it started at the same time as the run's process, as far as clocks tell."""
    process = started("dies")
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        same = {"pid": other.pid, "process_started": psutil.Process(other.pid).create_time()}
        run.update(**same)
        with pytest.raises(InputError, match="does not hold the lock of the run"):
            stop(run.path)
        process.kill()
        process.wait()
        assert state_of(run.path) == "crashed"
        with pytest.raises(InputError, match="nothing to stop"):
            stop(run.path)
        (run.path / "lock").unlink()  # as an older version left it
        with pytest.raises(InputError, match="does not hold the lock of the run"):
            stop(run.path)
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize("seconds", [-86400.0, -60.0, 60.0, 3600.0])
def test_a_corrected_clock_makes_no_living_run_crashed(run, started, seconds):
    process = started("saves")
    run.update(process_started=run.record["process_started"] + seconds)
    assert state_of(run.path) == "running"
    with pytest.raises(InputError, match="is running already"):
        reopen(run.path, [])
    run.update(state="crashed")  # whatever the record says, there is no second writer
    with pytest.raises(InputError, match="another process runs this run"):
        run.resume([])
    run.update(state="running")
    assert stop(run.path, kill_after=20) == "stopped"
    assert process.wait() == 0
    run.resume([])
    assert state_of(run.path) == "running"


def test_a_forked_child_does_not_keep_a_run_running(run, started):
    code = f"""
import os, sys, time, pathlib
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from engine.results.run_folder import RunFolder
RunFolder.open(pathlib.Path(sys.argv[1])).resume([])
child = os.fork()
if child == 0:
    os.close(1); os.close(2); time.sleep(30); os._exit(0)
print(child, flush=True)
os.kill(os.getpid(), 9)
"""
    run_lock.release(run.path)
    done = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True)
    try:
        assert state_of(run.path) == "crashed"
    finally:
        os.kill(int(done.stdout), signal.SIGKILL)


def test_a_resumed_run_keeps_what_its_process_wrote_last(run, monkeypatch):
    def ends_meanwhile(folder: Path) -> bool:
        if run.record["state"] == "running":
            run.update(summary={"best_step": 7})
            run.finish("stopped", "it was asked to stop")
        return False

    monkeypatch.setattr(run_lock, "is_held", ends_meanwhile)
    assert resumable(run.path).record == run.record
    assert run.record["summary"] == {"best_step": 7}


def test_a_finished_run_is_not_stopped(run, started):
    process = started("dies")
    RunFolder.open(run.path).finish("finished")
    with pytest.raises(InputError, match="the run is finished; there is nothing to stop"):
        stop(run.path)
    assert process.poll() is None
