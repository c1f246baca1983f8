"""The command line: every action of the app has a command here."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> None:
    """Run ``optical-workbench``: a command, or without one the app, on ``--results`` if that is given."""
    import os

    from engine.jobs.child import child_environment, python_command

    match sys.argv[1:]:
        case []:
            results = ""
        case ["--results", results]:
            pass
        case [option] if option.startswith("--results="):
            results = option.removeprefix("--results=")
        case _:
            _command()
    if results:
        os.environ["OPTICAL_RESULTS"] = results
    # The app is a program of its own: the engine never imports it.
    os.execve(sys.executable, python_command("workbench"), child_environment())


def _command() -> NoReturn:
    from io import TextIOWrapper

    from engine.cli.commands import run

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # an encoding without our characters must not end a command
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))
