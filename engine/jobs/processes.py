"""Start the processes that train a run together, and end all of them if one ends too early.

torchrun starts the same processes with the same variables, on several machines as well.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType

from engine.counted import counted
from engine.errors import InputError, OpticalError
from engine.jobs.child import child_environment

_GRACE = 120.0  # s; in which the first process records its end when another one has failed
_GRACE_OF_OTHERS = 3.0  # s; they have nothing to record


def check_count(count: int) -> None:
    """Check that this machine has a GPU, or else a CPU core, for each of `count` processes.

    Raises
    ------
    InputError
        If it has fewer.
    """
    import torch

    gpus = torch.cuda.device_count()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    known, what = (gpus, "GPU") if gpus else (cores, "CPU core")
    if count > known:
        raise InputError(
            f"--processes {count} is more than the {counted(known, what)} of this machine; lower it"
        )


def run_processes(argv: Sequence[str], count: int) -> int:
    """Run `count` processes until all have ended, and return the exit status of the first one.

    Signals that end a run go to the first process, which tells the others. If one process fails, the others
    are ended.

    Raises
    ------
    OpticalError
        If the first process was killed, or a process cannot be started.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    common = {
        **child_environment(),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // count))),
    }
    with ExitStack() as stack:
        started: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(count):
                ranks = {"RANK": str(number), "LOCAL_RANK": str(number)}
                # In sessions of their own, so that a terminal signals this process only.
                started.append(subprocess.Popen(list(argv), env={**common, **ranks}, start_new_session=True))
        except OSError as error:
            _end(started)
            reason = error.strerror or error
            raise OpticalError(f"process {number} of {count} cannot be started: {reason}") from error
        stack.enter_context(_forwarded(started[0]))
        _wait(started)
    code = started[0].returncode
    if code < 0:
        raise OpticalError(
            f"the first of {count} processes was killed by signal {-code}; resume the run, which goes on "
            "from the last saved state"
        )
    return code


def _wait(started: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait for all processes; end the others as soon as one has failed."""
    running = {process.pid: process for process in started}
    while running:
        # The one that ends first wakes this process.
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        process = running.pop(ended.si_pid, None)
        if process is None:  # not one of them
            os.waitpid(ended.si_pid, 0)
            continue
        if process.wait() != 0:
            _end(list(running.values()), _GRACE if process is not started[0] else _GRACE_OF_OTHERS)
            return


def _end(processes: Sequence[subprocess.Popen[bytes]], seconds: float = 0.0) -> None:
    """Give processes some seconds to end by themselves, and kill those that do not."""
    deadline = time.monotonic() + seconds
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
    for process in processes:
        process.wait()


@contextmanager
def _forwarded(first: subprocess.Popen[bytes]) -> Iterator[None]:
    """Send the signals that end a run to the first process."""

    def forward(number: int, frame: FrameType | None) -> None:
        first.send_signal(number)

    before = {
        number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
