"""The end of the terminal is the end of the app."""

from __future__ import annotations

import os
import select
import signal
import threading


def end_with(terminal: int) -> None:
    """Watch the terminal (a file descriptor), and end this process when it is gone.

    Whoever closes a window sends SIGHUP, but it does not reach everyone: not under nohup, not outside the
    terminal's session. Textual would then read the end of its input over and over, and could not end in order
    either, since what it writes last would wait for the terminal.
    """
    threading.Thread(target=_watch, args=(terminal,), name="terminal", daemon=True).start()


def _watch(terminal: int) -> None:
    poll = select.poll()
    poll.register(terminal, 0)  # hang-ups are reported unasked, and nothing else is wanted
    events = poll.poll()[0][1]
    if events & (select.POLLHUP | select.POLLERR):  # else the system cannot watch terminals
        os._exit(128 + signal.SIGHUP)
