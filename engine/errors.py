"""Errors a user can act on. Each is one sentence that names a file, line or key, and what to do.

The command line prints the sentence to stderr and leaves with ``exit_code``; the app shows it.
A traceback is for our mistakes only.
"""

from __future__ import annotations

from pathlib import Path


class OpticalError(Exception):
    """A run or a query failed for a reason its user can understand (exit code 1)."""

    exit_code = 1


class InputError(OpticalError):
    """Wrong usage, configuration or input data (exit code 2).

    Parameters
    ----------
    message : str
        What is wrong and what to do about it, one sentence.
    path : path, optional
        The file at fault; it is put in front of the message.
    line : int, optional
        The line of ``path`` at fault, counted from one.
    """

    exit_code = 2

    def __init__(self, message: str, *, path: str | Path | None = None, line: int | None = None) -> None:
        self.path, self.line = path, line
        where = "" if path is None else f"{path}, line {line}: " if line is not None else f"{path}: "
        super().__init__(where + message)


class BusyError(OpticalError):
    """Another process holds what is needed; the same call may work in a moment (exit code 3)."""

    exit_code = 3


class DivergedError(OpticalError):
    """Training left the region where its numbers mean anything (exit code 1)."""


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """Return `` (did you mean 'x'?)`` for the known spelling nearest to `word`, or an empty string."""
    import difflib

    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""
