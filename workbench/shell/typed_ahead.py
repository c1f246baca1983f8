"""Keys that are typed faster than the app follows, kept in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from textual import events
from textual.app import App
from textual.dom import DOMNode

STUCK_SECONDS = 1.0
"""How long a key waits for the one before it, whose widget may have been removed meanwhile."""
RETRY_SECONDS = 0.01

TypedEvent = events.Key | events.Paste


class TypedAhead:
    """Hands a key to the app only when the effects of the key before it are done.

    Textual hands each key to the focused widget at once. A key that changes the focus, opens a dialog or
    switches the screen travels up to the app first, so keys typed after it would reach the widget that had
    the focus before: letters typed into a dialog that is just being opened were commands of the screen below.

    Parameters
    ----------
    app : App
        The app.
    handle : callable
        Handles a key as Textual does.
    """

    def __init__(self, app: App[Any], handle: Callable[[TypedEvent], Awaitable[None]]) -> None:
        self._app, self._handle = app, handle
        self._waiting: deque[TypedEvent] = deque()
        self._number = 0
        self._busy = self._retrying = False

    async def add(self, event: TypedEvent) -> None:
        """Handle a key now, or after those before it."""
        self._waiting.append(event)
        if self._busy:
            self._app.set_timer(STUCK_SECONDS, self._give_up(self._number))
        await self._next()

    async def _next(self) -> None:
        if self._busy or not self._waiting:
            return
        if not self._app.screen.is_mounted:  # it is being opened, and no part of it has the focus yet
            if not self._retrying:
                self._retrying = True
                self._app.set_timer(RETRY_SECONDS, self._retry)
            return
        event = self._waiting.popleft()
        self._busy, self._number = True, self._number + 1
        chain = list((self._app.focused or self._app.screen).ancestors_with_self)
        await self._handle(event)
        # The second round waits for messages that the first handlers sent, such as Input.Submitted.
        await self._follow(self._number, [*chain, *chain, self._app.screen, self._app])

    async def _retry(self) -> None:
        self._retrying = False
        await self._next()

    async def _follow(self, number: int, chain: list[DOMNode]) -> None:
        """Wait until every node of `chain` has handled what it was sent, one after another."""
        for place, node in enumerate(chain):
            if node.is_running and node.call_later(self._follow, number, chain[place + 1 :]):
                return
        await self._done(number)

    async def _done(self, number: int) -> None:
        if self._busy and number == self._number:
            self._busy = False
            await self._next()

    def _give_up(self, number: int) -> Callable[[], Awaitable[None]]:
        async def done() -> None:
            await self._done(number)

        return done
