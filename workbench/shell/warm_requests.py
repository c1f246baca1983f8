"""Rooms that ask the process with the encoders: replies come as messages, stale ones are ignored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual import on
from textual.message import Message

from workbench.data.warm_process import Reply
from workbench.shell.screen import Room

Then = Callable[[Any], None]


class WarmRoom(Room):
    """A room with requests to `app.worker`; progress and errors go to its status line."""

    class Heard(Message):
        """The process has replied."""

        def __init__(self, reply: Reply) -> None:
            super().__init__()
            self.reply = reply

    def __init__(self) -> None:
        super().__init__()
        self._waits: dict[int, Then] = {}
        self._quiet: set[int] = set()

    def request(self, op: str, then: Then, *, quiet: bool = False, **parameters: Any) -> int:
        """Ask for `op`, do `then` with its result, and return the request's number.

        The progress of a `quiet` one stays off the status line, which may have something to say.
        """
        results = str(self.bench.results.absolute())
        identity = self.bench.worker.request(op, self._hear, results=results, **parameters)
        self._waits[identity] = then
        if quiet:
            self._quiet.add(identity)
        return identity

    @property
    def waiting(self) -> bool:
        """Whether a request is unanswered."""
        return bool(self._waits)

    def give_up(self, identity: int | None) -> None:
        """Give up a request; its reply will not be heard."""
        if identity is not None and self._waits.pop(identity, None) is not None:
            self.bench.worker.cancel(identity)

    def give_up_all(self) -> None:
        """Give up all requests."""
        for identity in list(self._waits):
            self.give_up(identity)

    def failed(self, identity: int, sentence: str) -> None:
        """Take in that a request has failed."""
        self.say(sentence, "bad")

    def _hear(self, reply: Reply) -> None:
        self.post_message(self.Heard(reply))  # in the worker's thread

    @on(Heard)
    def _heard(self, message: Heard) -> None:
        reply = message.reply
        if reply.id not in self._waits:
            return
        if not reply.last and reply.id in self._quiet:
            return
        if not reply.last:
            counted = f" {reply.done:,} of {reply.total:,}" if reply.total else ""
            self.say(f"{reply.progress}{counted}     Esc gives it up")
            return
        then = self._waits.pop(reply.id)
        self._quiet.discard(reply.id)
        if reply.error:
            self.failed(reply.id, reply.error)
        else:
            then(reply.result)
