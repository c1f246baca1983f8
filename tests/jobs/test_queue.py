"""Queued runs run one at a time, in their order, and a process that is killed holds up nobody."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from engine.config import BitextConfig, DistilConfig
from engine.errors import InputError, OpticalError
from engine.jobs.launch import enqueue, stop
from engine.jobs.queue import LEAST_MEMORY, TAKEN_OUT, memory_lacks, memory_needed, move, waiting
from engine.jobs.state import state_of
from engine.results import run_lock
from engine.results.run_folder import RunFolder

#: Waits for its turn, says so, and ends when it is told to; the file named last says how much memory is free.
QUEUED = f"""
import os, pathlib, signal, sys, types
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import psutil
from engine.config import BitextConfig, DistilConfig
from engine.jobs import queue
from engine.jobs.resume import reopen
from engine.results.run_folder import RunFolder
from engine.training.interrupts import terminable
runs, identity, memory = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
queue._MEMORY_SECONDS = 0.05
psutil.virtual_memory = lambda: types.SimpleNamespace(available=int(memory.read_text()), total=1 << 40)
if (runs / identity / "run.json").exists():
    run = reopen(runs / identity, [], queued=True)
else:
    config = DistilConfig(name="x", bitext=[BitextConfig(path="x.tsv", language="so")])
    run = RunFolder.create(runs, config, [], identity, queued=True)
say = lambda text: print(text, flush=True)
with terminable(), queue.turn(run, say, say):
    if os.fork() == 0:
        os.close(1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(60)
        signal.pause()
    say("turn")
    sys.stdin.readline()
    run.finish("finished")
"""


class Queue:
    """Processes that wait for their turns."""

    def __init__(self, folder: Path) -> None:
        self.runs, self.memory = folder / "runs", folder / "memory"
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.free(1 << 36)

    def free(self, size: int) -> None:
        new = self.memory.with_suffix(".new")
        new.write_text(str(size))
        new.replace(self.memory)

    def add(self, identity: str) -> str:
        """Start a process and return its place in the queue."""
        self.processes[identity] = subprocess.Popen(
            [sys.executable, "-c", QUEUED, str(self.runs), identity, str(self.memory)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self.hear(identity)

    def hear(self, identity: str) -> str:
        """Wait for what a process says next."""
        output = self.processes[identity].stdout
        assert output is not None
        return output.readline().rstrip("\n")

    def end(self, identity: str) -> None:
        """Tell the run to end."""
        process = self.processes[identity]
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(60) == 0

    def kill(self, identity: str) -> None:
        self.processes[identity].kill()
        self.processes[identity].wait()

    def states(self) -> list[str]:
        return [state_of(self.runs / identity) for identity in sorted(self.processes)]


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    queue = Queue(tmp_path)
    yield queue
    for process in queue.processes.values():
        process.kill()
        process.communicate()


def test_one_runs_at_a_time_in_the_order_in_which_they_came(queue: Queue) -> None:
    assert [queue.add(name) for name in "abcde"] == ["0", "1", "2", "3", "4"]
    assert queue.hear("a") == "turn"
    assert queue.states() == ["running", *["queued"] * 4]
    assert RunFolder.open(queue.runs / "b").record["started"] is None
    for ends, comes in zip("abcd", "bcde", strict=True):
        queue.end(ends)
        assert queue.hear(comes) == "turn"
        assert queue.states().count("running") == 1 and state_of(queue.runs / comes) == "running"
        ended, started = (
            datetime.fromisoformat(RunFolder.open(queue.runs / name).record[key])
            for name, key in ((ends, "ended"), (comes, "started"))
        )
        assert (started - ended).total_seconds() < 1.0
    queue.end("e")
    assert queue.states() == ["finished"] * 5 and waiting(queue.runs) == []


def test_whoever_is_killed_holds_up_nobody(queue: Queue) -> None:
    """The runner's forked child lives on, and has neither the lock of the run nor the turn."""
    for name in "abcd":
        queue.add(name)
    queue.kill("b")
    assert waiting(queue.runs) == ["c", "d"] and state_of(queue.runs / "b") == "crashed"
    queue.kill("a")
    assert queue.hear("c") == "turn"
    assert queue.states() == ["crashed", "crashed", "running", "queued"]
    assert queue.add("b") == "2"  # what was killed in the queue can be resumed, at its end
    queue.end("c")
    assert queue.hear("d") == "turn"


def test_the_order_can_be_changed(queue: Queue) -> None:
    for name in "abcd":
        queue.add(name)
    assert move(queue.runs, "d") == 2 and waiting(queue.runs) == ["b", "d", "c"]
    assert move(queue.runs, "c", first=True) == 1 and waiting(queue.runs) == ["c", "b", "d"]
    assert move(queue.runs, "c") == 1
    for name, state in (("a", "running"), ("none", "unknown")):
        with pytest.raises(InputError, match=f"run '{name}' is {state}; it does not wait in the queue"):
            move(queue.runs, name)
    for ends, comes in (("a", "c"), ("c", "b"), ("b", "d")):
        queue.end(ends)
        assert queue.hear(comes) == "turn"


def test_stop_takes_a_run_out_of_the_queue(queue: Queue) -> None:
    for name in "abc":
        queue.add(name)
    assert stop(queue.runs / "b", kill_after=20) == "stopped"
    queue.processes["b"].wait()
    assert RunFolder.open(queue.runs / "b").record["failure"] == TAKEN_OUT
    assert waiting(queue.runs) == ["c"] and queue.states() == ["running", "stopped", "queued"]
    queue.add("b")
    assert waiting(queue.runs) == ["c", "b"]
    queue.processes["b"].send_signal(signal.SIGSTOP)  # it does not listen, so it is killed
    assert stop(queue.runs / "b", kill_after=0.1) == "stopped"
    queue.end("a")
    assert queue.hear("c") == "turn"


def test_a_run_waits_for_memory(queue: Queue) -> None:
    queue.free(LEAST_MEMORY - 1)
    assert queue.add("a") == (
        "waiting for memory: 2.0 GiB are available, and it starts with 2.0 GiB; "
        "`run --detach --now` does not wait"
    )
    assert queue.hear("a") == "1" and queue.add("b") == "2"
    assert queue.states() == ["queued", "queued"]
    assert move(queue.runs, "b") == 1
    queue.free(LEAST_MEMORY)
    heard = queue.hear("b")  # who got the lock before memory came has said so
    assert (queue.hear("b") if heard.startswith("waiting for memory") else heard) == "turn"
    assert queue.states() == ["queued", "running"]
    queue.end("b")
    assert queue.hear("a") == "turn"


def test_a_queue_that_was_deleted_holds_up_nobody(queue: Queue) -> None:
    for name in "ab":
        queue.add(name)
    (queue.runs / ".queue").rename(queue.runs / ".gone")
    queue.end("a")
    assert queue.hear("b") == "turn"


def test_damaged_files_of_the_queue_hold_up_nobody(queue: Queue) -> None:
    for name in "abc":
        queue.add(name)
    (queue.runs / ".queue" / "order").write_bytes(b"\xff\x00\n../../etc\n\nc\nc\nzz\nb")
    assert waiting(queue.runs) == ["c", "b"]
    queue.end("a")
    assert queue.hear("c") == "turn"


def make(runs: Path, identity: str, **fields: Any) -> RunFolder:
    config = DistilConfig(name="x", bitext=[BitextConfig(path="x.tsv", language="so")])
    run = RunFolder.create(runs, config, [], identity, queued=not fields)
    run.update(**fields)
    return run


def test_the_memory_that_a_run_needs_is_what_one_like_it_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gib = 1 << 30
    memory = SimpleNamespace(available=5 * gib, total=100 * gib)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    run = make(tmp_path, "d")
    assert memory_needed(run.record, tmp_path) == LEAST_MEMORY
    make(tmp_path, "a", state="finished", summary={"peak_memory_bytes": 7 * gib})
    make(tmp_path, "b", state="finished", summary={"peak_memory_bytes": 6 * gib}, device="cpu")
    make(tmp_path, "c", state="failed", summary={"peak_memory_bytes": 50 * gib})
    make(tmp_path, "e", state="finished", kind="study", summary={"peak_memory_bytes": 50 * gib})
    make(tmp_path, "f", state="finished", host="elsewhere", summary={"peak_memory_bytes": 50 * gib})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert memory_needed(run.record, tmp_path) == 6 * gib
    assert memory_lacks(6 * gib).startswith("waiting for memory: 5.0 GiB are available")
    assert memory_lacks(5 * gib) == ""
    run.update(summary={"peak_memory_bytes": 500 * gib})  # it was stopped before
    assert memory_needed(run.record, tmp_path) == 90 * gib  # which this machine can have
    run.update(device="cuda")  # whose memory this is not
    assert memory_needed(run.record, tmp_path) == 6 * gib


def test_a_process_that_ends_before_it_is_queued_is_an_error(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    program = "import sys; sys.exit('optical-workbench: the disk is full')"
    with pytest.raises(OpticalError, match=r"^the disk is full$"):
        enqueue([sys.executable, "-c", program], log)
    with pytest.raises(OpticalError, match="it ended without a message"):
        enqueue([sys.executable, "-c", ""], tmp_path / "other" / "log.txt")
    with pytest.raises(InputError, match="there is no such program"):
        enqueue(["/no/such/program"], log)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    program = "import os, sys; os.write(int(sys.argv[2]), b'3')"
    pid, place = enqueue([sys.executable, "-c", program], tmp_path / "log.txt")
    assert place == 3 and pid > 0
    assert psutil.Process().num_fds() == before


def test_a_run_without_the_lock_of_its_folder_does_not_wait(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    assert state_of(run.path) == "queued"
    run_lock.release(run.path)
    assert state_of(run.path) == "crashed" and waiting(tmp_path) == []
