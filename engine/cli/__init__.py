"""The command line: every action of the app has a command here."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run ``optical-workbench``: without arguments the app, with arguments a command."""
    if len(sys.argv) == 1:
        import os

        # The app is a program of its own: the engine never imports it.
        os.execv(sys.executable, [sys.executable, "-m", "workbench"])
    from io import TextIOWrapper

    from engine.cli.commands import run

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # an encoding without our characters must not end a command
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))
