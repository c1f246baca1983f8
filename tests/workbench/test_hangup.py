"""The app in a real terminal that is closed without a signal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest


@pytest.mark.parametrize("ignored", [False, True], ids=["outside its session", "under nohup"])
def test_the_app_ends_when_its_terminal_is_gone(made: Path, ignored: bool) -> None:
    keyboard, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))

    def prepare() -> None:
        if ignored:
            os.login_tty(end)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    # The kernel sends no signal to a session that has no controlling terminal.
    app = subprocess.Popen(
        [sys.executable, "-P", "-m", "workbench"], cwd=made, stdin=end, stdout=end, stderr=end,
        start_new_session=not ignored, preexec_fn=prepare,
    )  # fmt: skip
    try:
        os.close(end)
        seen = b""
        while b"Quit" not in seen:  # the footer: the first paint is done
            seen += os.read(keyboard, 1 << 16)
        os.close(keyboard)
        assert app.wait(20) == 128 + signal.SIGHUP
    finally:
        app.kill()
        app.wait()
