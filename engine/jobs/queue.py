"""The queue of detached runs: one runs at a time, in the order in which they were started.

There is no daemon. A queued run is a process that holds the lock of its run folder and waits for another
lock, on the file ``turn``, which the run whose turn it is holds until its process ends. So a killed process
frees its place or the turn, and no process id is read. The folder ``runs/.queue`` has that file and
``order``, the ids of the runs that wait, one a line.
"""

from __future__ import annotations

import fcntl
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from engine.atomic import write_file
from engine.errors import InputError, OpticalError
from engine.jobs.state import state_of
from engine.results.run_facts import encoder_of
from engine.results.run_folder import RunFolder, is_run_id, read_record, run_folders

TAKEN_OUT = "it was taken out of the queue"
"""Why a queued run was stopped."""

LEAST_MEMORY = 1 << 31
"""A queued run starts when at least this many bytes of memory are available."""

_MEMORY_SECONDS = 1.0  # between two looks at the available memory, whose changes nobody announces
_PASS_SECONDS = 0.1  # in which the next run takes the lock that a later one took first

_held: set[int] = set()
"""The descriptor of the turn, while this process holds it."""


def waiting(runs: Path) -> list[str]:
    """Return the ids of the runs in the folder `runs` that wait for their turn, the next one first."""
    return [identity for identity in _order(runs) if state_of(runs / identity) == "queued"]


def places(runs: Path) -> dict[str, int]:
    """Return the place, counted from 1, of each run in the folder `runs` that waits for its turn, by id."""
    return {identity: place for place, identity in enumerate(waiting(runs), 1)}


def move(runs: Path, identity: str, *, first: bool = False) -> int:
    """Move a run up one place in the queue and return its place, counted from 1.

    Parameters
    ----------
    runs : Path
        The folder of run folders.
    identity : str
        The id of the run.
    first : bool
        Whether it moves to the first place instead.

    Raises
    ------
    InputError
        If it does not wait for its turn.
    OpticalError
        If the order cannot be written.
    """
    with _changing(runs) as order:
        if identity not in order:
            raise InputError(
                f"run {identity!r} is {state_of(runs / identity)}; it does not wait in the queue"
            )
        place = 0 if first else max(0, order.index(identity) - 1)
        order.remove(identity)
        order.insert(place, identity)
    return place + 1


@contextmanager
def turn(run: RunFolder, say: Callable[[str], object], told: Callable[[int], object]) -> Iterator[None]:
    """Wait for the turn of `run`, record that it runs, and hold the turn during the block.

    Parameters
    ----------
    run : RunFolder
        A run whose state is ``queued`` and whose process is the calling one.
    say : callable
        Called with a sentence that says what the run waits for, other than the turn.
    told : callable
        Called once, when the run has entered the queue: with its place, or with 0 if its turn came at once.

    Raises
    ------
    OpticalError
        If the queue's files cannot be written.
    KeyboardInterrupt
        If a signal ended the wait. The run is stopped then.
    """
    try:
        try:
            _wait(run, say, told)
        except KeyboardInterrupt:
            run.finish("stopped", TAKEN_OUT)
            raise
        except (OpticalError, OSError) as error:
            run.finish("failed", f"it could not wait in the queue: {error}")
            raise
        yield
    finally:
        _release()


def _wait(run: RunFolder, say: Callable[[str], object], told: Callable[[int], object]) -> None:
    runs = run.path.parent
    needed = memory_needed(run.record, runs)
    said = False

    def begin() -> bool:
        nonlocal said
        sentence = memory_lacks(needed)
        if sentence and not said:
            say(sentence)
            said = True
        return not sentence and _begin(run)

    place = _enter(run)
    begun = _take(runs, wait=False) and _is_next(run) and begin()
    told(0 if begun else place)
    while not begun:
        if not _held:
            _take(runs, wait=True)
        # Who waits for memory keeps the turn, so that the others sleep.
        while _is_next(run) and not (begun := begin()):
            time.sleep(_MEMORY_SECONDS)
        if not begun:
            _release()
            time.sleep(_PASS_SECONDS)


def memory_needed(record: dict[str, Any], runs: Path) -> int:
    """Return how many bytes of memory must be available before the queued run of `record` starts.

    It is what the run used at its peak before it was interrupted, or else what the newest finished run of
    the same kind and encoder used on this machine, but at least `LEAST_MEMORY`.
    """
    kind = (platform.node(), record["kind"], encoder_of(record))
    peak = _peak(record)
    for folder in () if peak else reversed(run_folders(runs)):
        with suppress(InputError):
            found = read_record(folder)
            if found["state"] == "finished" and (found["host"], found["kind"], encoder_of(found)) == kind:
                peak = _peak(found)
                break
    return max(LEAST_MEMORY, min(peak, int(0.9 * psutil.virtual_memory().total)))


def memory_lacks(needed: int) -> str:
    """Return a sentence if less than `needed` bytes of memory are available, otherwise ""."""
    available = psutil.virtual_memory().available
    if available >= needed:
        return ""
    return (
        f"waiting for memory: {available / 2**30:.1f} GiB are available, and it starts with "
        f"{needed / 2**30:.1f} GiB; `run --detach --now` does not wait"
    )


def _peak(record: dict[str, Any]) -> int:
    """Return the most memory in bytes that a run on the CPU used, as far as its record says, or 0."""
    peak = (record["summary"] or {}).get("peak_memory_bytes")
    return peak if isinstance(peak, int) and record["device"] in (None, "cpu") else 0


def _enter(run: RunFolder) -> int:
    with _changing(run.path.parent) as order:
        order[:] = [*(other for other in order if other != run.id), run.id]
        return len(order)


def _is_next(run: RunFolder) -> bool:
    return waiting(run.path.parent)[:1] in ([run.id], [])


def _begin(run: RunFolder) -> bool:
    """Record that `run` runs, and return whether it was still the next one."""
    with _changing(run.path.parent) as order:
        if order[:1] not in ([run.id], []):
            return False
        run.begin()
        del order[:1]
    return True


def _take(runs: Path, *, wait: bool) -> bool:
    """Take the turn; return False if another process has it and `wait` is false."""
    while True:
        file = _folder(runs) / "turn"
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # the folder was deleted meanwhile
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                _held.add(descriptor)
                return True
        except BlockingIOError:
            return False
        except FileNotFoundError:  # the file was deleted meanwhile
            pass
        finally:
            if descriptor not in _held:
                os.close(descriptor)


def _release() -> None:
    while _held:
        with suppress(OSError):
            os.close(_held.pop())


os.register_at_fork(after_in_child=_release)  # the turn stays the parent's


def _folder(runs: Path) -> Path:
    folder = runs / ".queue"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OpticalError(f"{folder}: the queue cannot be written: {error.strerror}") from error
    return folder


def _order(runs: Path) -> list[str]:
    try:
        lines = (runs / ".queue" / "order").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return list(dict.fromkeys(line for line in lines if is_run_id(line)))


@contextmanager
def _changing(runs: Path) -> Iterator[list[str]]:
    """Yield the order for the block to change; runs that do not wait any more have left it."""
    folder = _folder(runs)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        order = waiting(runs)
        yield order
        if order != _order(runs):
            write_file(folder / "order", "".join(f"{identity}\n" for identity in order).encode())
    finally:
        os.close(descriptor)
