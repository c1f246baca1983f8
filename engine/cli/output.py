"""The writers of the command line: all text is made inert here or in `engine.cli.tables`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

import click

from engine.errors import InputError
from engine.visible import csv_cell, visible

if TYPE_CHECKING:
    from rich.console import Console


def out(text: str = "") -> None:
    """Print `text`, which can have several lines, on stdout."""
    click.echo(visible(text, keep="\n\t"))


def say(text: str) -> None:
    """Print a message, which can have several lines, on stderr, unless ``-q`` was given."""
    if not is_quiet():
        _print(text)


def warn(text: object) -> None:
    """Print a warning or an error with the program's name on stderr."""
    _print(f"optical-workbench: {text}")


def _print(text: str) -> None:
    click.echo(visible(text, keep="\n\t"), err=True)


def be_quiet(context: click.Context) -> None:
    """Let `say` and progress print nothing for the rest of the command of `context`."""
    context.find_root().meta[_QUIET] = True


def is_quiet() -> bool:
    """Return whether ``-q`` was given to the command that runs."""
    context = click.get_current_context(silent=True)
    return context is not None and _QUIET in context.find_root().meta


def write(document: str) -> None:
    """Print a document that is inert already, such as JSON by `engine.cli.options.json_text`."""
    sys.stdout.write(document)


#: The key of ``-q`` in the context of a command.
_QUIET = "optical-workbench.quiet"


class InertStream:
    """A stream that makes what is written to it visible: tracebacks, warnings of libraries, click's messages.

    Parameters
    ----------
    stream : file
        Where the text goes.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write `text` with escapes for control characters but line breaks and tabs."""
        self.stream.write(visible(text, keep="\n\t"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def progress_console() -> Console:
    """Return the console for progress on stderr.

    It writes commands to the terminal, so its callers make text visible.
    """
    from rich.console import Console

    stream = sys.stderr
    return Console(
        file=stream.stream if isinstance(stream, InertStream) else stream, highlight=False, quiet=is_quiet()
    )


def raw_option(command: Any) -> Any:
    """Add ``--raw``."""
    return click.option(
        "--raw",
        is_flag=True,
        help="Write text in CSV as it is, also formulas of spreadsheets and control characters.",
    )(command)


def check_raw(raw: bool, as_csv: bool) -> None:
    """Check that ``--raw`` is given with CSV only.

    Raises
    ------
    InputError
        If it is given without.
    """
    if raw and not as_csv:
        raise InputError("--raw is for CSV; JSON and Parquet hold any text as it is")


class CsvWriter:
    """Writes CSV that a spreadsheet does not run.

    Parameters
    ----------
    stream : file
    raw : bool
        Whether cells are written as they are.
    """

    def __init__(self, stream: IO[str], *, raw: bool = False) -> None:
        # The csv module leaves a carriage return without quotes, which ends a row for readers.
        self._writer = csv.writer(
            stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC if raw else csv.QUOTE_MINIMAL
        )
        self._raw = raw

    def rows(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write `rows`."""
        self._writer.writerows(rows if self._raw else (map(csv_cell, row) for row in rows))
