"""What Ctrl-C and SIGTERM do to a run: end it, at once or after the step under way."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, so that a run that is told to stop ends as if by Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(signal.SIGTERM, interrupt):
        yield


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Hold SIGTERM and Ctrl-C back, and give a function that tells whether one came.

    A step that is broken off leaves no state to go on from. The second signal gets through.
    """
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    with _handled(signal.SIGTERM, note), _handled(signal.SIGINT, note):
        yield lambda: came


@contextmanager
def _handled(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            before = signal.signal(number, handler)
            stack.callback(signal.signal, number, before)
        except ValueError:  # not the main thread: whoever runs us there handles signals
            pass
        yield
