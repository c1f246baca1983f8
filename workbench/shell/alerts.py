"""Alerts when a run ends: the terminal's bell, a notification on the desktop, a program of the user."""

from __future__ import annotations

import html
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence

from engine.errors import OpticalError
from engine.jobs.child import child_environment, find_program
from engine.results.run_facts import LIVING
from workbench.data.runs import Run, headline
from workbench.data.user_settings import AlertSettings
from workbench.shell.terminal import notification_sequence
from workbench.widgets.text import plain, score

_SECONDS = 30.0
_TITLE = "Optical Workbench"


def end_of(run: Run) -> str:
    """Return how a run ended, in the words of the settings."""
    return "failed" if run["state"] == "crashed" else str(run["state"])


def alert_text(run: Run) -> str:
    """Return a sentence on how a run ended."""
    if end_of(run) == "failed":
        return f"{run['name']} failed: {run['failure'] or 'its process was killed'}"
    measure = headline(run)
    return f"{run['name']} {run['state']}" + (f": {measure[0]} {score(measure[1])}" if measure else "")


class RunWatch:
    """Finds the runs that have ended between two looks."""

    def __init__(self) -> None:
        self._living: set[str] = set()

    def ended(self, runs: Sequence[Run]) -> list[Run]:
        """Return the runs that were queued or running at the look before, and are not any more."""
        living = {run["id"] for run in runs if run["state"] in LIVING}
        ended = [
            run
            for run in runs
            if run["id"] in self._living - living
            and run["state"] in ("finished", "failed", "crashed", "stopped")
        ]
        self._living = living
        return ended


def notify_desktop(
    text: str, write: Callable[[str], None], environment: Mapping[str, str] = os.environ
) -> None:
    """Show a notification: on this machine's own screen, or by `write`, through the terminal.

    Raises
    ------
    OpticalError
        If ``notify-send`` fails.
    """
    local = not environment.get("SSH_CONNECTION") and (
        environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    )
    program = find_program("notify-send") if local else None
    if program is None:
        write(notification_sequence(_TITLE, text, environment))
    else:
        # The body may be read as markup.
        _run([program, f"--app-name={_TITLE}", "--", _TITLE, html.escape(plain(text), quote=False)], "", {})


def run_command(settings: AlertSettings, run: Run) -> None:
    """Run the user's program, which reads the run as JSON.

    Raises
    ------
    OpticalError
        If there is no such program, or it fails, or takes longer than 30 s.
    """
    program = find_program(settings.command[0])
    if program is None:
        raise OpticalError(f"alerts.command: {settings.command[0]}: there is no such program")
    facts = {name: run[name] for name in ("id", "name", "failure")}
    facts |= {"state": end_of(run), "text": alert_text(run), "folder": str(run["folder"])}
    _run([program, *settings.command[1:]], json.dumps(facts), {"OPTICAL_RUN": run["id"]})


def _run(command: list[str], text: str, environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**child_environment(), **environment},
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OpticalError(f"{command[0]}: did not end within {_SECONDS:.0f} s") from None
    except OSError as error:
        raise OpticalError(f"{command[0]}: cannot be started: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise OpticalError(
            f"{command[0]}: exit status {done.returncode}" + (f": {lines[-1]}" if lines else "")
        )
