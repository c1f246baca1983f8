"""Requests and replies as lines of JSON: each input line is a request, each output line a reply.

A request is ``{"id": 1, "op": "search", ...}`` with the parameters of the operation. Its replies have the
same ``id``. Any number of them have ``progress`` (a sentence, with ``done`` and ``total`` where parts are
counted); the last one has either ``result`` or ``error`` (a sentence). ``{"id": 1, "op": "cancel"}`` cancels
request 1, whether it is waiting or running; its last reply is then the error ``cancelled``. To cancel a
request that was answered, or that there never was, does nothing. When the input ends, the process answers the
waiting requests and ends.
"""

from __future__ import annotations

import gc
import json
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from queue import SimpleQueue
from typing import Any

from engine.errors import InputError, OpticalError, nearest, sentence_of
from engine.reporting import Reporter
from engine.results.metrics_log import to_json

#: An operation takes a request's parameters and a reporter, and returns a value for JSON.
Operation = Callable[[Mapping[str, Any], Reporter], Any]

LONGEST_LINE = 1 << 20
LOADING_SECONDS = 1.0
"""A request with more CPU time than this has probably loaded an encoder or documents that are kept."""

_PROGRESS_SECONDS = 0.1


class Cancelled(OpticalError):
    """The client cancelled the request."""


class Server:
    """Answers requests in their order. A thread reads them, so that a running request can be cancelled.

    Parameters
    ----------
    operations : mapping of name to Operation
    write : callable
        Takes each line of output, without the newline.
    """

    def __init__(self, operations: Mapping[str, Operation], write: Callable[[str], None]) -> None:
        self.operations = operations
        self._write = write
        self._requests: SimpleQueue[tuple[int, Mapping[str, Any]] | InputError | None] = SimpleQueue()
        self._cancelled: set[int] = set()
        self._open: set[int] = set()

    def serve(self, lines: Iterable[str]) -> None:
        """Answer the requests in `lines` until they end."""
        threading.Thread(target=self._read, args=(lines,), name="requests", daemon=True).start()
        while (request := self._requests.get()) is not None:
            if isinstance(request, InputError):
                self.reply(None, error=str(request))
            else:
                begun = time.process_time()
                self._answer(*request)
                if time.process_time() - begun > LOADING_SECONDS:
                    _freeze_garbage_collector()

    def reply(self, identity: int | None, **content: Any) -> None:
        """Write one reply."""
        # In ASCII, neither the encoding of the pipe nor an unpaired surrogate can break a line.
        self._write(json.dumps(to_json({"id": identity, **content}), allow_nan=False))

    def check(self, identity: int) -> None:
        """Raise `Cancelled` if the client cancelled the request."""
        if identity in self._cancelled:
            raise Cancelled("cancelled")

    def _read(self, lines: Iterable[str]) -> None:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                identity, request = parse(line)
            except InputError as error:
                self._requests.put(InputError(f"line {number}: {error}"))
                continue
            if request.get("op") == "cancel":
                if identity in self._open:  # otherwise it was answered meanwhile, or there was none
                    self._cancelled.add(identity)
            else:
                self._open.add(identity)
                self._requests.put((identity, request))
        self._requests.put(None)

    def _answer(self, identity: int, request: Mapping[str, Any]) -> None:
        try:
            name = request.get("op")
            if not isinstance(name, str) or name not in self.operations:
                known = list(self.operations)
                guess = nearest(name, known) if isinstance(name, str) else ""
                raise InputError(f"there is no operation {name!r}{guess}; choose from {', '.join(known)}")
            self.check(identity)
            parameters = {key: value for key, value in request.items() if key not in ("id", "op")}
            result = self.operations[name](parameters, _Progress(self, identity))
        except BrokenPipeError:
            raise
        except Exception as error:  # no error may end the process and its loaded encoders
            sentence = sentence_of(error)
            if sentence is None:  # an error in this program
                traceback.print_exc()
                first = (str(error).strip() or "no reason given").splitlines()[0]
                sentence = f"{type(error).__name__}: {first}"
            self.reply(identity, error=sentence)
        else:
            self.reply(identity, result=result)
        self._open.discard(identity)
        self._cancelled.discard(identity)


def _freeze_garbage_collector() -> None:
    """Exclude loaded objects from garbage collection, because traversing them takes longer than a query.

    Objects that were excluded before and are no longer used, such as a replaced encoder, are freed first.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def parse(line: str) -> tuple[int, Mapping[str, Any]]:
    """Return the number and the content of a request.

    Raises
    ------
    InputError
        If `line` is not a request.
    """
    if len(line) > LONGEST_LINE:
        raise InputError(f"a request of {len(line):,} characters is too long; send at most {LONGEST_LINE:,}")
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"a request must be an object in JSON ({error})") from error
    if not isinstance(request, dict):
        raise InputError('a request must be an object in JSON, such as {"id": 1, "op": "search"}')
    identity = request.get("id")
    if not isinstance(identity, int) or isinstance(identity, bool):
        raise InputError(f"a request needs a whole number as its id, not {identity!r}")
    return identity, request


class _Progress(Reporter):
    """Sends progress to the client, and raises `Cancelled` once the client cancelled the request."""

    def __init__(self, server: Server, identity: int) -> None:
        self.server, self.identity = server, identity
        self.name, self.total, self.done = "", 0, 0
        self._last = 0.0

    def say(self, sentence: str) -> None:
        self.server.check(self.identity)
        self.server.reply(self.identity, progress=sentence)

    def stage(self, name: str, total: int) -> None:
        self.name, self.total, self.done = name, total, 0
        self._last = 0.0
        self.advance(0)

    def advance(self, parts: int = 1) -> None:
        self.server.check(self.identity)
        self.done += parts
        now = time.monotonic()
        if now - self._last >= _PROGRESS_SECONDS or self.done >= self.total:
            self._last = now
            self.server.reply(self.identity, progress=self.name, done=self.done, total=self.total)
