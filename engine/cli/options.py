"""Options that all commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from engine.paths import results_path, runs_folder
from engine.results.ingest import ingest

Command = Callable[..., Any]


def results_option(command: Command) -> Command:
    """Add ``--results PATH``."""
    return click.option(
        "--results",
        type=click.Path(path_type=Path, dir_okay=False),
        default=results_path,
        help="The results database; its runs lie in the folder runs/ beside it.",
    )(command)


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
    """Print `value` as JSON on stdout; dates as ISO 8601."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write("\n")
