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
    from engine.cli.commands import run

    sys.exit(run(sys.argv[1:]))
