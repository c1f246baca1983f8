"""Requests of a screen to the warm process; replies are handled in the screen's message loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from textual import events
from textual.message_pump import MessagePump

from engine.serving.records import Operation, RunRequest, to_json
from workbench.context import Context
from workbench.data.warm_process import Reply

RequestT = TypeVar("RequestT", bound=RunRequest)
ReplyT = TypeVar("ReplyT")


@dataclass
class _Pending:
    """A request without its last reply."""

    then: Callable[[Any], None]
    quiet: bool


class WarmRequests:
    """The requests that a screen has sent to the warm process and that are still unanswered.

    Parameters
    ----------
    screen : MessagePump
        The screen; all callbacks are called in its message loop.
    context : Context
        The results database and the warm process.
    on_progress : callable
        Called with a request's number and a sentence on what is being done.
    on_failure : callable
        Called with a request's number and the sentence of the error.
    """

    def __init__(
        self,
        screen: MessagePump,
        context: Context,
        on_progress: Callable[[int, str], None],
        on_failure: Callable[[int, str], None],
    ) -> None:
        self._screen, self._context = screen, context
        self._on_progress, self._on_failure = on_progress, on_failure
        self._pending: dict[int, _Pending] = {}

    @property
    def waiting(self) -> bool:
        """Whether a request is unanswered."""
        return bool(self._pending)

    @property
    def results(self) -> str:
        """The results database, as requests name it."""
        return str(self._context.results.absolute())

    def send(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        then: Callable[[ReplyT], None],
        *,
        quiet: bool = False,
    ) -> int:
        """Send a request and return its number; `then` is called with the reply.

        The progress of a `quiet` request is not reported.
        """
        number = self._context.warm.request(operation.name, self._post, **to_json(request))
        self._pending[number] = _Pending(lambda result: then(operation.read_reply(result)), quiet)
        return number

    def cancel(self, number: int | None) -> None:
        """Cancel a request, if it is unanswered; none of its callbacks is called any more."""
        if number is not None and self._pending.pop(number, None) is not None:
            self._context.warm.cancel(number)

    def cancel_all(self) -> None:
        """Cancel all requests that are unanswered."""
        for number in list(self._pending):
            self.cancel(number)

    def _post(self, reply: Reply) -> None:
        """Hand a reply to the screen's message loop. Called in a thread of the warm process's client."""
        self._screen.post_message(events.Callback(partial(self._receive, reply)))

    def _receive(self, reply: Reply) -> None:
        pending = self._pending.get(reply.id)
        if pending is None:
            return
        if not reply.last:
            if not pending.quiet:
                counted = f" {reply.done:,} of {reply.total:,}" if reply.total else ""
                self._on_progress(reply.id, f"{reply.progress}{counted}")
            return
        del self._pending[reply.id]
        if reply.error:
            self._on_failure(reply.id, reply.error)
        else:
            pending.then(reply.result)
