"""Ends the app when its terminal is gone."""

from __future__ import annotations

import os
import select
import signal
import threading


def end_with_terminal(terminal: int) -> None:
    """Watch a terminal in a thread, and end this process when the terminal is gone.

    A closed window sends SIGHUP, but the signal does not reach a process under nohup or outside the session
    of the terminal. Textual would then read the end of its input in an endless loop, and could not end
    normally, because its last output would wait for the terminal.

    Parameters
    ----------
    terminal : int
        The file descriptor of the terminal.
    """
    threading.Thread(target=_watch, args=(terminal,), name="terminal", daemon=True).start()


def _watch(terminal: int) -> None:
    poll = select.poll()
    poll.register(terminal, 0)  # hang-ups are always reported; no other event is wanted
    events = poll.poll()[0][1]
    if events & (select.POLLHUP | select.POLLERR):  # otherwise the system cannot watch terminals
        os._exit(128 + signal.SIGHUP)
