"""The client of the warm process, with small programs in place of the process."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.app import Workbench
from workbench.data.warm_process import COMMAND, Reply, WarmProcess

ECHO = """
    import json, sys, os
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["op"] == "die":
            print("the last thing it said", file=sys.stderr)
            os._exit(3)
        if asked["op"] == "work":
            print(json.dumps({"id": asked["id"], "progress": "at it", "done": 1, "total": 2}), flush=True)
        if asked["op"] == "hang":
            print(json.dumps({"id": asked["id"], "progress": "hanging"}), flush=True)
            continue
        print("not a reply", flush=True)
        print(json.dumps({"id": asked["id"], "result": [os.getpid(), asked]}), flush=True)
"""

Make = Callable[[str], WarmProcess]


class Listener:
    """Receives replies in the reader's thread and hands them to the thread of the test."""

    def __init__(self) -> None:
        self.replies: queue.Queue[Reply] = queue.Queue()

    def __call__(self, reply: Reply) -> None:
        self.replies.put(reply)

    def next(self) -> Reply:
        return self.replies.get(timeout=20)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[WarmProcess] = []

    def worker(program: str) -> WarmProcess:
        path = tmp_path / f"{len(made)}.py"
        path.write_text(textwrap.dedent(program), "utf-8")
        made.append(WarmProcess([sys.executable, str(path)]))
        return made[-1]

    yield worker
    for one in made:
        one.close()


def test_replies_reach_their_requests_and_one_process_serves_all(make: Make) -> None:
    worker, first, second = make(ECHO), Listener(), Listener()
    assert worker.pid is None
    numbers = [worker.request("say", first, text="maji ½"), worker.request("work", second)]
    told = first.next()
    assert told.last and told.id == numbers[0]
    assert told.result == [worker.pid, {"id": numbers[0], "op": "say", "text": "maji ½"}]
    progress, done = second.next(), second.next()
    assert (progress.progress, progress.done, progress.total, progress.last) == ("at it", 1, 2, False)
    assert done.last and done.result[0] == told.result[0]


def test_a_dead_process_is_reported_and_the_next_request_starts_another(make: Make) -> None:
    worker, listener, waiting = make(ECHO), Listener(), Listener()
    worker.request("hang", waiting)
    assert waiting.next().progress == "hanging"
    worker.request("die", listener)
    sentence = "the search process ended (the last thing it said); the next request starts it again"
    assert listener.next().error == sentence
    assert waiting.next().error == sentence
    worker.request("say", listener)
    first = listener.next().result[0]
    worker.request("hang", waiting)
    waiting.next()
    os.kill(first, signal.SIGKILL)
    assert "signal 9" in waiting.next().error
    worker.request("say", listener)
    assert listener.next().result[0] == worker.pid != first


def test_a_cancelled_request_gets_no_reply(make: Make) -> None:
    worker, listener, stale = make(ECHO), Listener(), Listener()
    number = worker.request("hang", stale)
    assert stale.next().progress == "hanging"
    worker.cancel(number)
    worker.cancel(number)
    worker.cancel(None)
    worker.cancel(12345)
    # The process receives one cancellation, before the next request.
    worker.request("say", listener)
    assert listener.next().last
    assert stale.replies.empty()


def test_a_program_that_cannot_be_started_is_an_error() -> None:
    worker, listener = WarmProcess(["/nowhere/python"]), Listener()
    worker.request("say", listener)
    assert listener.next().error == "the search process cannot be started: No such file or directory"
    worker.close()
    assert worker.request("say", listener) > 0  # closed: nothing happens
    assert listener.replies.empty()


def test_closing_ends_a_process_that_ignores_signals(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.data.warm_process._SECONDS_TO_END", 0.2)
    deaf = """
        import json, signal, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(json.dumps({"id": json.loads(sys.stdin.readline())["id"], "progress": "deaf"}), flush=True)
        while True:
            time.sleep(10)
    """
    for program in (ECHO, deaf):
        worker, listener = make(program), Listener()
        worker.request("hang", listener)
        listener.next()
        pid = worker.pid
        assert pid is not None and psutil.pid_exists(pid)
        worker.close()
        assert not psutil.pid_exists(pid)
        assert worker.pid is None
        assert listener.replies.empty()  # no callback is called after closing


def test_no_process_is_left_when_the_app_ends_without_closing(tmp_path: Path) -> None:
    """Also when the app is killed: the process ends at the end of its input."""
    echo = tmp_path / "echo.py"
    echo.write_text(textwrap.dedent(ECHO), "utf-8")
    program = f"""
        import os, signal, sys, threading
        from workbench.data.warm_process import WarmProcess
        worker, heard = WarmProcess([sys.executable, {str(echo)!r}]), threading.Event()
        worker.request("say", lambda reply: heard.set())
        heard.wait(20)
        print(worker.pid, flush=True)
        if sys.argv[1] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
    """
    for how in ("returns", "killed"):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), how], capture_output=True, text=True, timeout=60
        )
        pid = int(done.stdout)
        if psutil.pid_exists(pid):
            psutil.Process(pid).wait(20)
        assert not psutil.pid_exists(pid), how


async def test_the_app_closes_its_process(app: Workbench, make: Make) -> None:
    app.context.warm, listener = make(ECHO), Listener()
    async with app.run_test():
        app.context.warm.request("say", listener)
        pid = listener.next().result[0]
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_the_real_process_prints_only_replies() -> None:
    """Output of libraries does not go to stdout; the process ends when its input ends and all is answered."""
    lines = '{"id": 1, "op": "search"}\n{\n{"id": 2, "op": "nonsense"}\n'
    done: Any = subprocess.run(COMMAND, input=lines, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    first, second, third = done.stdout.splitlines()
    assert first == '{"id": 1, "error": "results is missing (and 3 more)"}'
    assert second.startswith('{"id": null, "error": "line 2: a request must be an object in JSON')
    assert third.startswith('{"id": 2, "error": "there is no operation ')
