"""The warm process that encodes and searches for the app, which itself never imports torch.

Use, from a screen (one worker lives on the app, as `app.worker`)::

    def search(self) -> None:
        self.asked = self.app.worker.request("search", self.heard, results=..., run=..., text=...)

    def heard(self, reply: Reply) -> None:      # in another thread: post a message and nothing else
        self.post_message(self.Heard(reply))

    @on(Heard)
    def _heard(self, message: Heard) -> None:
        reply = message.reply
        if reply.id != self.asked:              # a stale one: something else was asked meanwhile
            return
        if not reply.last:
            self.show_status(reply.progress)
        elif reply.error:
            self.show_status(reply.error, "bad")
        else:
            self.show(reply.result)

Requests are answered one after another in the order in which they came; `cancel` gives one up, be it under
way or still waiting. Paths are given as text. The operations and their parameters are those of
`engine.serving.operations`.
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

#: The command line of the process.
COMMAND = tuple(python_command("engine.cli", "serve"))
_SECONDS_TO_END = 2.0


@dataclass(frozen=True)
class Reply:
    """A reply to request `id`: what is being done (`progress`), a `result`, or an `error` sentence.

    `done` of `total` parts are done, where there is something to count.
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
class _Waiting:
    """A request without its last reply, and the process that it was sent to."""

    on_reply: OnReply
    process: subprocess.Popen[bytes] | None = None


class WarmProcess:
    """A process that is started at the first request, and anew at the first one after it died.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments; it reads requests as lines of JSON and writes replies.
    """

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self.command = list(command)
        self._ids = count(1)
        self._lines: SimpleQueue[tuple[int, str] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: dict[int, _Waiting] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: threading.Thread | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The number of the process, None while there is none."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def request(self, op: str, on_reply: OnReply, **parameters: Any) -> int:
        """Ask for `op` and return the request's number at once.

        `on_reply` is called from another thread with every `Reply`, the last of which has a result or an
        error; also when the process cannot be started or dies.
        """
        identity = next(self._ids)
        with self._lock:
            if self._closed:
                return identity
            self._waiting[identity] = _Waiting(on_reply)
            if self._writer is None:
                # A daemon: a pipe that nobody reads must not keep the app from ending.
                self._writer = threading.Thread(target=self._write, name="worker-writer", daemon=True)
                self._writer.start()
                atexit.register(self.close)
        self._lines.put((identity, json.dumps({"id": identity, "op": op, **parameters})))
        return identity

    def cancel(self, identity: int | None) -> None:
        """Give up a request, if it is still unanswered; nothing more is heard of it."""
        with self._lock:
            given_up = None if identity is None else self._waiting.pop(identity, None)
        if identity is not None and given_up is not None and given_up.process is not None:
            self._lines.put((0, json.dumps({"id": identity, "op": "cancel"})))

    def close(self) -> None:
        """End the process; requests that are still unanswered are forgotten. Takes two seconds at most."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            process, self._process = self._process, None
        self._lines.put(None)
        atexit.unregister(self.close)
        if process is not None:
            _end(process)

    # -- in the writer's thread -------------------------------------------------------------------

    def _write(self) -> None:
        while (item := self._lines.get()) is not None:
            identity, line = item
            process = self._process
            if process is None or process.poll() is not None:
                process = self._start() if identity in self._waiting else None
            if process is None or process.stdin is None:
                continue
            with self._lock:
                if identity:
                    if identity not in self._waiting:  # given up before it was sent
                        continue
                    self._waiting[identity].process = process
            try:
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
            except OSError:
                self._fail("the search process ended; the next question starts it anew", process)

    def _start(self) -> subprocess.Popen[bytes] | None:
        errors = tempfile.TemporaryFile()  # noqa: SIM115  (its reader closes it)
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
            code = process.wait()
            reason = _reason(code, errors)
            self._fail(f"the search process ended ({reason}); the next question starts it anew", process)

    def _deliver(self, reply: Reply) -> None:
        with self._lock:
            request = self._waiting.pop(reply.id, None) if reply.last else self._waiting.get(reply.id)
        if request is not None:
            request.on_reply(reply)

    def _fail(self, sentence: str, process: subprocess.Popen[bytes] | None) -> None:
        """Answer all that was sent to `process` (None: all that was not sent yet) with `sentence`."""
        with self._lock:
            lost = {key: item for key, item in self._waiting.items() if item.process is process}
            for identity in lost:
                del self._waiting[identity]
        for identity, item in lost.items():
            item.on_reply(Reply(identity, error=sentence))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End `process` and wait for it, so that no orphan is left."""
    process.terminate()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _reason(code: int, errors: IO[bytes]) -> str:
    """Return why a process ended, from its exit code and its last line on stderr."""
    if code < 0:
        return f"signal {-code}, perhaps for want of memory" if code == -9 else f"signal {-code}"
    errors.seek(max(0, errors.seek(0, 2) - 2000))
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {code}"
