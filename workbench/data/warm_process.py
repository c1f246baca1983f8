"""The client of the warm process, which encodes and searches for the app; the app itself imports no torch.

Screens use it through `workbench.shell.warm_requests.WarmRequests`. Requests are answered one after another,
in the order in which they were sent. The operations and their parameters are those of
`engine.serving.records`; paths are text.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from queue import SimpleQueue
from typing import IO, Any

from engine.jobs.child import child_environment, python_command

COMMAND = tuple(python_command("engine.cli", "serve"))
"""The command line of the process."""

_SECONDS_TO_END = 2.0


@dataclass(frozen=True)
class Reply:
    """A reply to a request: its progress, its result, or an error.

    Attributes
    ----------
    id : int
        The number of the request.
    progress : str
        What is being done.
    done, total : int
        How many parts are done, where parts are counted.
    result : object
        The result, decoded from JSON.
    error : str
        Why there is no result, as one sentence.
    """

    id: int
    progress: str = ""
    done: int = 0
    total: int = 0
    result: Any = None
    error: str = ""

    @property
    def last(self) -> bool:
        """Whether no other reply to the same request follows."""
        return bool(self.error) or not self.progress


OnReply = Callable[[Reply], None]


@dataclass
class _Pending:
    """A request without its last reply, and the process that it was sent to."""

    on_reply: OnReply
    process: subprocess.Popen[bytes] | None = None


class WarmProcess:
    """A process that is started at the first request, and again at the first request after it died.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments. It reads requests as lines of JSON and writes replies.
    """

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self.command = list(command)
        self._numbers = count(1)
        self._lines: SimpleQueue[tuple[int, str] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._pending: dict[int, _Pending] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: threading.Thread | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def request(self, op: str, on_reply: OnReply, **parameters: Any) -> int:
        """Send a request and return its number at once.

        Parameters
        ----------
        op : str
            The operation.
        on_reply : callable
            Called in another thread with every `Reply`. The last one has a result or an error, also when the
            process cannot be started or dies.
        **parameters : object
            The parameters of the operation.
        """
        number = next(self._numbers)
        with self._lock:
            if self._closed:
                return number
            self._pending[number] = _Pending(on_reply)
            if self._writer is None:
                # A daemon thread: a pipe that is not read must not keep the app from ending.
                self._writer = threading.Thread(target=self._write, name="worker-writer", daemon=True)
                self._writer.start()
                atexit.register(self.close)
        self._lines.put((number, json.dumps({"id": number, "op": op, **parameters})))
        return number

    def cancel(self, number: int | None) -> None:
        """Cancel a request that is unanswered; `on_reply` is not called for it any more."""
        with self._lock:
            cancelled = None if number is None else self._pending.pop(number, None)
        if number is not None and cancelled is not None and cancelled.process is not None:
            self._lines.put((0, json.dumps({"id": number, "op": "cancel"})))

    def close(self) -> None:
        """End the process and drop unanswered requests. Takes two seconds at most."""
        with self._lock:
            self._closed = True
            self._pending.clear()
            process, self._process = self._process, None
        self._lines.put(None)
        atexit.unregister(self.close)
        if process is not None:
            _end(process)

    # -- in the writer's thread -------------------------------------------------------------------

    def _write(self) -> None:
        while (item := self._lines.get()) is not None:
            number, line = item
            process = self._process
            if process is None or process.poll() is not None:
                process = self._start() if number in self._pending else None
            if process is None or process.stdin is None:
                continue
            with self._lock:
                if number:
                    if number not in self._pending:  # cancelled before it was sent
                        continue
                    self._pending[number].process = process
            try:
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
            except OSError:
                self._fail("the search process ended; the next request starts it again", process)

    def _start(self) -> subprocess.Popen[bytes] | None:
        errors = tempfile.TemporaryFile()  # noqa: SIM115  (the reader's thread closes it)
        try:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=child_environment(),
            )
        except OSError as error:
            errors.close()
            self._fail(f"the search process cannot be started: {error.strerror or error}", None)
            return None
        threading.Thread(target=self._read, args=(process, errors), name="worker-reader", daemon=True).start()
        with self._lock:
            closed = self._closed
            self._process = None if closed else process
        if closed:
            _end(process)
            return None
        return process

    # -- in the reader's thread, one for each process ----------------------------------------------

    def _read(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        with errors:
            for line in process.stdout or ():
                with suppress(ValueError, TypeError):
                    self._deliver(Reply(**json.loads(line)))
            reason = _exit_reason(process.wait(), errors)
            self._fail(f"the search process ended ({reason}); the next request starts it again", process)

    def _deliver(self, reply: Reply) -> None:
        with self._lock:
            pending = self._pending.pop(reply.id, None) if reply.last else self._pending.get(reply.id)
        if pending is not None:
            pending.on_reply(reply)

    def _fail(self, sentence: str, process: subprocess.Popen[bytes] | None) -> None:
        """Answer the requests that were sent to `process` (None: not sent to any yet) with an error."""
        with self._lock:
            lost = {number: item for number, item in self._pending.items() if item.process is process}
            for number in lost:
                del self._pending[number]
        for number, item in lost.items():
            item.on_reply(Reply(number, error=sentence))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End `process` and wait for its end, so that it does not outlive the app."""
    process.terminate()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _exit_reason(code: int, errors: IO[bytes]) -> str:
    """Return why a process ended, from its exit code and the last line that it wrote to stderr."""
    if code < 0:
        return f"signal {-code}, perhaps out of memory" if code == -9 else f"signal {-code}"
    errors.seek(max(0, errors.seek(0, 2) - 2000))
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {code}"
