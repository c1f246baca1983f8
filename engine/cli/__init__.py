"""The command line: every action of the app has a command here."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> None:
    """Run ``optical-workbench``: a command, or the app when no command is given.

    The app opens the results database that ``--results`` names.
    """
    import os

    from engine.jobs.child import child_environment, python_command

    match sys.argv[1:]:
        case _ if "_OPTICAL_WORKBENCH_COMPLETE" in os.environ:  # a shell asks how a command goes on
            _command()
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
    # The engine never imports the app, so the app is another program, which replaces this one.
    os.execve(sys.executable, python_command("workbench"), child_environment())


def _command() -> NoReturn:
    from io import TextIOWrapper

    from engine.cli.commands import run
    from engine.cli.output import InertStream

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal's encoding may lack characters of the output
            stream.reconfigure(errors="backslashreplace")
    # What is not printed by our own functions: a traceback, a warning of a library.
    sys.stderr = InertStream(sys.stderr)
    sys.exit(run(sys.argv[1:]))
