"""Ctrl-C, SIGTERM and SIGHUP: end a run at once, or after the current step."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt, so that they end a run as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(signal.SIGTERM, interrupt), _handled(signal.SIGHUP, interrupt):
        yield


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Delay SIGTERM, SIGHUP and Ctrl-C, and give a function that returns whether one was received.

    A run cannot continue from the middle of a step. The second signal interrupts at once.
    """
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            stack.enter_context(_handled(number, note))
        yield lambda: came


@contextmanager
def _handled(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:  # started by nohup
                yield
                return
            before = signal.signal(number, handler)
            stack.callback(signal.signal, number, before)
        except ValueError:  # not the main thread: its owner handles signals
            pass
        yield
