"""Requests of a screen to the warm process: callbacks, cancelling, and the thread they run in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.app import App

from engine.serving.records import LIST_POOLS, RunRequest
from workbench.data.warm_process import Reply
from workbench.shell.warm_requests import WarmRequests


class Process:
    """Stands for the warm process: keeps requests, and sends replies from another thread."""

    def __init__(self) -> None:
        self.on_reply: dict[int, Callable[[Reply], None]] = {}
        self.cancelled: list[int] = []

    def request(self, op: str, on_reply: Callable[[Reply], None], **parameters: Any) -> int:
        self.on_reply[len(self.on_reply) + 1] = on_reply
        return len(self.on_reply)

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)

    def reply(self, number: int, **content: Any) -> None:
        thread = threading.Thread(target=self.on_reply[number], args=(Reply(number, **content),))
        thread.start()
        thread.join()


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def events() -> list[Any]:
    return []


@pytest.fixture
def make(process: Process, events: list[Any]) -> Callable[[App[None]], WarmRequests]:
    """A function that makes the requests of an app, whose callbacks note what they are called with."""

    def made(app: App[None]) -> WarmRequests:
        context: Any = SimpleNamespace(results=Path("results.duckdb"), warm=process)
        return WarmRequests(
            app,
            context,
            lambda number, sentence: events.append((number, sentence)),
            lambda number, sentence: events.append((number, "failed", sentence)),
        )

    return made


RUN = RunRequest(results="results.duckdb", run="x")


async def test_replies_are_handled_in_the_message_loop(
    process: Process, events: list[Any], make: Any
) -> None:
    app: App[None] = App()
    async with app.run_test() as pilot:
        requests = make(app)
        threads = []

        def then(pools: Any) -> None:
            threads.append(threading.get_ident())
            events.append(pools)

        number = requests.send(LIST_POOLS, RUN, then)
        process.reply(number, progress="loading", done=1, total=1200)
        await pilot.pause()
        assert events == [(number, "loading 1 of 1,200")] and requests.waiting
        process.reply(number, result=[])
        await pilot.pause()
        assert events[1:] == [[]] and threads == [threading.get_ident()]
        assert not requests.waiting


async def test_a_quiet_request_reports_no_progress_but_its_failure(
    process: Process, events: list[Any], make: Any
) -> None:
    app: App[None] = App()
    async with app.run_test() as pilot:
        requests = make(app)
        number = requests.send(LIST_POOLS, RUN, events.append, quiet=True)
        process.reply(number, progress="loading")
        process.reply(number, error="the run is gone")
        await pilot.pause()
        assert events == [(number, "failed", "the run is gone")]


async def test_nothing_is_kept_of_a_cancelled_request(process: Process, events: list[Any], make: Any) -> None:
    app: App[None] = App()
    async with app.run_test() as pilot:
        requests = make(app)
        numbers = [
            requests.send(LIST_POOLS, RUN, events.append, quiet=quiet) for quiet in (True, False, True)
        ]
        requests.cancel(numbers[0])
        requests.cancel(numbers[0])
        requests.cancel(None)
        process.reply(
            numbers[1], result=[]
        )  # it is posted, but the request is cancelled before it is handled
        requests.cancel_all()
        for number in numbers:
            process.reply(number, progress="loading")
            process.reply(number, error="too late")
        await pilot.pause()
        assert events == [] and process.cancelled == numbers
        kept = [value for value in vars(requests).values() if isinstance(value, dict | set | list)]
        assert not requests.waiting and not any(kept)
