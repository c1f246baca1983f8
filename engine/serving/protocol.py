"""Requests and replies as lines of JSON: one request a line in, one or more replies a line out.

A request is ``{"id": 1, "op": "search", ...}`` with the operation's parameters beside. Its replies bear the
same ``id`` and hold ``progress`` (a sentence, with ``done`` and ``total`` where parts are counted), then once
either ``result`` or ``error`` (a sentence). ``{"id": 1, "op": "cancel"}`` gives request 1 up, waiting or
under way; it then ends with the error ``cancelled``. The end of the input ends the process, once all is
answered.
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

from engine.errors import InputError, OpticalError, nearest
from engine.reporting import Reporter
from engine.results.metrics_log import to_json

#: An operation takes a request's parameters and a reporter, and returns what JSON can say.
Operation = Callable[[Mapping[str, Any], Reporter], Any]

LONGEST_LINE = 1 << 20
LOADING_SECONDS = 1.0
"""A request that computed longer than this has loaded something that will stay."""

_PROGRESS_SECONDS = 0.1


class Cancelled(OpticalError):
    """The request was given up by whoever made it."""


class Server:
    """Answers requests one after another; they are read in a thread, so that they can be cancelled.

    Parameters
    ----------
    operations : mapping of name to Operation
    write : callable
        Takes each line of the output, without its end.
    """

    def __init__(self, operations: Mapping[str, Operation], write: Callable[[str], None]) -> None:
        self.operations = operations
        self._write = write
        self._requests: SimpleQueue[tuple[int, Mapping[str, Any]] | InputError | None] = SimpleQueue()
        self._cancelled: set[int] = set()

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
                    _set_aside()

    def reply(self, identity: int | None, **content: Any) -> None:
        """Write one reply."""
        # ASCII, so that no encoding of the pipe and no half of a surrogate pair can break a line.
        self._write(json.dumps(to_json({"id": identity, **content}), allow_nan=False))

    def check(self, identity: int) -> None:
        """Raise `Cancelled` if the request was given up."""
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
                self._cancelled.add(identity)
            else:
                self._requests.put((identity, request))
        self._requests.put(None)

    def _answer(self, identity: int, request: Mapping[str, Any]) -> None:
        try:
            name = request.get("op")
            if not isinstance(name, str) or name not in self.operations:
                known = list(self.operations)
                guess = nearest(name, known) if isinstance(name, str) else ""
                raise InputError(f"there is no operation {name!r}{guess}; there are {', '.join(known)}")
            self.check(identity)
            parameters = {key: value for key, value in request.items() if key not in ("id", "op")}
            result = self.operations[name](parameters, _Told(self, identity))
        except (OpticalError, MemoryError) as error:
            self.reply(identity, error=str(error) or "the answer does not fit into memory")
        except (BrokenPipeError, KeyboardInterrupt):
            raise
        except Exception as error:  # a mistake of ours must not take the warm encoders with it
            traceback.print_exc()
            first = (str(error).strip() or "no reason given").splitlines()[0]
            self.reply(identity, error=f"{type(error).__name__}: {first}")
        else:
            self.reply(identity, result=result)
        self._cancelled.discard(identity)


def _set_aside() -> None:
    """Keep the garbage collector from what was loaded: looking through it takes longer than a query.

    What was set aside before and is gone since, such as an encoder that made room for another, is freed.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def parse(line: str) -> tuple[int, Mapping[str, Any]]:
    """Return a request's number and content.

    Raises
    ------
    InputError
        If `line` is no request.
    """
    if len(line) > LONGEST_LINE:
        raise InputError(f"a request of {len(line):,} characters is too long")
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"a request is an object in JSON ({error})") from error
    if not isinstance(request, dict):
        raise InputError('a request is an object in JSON, such as {"id": 1, "op": "search"}')
    identity = request.get("id")
    if not isinstance(identity, int) or isinstance(identity, bool):
        raise InputError(f"a request needs a whole number as its id, not {identity!r}")
    return identity, request


class _Told(Reporter):
    """Sends progress to whoever asked, and notices that the request was given up."""

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
