"""Errors that a user can act on. The message is one sentence that names a file, line or key, and what to do.

The command line prints the sentence on stderr and exits with the status ``exit_code``; the app shows it. A
traceback means an error in this program.
"""

from __future__ import annotations

from pathlib import Path


class OpticalError(Exception):
    """A run or a query failed for a reason that its user can act on (exit status 1)."""

    exit_code = 1


class InputError(OpticalError):
    """The usage, the configuration or the input data is wrong (exit status 2).

    Parameters
    ----------
    message : str
        What is wrong and what to do about it, in one sentence.
    path : path, optional
        The file that is wrong; the message begins with it.
    line : int, optional
        The line of ``path`` that is wrong, from 1.
    """

    exit_code = 2

    def __init__(self, message: str, *, path: str | Path | None = None, line: int | None = None) -> None:
        self.path, self.line = path, line
        where = "" if path is None else f"{path}, line {line}: " if line is not None else f"{path}: "
        super().__init__(where + message)


class BusyError(OpticalError):
    """Another process uses what is needed; the same call may work in a moment (exit status 3)."""

    exit_code = 3


class DivergedError(OpticalError):
    """Training diverged: its loss is not finite or became far too large (exit status 1)."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory could not be allocated; on the CPU, torch raises a bare RuntimeError."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = ("can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def sentence_of(error: BaseException) -> str | None:
    """Return the sentence that tells a user of an error, or None if it is an error in this program.

    It tells of `OpticalError`, of errors of the operating system, such as a name that is too long, and of
    memory that cannot be allocated.
    """
    if isinstance(error, OpticalError):
        return str(error)
    if isinstance(error, OSError):
        return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
    if is_out_of_memory(error):
        return "there is not enough memory; end other programs, or ask for less at a time"
    return None


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """Return `` (did you mean 'x'?)`` for the known name most similar to `word`, or an empty string."""
    import difflib

    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""
