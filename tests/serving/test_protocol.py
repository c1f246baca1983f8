"""The lines of JSON: whatever comes in, each request gets its replies and the process lives on."""

from __future__ import annotations

import gc
import json
import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.reporting import Reporter
from engine.serving import protocol
from engine.serving.protocol import LONGEST_LINE, Server

Parameters = Mapping[str, Any]


def double(parameters: Parameters, reporter: Reporter) -> Any:
    return 2 * parameters["x"]


def refuse(parameters: Parameters, reporter: Reporter) -> Any:
    raise InputError("that will not do")


def open_file(parameters: Parameters, reporter: Reporter) -> Any:
    return Path(parameters["path"]).read_text("utf-8")


def allocate(parameters: Parameters, reporter: Reporter) -> Any:
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9e18 bytes")


def slow(parameters: Parameters, reporter: Reporter) -> Any:
    reporter.say("beginning")
    reporter.stage("counting", 1000)
    for _ in range(1000):
        reporter.advance()
    return "counted"


OPERATIONS: dict[str, Callable[[Parameters, Reporter], Any]] = {
    "double": double,
    "refuse": refuse,
    "open": open_file,
    "allocate": allocate,
    "slow": slow,
}


def served(lines: Iterable[str]) -> list[dict[str, Any]]:
    written: list[str] = []
    Server(OPERATIONS, written.append).serve(lines)
    assert all(line.isascii() and "\n" not in line for line in written)
    return [json.loads(line) for line in written]


def request(identity: int, op: Any, **parameters: Any) -> str:
    return json.dumps({"id": identity, "op": op, **parameters}) + "\n"


def test_each_request_is_answered_in_its_turn() -> None:
    replies = served([request(7, "double", x=4), "\n", request(8, "double", x="½\ud800")])
    assert replies == [{"id": 7, "result": 8}, {"id": 8, "result": "½\ud800½\ud800"}]


def test_what_fails_is_one_sentence_and_the_next_is_answered() -> None:
    replies = served(
        [
            "{",
            "[1, 2]\n",
            '{"op": "double", "x": 1}',
            '{"id": true, "op": "double"}',
            "[" * 100_000,
            '"' + "x" * LONGEST_LINE + '"',
            request(1, "duble", x=1),
            request(2, ["double"]),
            request(3, "refuse"),
            request(4, "double"),
            request(5, "double", x=float("nan")),
            request(6, "double", x=3),
        ]
    )
    assert [reply["id"] for reply in replies] == [None] * 6 + [1, 2, 3, 4, 5, 6]
    errors = [reply.get("error", "") for reply in replies]
    assert errors[0].startswith("line 1: a request must be an object in JSON (")
    assert errors[1].startswith("line 2: a request must be an object in JSON, such as")
    assert errors[2] == "line 3: a request needs a whole number as its id, not None"
    assert errors[3].endswith("not True")
    assert errors[5] == (
        f"line 6: a request of {LONGEST_LINE + 2:,} characters is too long; send at most {LONGEST_LINE:,}"
    )
    assert errors[6].startswith("there is no operation 'duble' (did you mean 'double'?)")
    assert errors[8:10] == ["that will not do", "KeyError: 'x'"]
    assert replies[10]["result"] == "NaN"
    assert replies[11]["result"] == 6
    assert not any("\n" in error for error in errors)


def test_what_the_system_refuses_is_told_as_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    replies = served([request(1, "open", path=long), request(2, "allocate")])
    assert [reply["error"] for reply in replies] == [
        f"{long}: File name too long",
        "there is not enough memory; end other programs, or ask for less at a time",
    ]
    assert capsys.readouterr().err == ""


def test_progress_comes_before_the_result_and_not_too_often() -> None:
    *progress, last = served([request(1, "slow")])
    assert progress[0] == {"id": 1, "progress": "beginning"}
    assert progress[1] == {"id": 1, "progress": "counting", "done": 0, "total": 1000}
    assert progress[-1] == {"id": 1, "progress": "counting", "done": 1000, "total": 1000}
    assert len(progress) < 100
    assert last == {"id": 1, "result": "counted"}


def test_requests_are_given_up_under_way_or_waiting() -> None:
    begun, given_up = threading.Event(), threading.Event()

    def endless(parameters: Parameters, reporter: Reporter) -> Any:
        begun.set()
        while True:
            reporter.advance()
            given_up.wait(10)

    lines: queue.Queue[str | None] = queue.Queue()

    def incoming() -> Iterator[str]:
        while (line := lines.get()) is not None:
            yield line
        given_up.set()

    written: list[str] = []
    server = Server({**OPERATIONS, "endless": endless}, written.append)
    thread = threading.Thread(target=server.serve, args=(incoming(),))
    thread.start()
    lines.put(request(1, "endless"))
    assert begun.wait(10)
    for line in (request(2, "double", x=1), request(3, "double", x=2)):
        lines.put(line)
    for identity in (2, 1, 99):
        lines.put(request(identity, "cancel"))
    lines.put(None)
    thread.join(10)
    assert not thread.is_alive()
    replies = [json.loads(line) for line in written if "progress" not in line]
    assert replies == [
        {"id": 1, "error": "cancelled"},
        {"id": 2, "error": "cancelled"},
        {"id": 3, "result": 4},
    ]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60).filter(lambda text: text.strip() and "\n" not in text))
def test_no_line_ends_the_process(line: str) -> None:
    replies = served([line, request(1, "double", x=1)])
    assert replies[-1] == {"id": 1, "result": 2}
    assert len(replies) == 2 and replies[0].get("error")


def test_what_was_loaded_is_set_aside_and_freed_once_it_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LOADING_SECONDS", -1.0)
    shelf: list[Any] = []
    seen: list[weakref.ref[Any]] = []

    class Encoder:
        def __init__(self) -> None:
            self.itself = self  # only the garbage collector frees it

    def load(parameters: Parameters, reporter: Reporter) -> Any:
        shelf[:] = [Encoder()]
        seen.append(weakref.ref(shelf[0]))
        return [reference() is not None for reference in seen]

    written: list[str] = []
    try:
        Server({"load": load}, written.append).serve(json.dumps({"id": n, "op": "load"}) for n in range(3))
        assert gc.get_freeze_count() > 0
        alive = [json.loads(line)["result"] for line in written]
        assert alive[0] == [True] and alive[2] == [False, True, True]
        assert [reference() is not None for reference in seen] == [False, False, True]
    finally:
        gc.unfreeze()
