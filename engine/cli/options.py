"""Options that several commands share, and JSON output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from engine.cli.output import warn, write
from engine.errors import InputError
from engine.paths import results_path, runs_folder, use_data_home
from engine.results.metrics_log import to_json
from engine.results.missing import new_database_note
from engine.results.refresh import read_in, refresh
from engine.visible import inert_json, visible

Command = Callable[..., Any]


def results_option(command: Command) -> Command:
    """Add ``--results PATH``."""
    return click.option(
        "--results",
        type=click.Path(path_type=Path, dir_okay=False),
        default=results_path,
        help="The results database. Its run folders are in runs/, in the same folder.",
    )(command)


def data_option(command: Command) -> Command:
    """Add ``--data PATH``, which sets the data home of this command and of the processes that it starts."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        callback=_move_data_home,
        expose_value=False,
        is_eager=True,
        help="The data home. The default is OPTICAL_DATA, or the user's data folder.",
    )(command)


def _move_data_home(context: click.Context, option: click.Parameter, home: Path | None) -> None:
    if home is not None:
        use_data_home(home)


def on_option(command: Command) -> Command:
    """Add ``--on PLACE``."""
    return click.option(
        "--on",
        "place",
        type=click.Choice(["slurm", "local"]),
        help="Submit as jobs through submitit: to SLURM, or as processes of this machine, to try it.",
    )(command)


def set_option(command: Command) -> Command:
    """Add ``--set KEY=VALUE``."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a setting, such as training.steps=50. Items of lists are counted from 0, as in errors: "
        "bitext.0.stop=500. Can be repeated.",
    )(command)


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def complete_run(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids of runs that begin with `incomplete`, newest first, for the shell."""
    results = context.params.get("results") or results_path()
    folder = runs_folder(Path(results))
    try:
        names = [place.name for place in folder.iterdir() if (place / "run.json").is_file()]
    except OSError:
        return []
    return sorted((name for name in names if name.startswith(incomplete)), reverse=True)


def refreshed(results: Path) -> Path:
    """Bring the database up to date with its run folders as far as that is possible, and return its path.

    A run folder that cannot be read is reported on stderr and left out, and so is a database that cannot be
    written.

    Without run folders nothing is made; what reads the database then says that it does not exist.
    """
    note = new_database_note(results)
    if note:
        warn(note)
    for problem in refresh(results):
        warn(problem)
    return results


def read_in_finished(results: Path, run: Path) -> None:
    """Bring the database up to date after the run in the folder `run` has finished; nothing is an error."""
    for problem in read_in(results, run):
        warn(problem)


def ask_first(question: str, command: str, action: str = "delete") -> None:
    """Ask on the terminal whether `command` may do `action`; it is aborted if the answer is no.

    Raises
    ------
    InputError
        If the input is not a terminal.
    """
    if not sys.stdin.isatty():
        raise InputError(f"{command} asks first, and the input is not a terminal; add --yes to {action}")
    click.confirm(visible(question), abort=True, err=True)


def print_json(value: Any) -> None:
    """Print `value` as JSON on stdout. Dates are written as ISO 8601, NaN and the infinities as strings."""
    write(json_text(value))


def json_text(value: Any, indent: int | None = 2) -> str:
    """Return the text that `print_json` prints."""
    text = json.dumps(to_json(value), ensure_ascii=False, indent=indent, allow_nan=False, default=_json_value)
    return inert_json(text) + "\n"


def _json_value(value: Any) -> Any:
    """Return the closest JSON value for a value of the database that JSON cannot represent."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.hex() if isinstance(value, bytes) else str(value)


def with_time_zone(record: dict[str, Any]) -> dict[str, Any]:
    """Return a run's record with the time zone UTC in its times, which the database leaves out."""
    return {
        key: value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
        for key, value in record.items()
    }
