"""What is sent to the terminal besides the screen: text for its clipboard, and notifications.

The sequences are those of xterm (OSC 52), iTerm2 (OSC 9) and rxvt-unicode (OSC 777). tmux and GNU screen pass
a sequence on only inside one of their own.
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Mapping

from engine.jobs.child import child_environment, find_program
from engine.visible import visible

LONGEST_COPY = 70_000
"""Bytes of UTF-8 that are copied at most, because terminals ignore sequences of more than about 100,000."""

_SCREEN_BLOCK = 700  # bytes; GNU screen cuts a sequence after 768
_TMUX_SECONDS = 2.0


def clipboard_sequence(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the sequence that asks the terminal to copy `text`.

    The text is sent in base64, so nothing in it is a sequence.
    """
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    return _passed_on(f"\x1b]52;c;{encoded}\x07", environment)


def notification_sequence(title: str, text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the sequence that asks the terminal for a notification on the desktop."""
    title, text = visible(title).replace(";", ","), visible(text)
    if environment.get("TERM", "").startswith("rxvt") or "VTE_VERSION" in environment:
        return _passed_on(f"\x1b]777;notify;{title};{text}\x07", environment)
    # A text that begins with a digit and a semicolon would be another command of ConEmu and Windows Terminal.
    return _passed_on(f"\x1b]9;{title}: {text}\x07", environment)


def _passed_on(sequence: str, environment: Mapping[str, str]) -> str:
    """Return a sequence that the terminal around tmux or GNU screen receives as `sequence`."""
    if environment.get("TMUX"):
        return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if environment.get("STY"):
        blocks = (sequence[start : start + _SCREEN_BLOCK] for start in range(0, len(sequence), _SCREEN_BLOCK))
        return "".join(f"\x1bP{block}\x1b\\" for block in blocks)
    return sequence


def give_to_tmux(text: str) -> bool:
    """Make `text` the newest buffer of tmux, which also sends it to the terminal's clipboard.

    By default tmux ignores sequences of programs that set the clipboard, but sets it for this command (the
    option ``set-clipboard external``). The function waits for tmux.

    Returns
    -------
    bool
        Whether tmux took the text; False outside tmux.
    """
    program = find_program("tmux") if os.environ.get("TMUX") else None
    if program is None:
        return False
    try:
        done = subprocess.run(
            [program, "load-buffer", "-w", "-"],
            input=text.encode("utf-8", "replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            timeout=_TMUX_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
