"""Options that all commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from engine.paths import results_path, runs_folder, use_data_home
from engine.results.ingest import ingest
from engine.results.metrics_log import to_json

Command = Callable[..., Any]


def results_option(command: Command) -> Command:
    """Add ``--results PATH``."""
    return click.option(
        "--results",
        type=click.Path(path_type=Path, dir_okay=False),
        default=results_path,
        help="The results database; its runs lie in the folder runs/ beside it.",
    )(command)


def data_option(command: Command) -> Command:
    """Add ``--data PATH``, which moves the data home for this command and the processes that it starts."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        callback=_move_data_home,
        expose_value=False,
        is_eager=True,
        help="The data home, instead of OPTICAL_DATA's.",
    )(command)


def _move_data_home(context: click.Context, option: click.Parameter, home: Path | None) -> None:
    if home is not None:
        use_data_home(home)


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def refreshed(results: Path) -> Path:
    """Bring the database up to date with the run folders beside it, and return it.

    What is wrong with single run folders is said on stderr and keeps nobody from the rest.
    """
    if runs_folder(results).is_dir():
        report = ingest(results, runs_folder(results))
        for problem in report.problems:
            click.echo(f"optical-workbench: {problem}", err=True)
    return results


def print_json(value: Any) -> None:
    """Print `value` as JSON on stdout: dates as ISO 8601, not-a-number and the infinities as strings."""
    sys.stdout.write(json_text(value))


def json_text(value: Any, indent: int | None = 2) -> str:
    """Return `value` as `print_json` prints it."""
    text = json.dumps(to_json(value), ensure_ascii=False, indent=indent, allow_nan=False, default=_json_value)
    return text + "\n"


def _json_value(value: Any) -> Any:
    """Return a value of the database that JSON has no form for, in the nearest form."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.hex() if isinstance(value, bytes) else str(value)


def aware(record: dict[str, Any]) -> dict[str, Any]:
    """Return a run's record whose times say that they are UTC, which the database leaves out."""
    return {
        key: value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
        for key, value in record.items()
    }
