"""Fetching published files over HTTP: resumed, verified, bounded, and in place only when complete.

A file grows as ``NAME.part`` beside its place, with what the server said of it in ``NAME.part.json``. A
broken connection is taken up again where it broke, by the same call and by the next one, if the server still
has the same file; a checksum decides in the end where one is published.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import re
import shutil
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from engine.errors import BusyError, InputError, OpticalError

LARGEST = 20_000_000_000
"""Bytes that a file whose size is not published may have."""

ATTEMPTS = 4
"""Connections made for one file before giving up, each going on where the last one broke."""

REDIRECTS = 5
"""Redirections followed for one connection."""

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""

PAUSE = 1.0
"""Seconds before the second connection; the pause doubles each time."""

_CHUNK = 1 << 18
_USER_AGENT = "optical-workbench"

Progress = Callable[[int, int | None], None]
"""Hears how many bytes of a file are here, and how many it has in all if that is known."""


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes
    ----------
    address : str
        Where it is published, by https or http.
    path : str
        Its place in its dataset's folder; for an archive the folder that it is unpacked to, empty for the
        dataset's own.
    language : str
        The code of the language it belongs to; empty if it belongs to all.
    size : int
        Its bytes as published; 0 if that is not known.
    checksum : str
        ``sha256:`` or ``md5:`` and the digest in hexadecimal digits; empty if none is published.
    archive : bool
        Whether it is an archive to unpack.
    """

    address: str
    path: str
    language: str = ""
    size: int = 0
    checksum: str = ""
    archive: bool = False

    @property
    def limit(self) -> int:
        """Bytes that it may have: a tenth more than published, since people mend files, or `LARGEST`."""
        return self.size + self.size // 10 + 1_000_000 if self.size else LARGEST


class _Broken(Exception):
    """A connection that ended early; trying again may help."""


def fetch(remote: RemoteFile, place: Path, progress: Progress | None = None) -> Path:
    """Fetch a file to `place`, unless it is there already.

    Raises
    ------
    OpticalError
        If the server cannot be reached, does not have the file, or sends another than was published. What
        came of it so far is kept for the next call, unless it is wrong.
    InputError
        If the address is neither https nor http.
    BusyError
        If another process is fetching the same file.
    """
    _check_scheme(remote.address)
    if place.exists():
        return place
    part = place.with_name(place.name + ".part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("ab")
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror}); name another data home", path=part
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{part}: another process is fetching this file; wait for it") from error
        if place.exists():  # by a process that has just finished
            part.unlink(missing_ok=True)
            return place
        try:
            _download(remote, file, part, progress or (lambda here, total: None))
            _verify(remote, part)
            part.rename(place)
            _memory(part).unlink(missing_ok=True)
        finally:
            if part.exists() and not part.stat().st_size:  # nothing to go on from
                _forget(part)
    return place


def _download(remote: RemoteFile, file: IO[bytes], part: Path, progress: Progress) -> None:
    """Bring the part file to its full length, over several connections if need be."""
    reason = ""
    attempt = 0
    while attempt < ATTEMPTS:
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        before = file.tell()
        try:
            _connect(remote, file, part, progress)
            return
        except urllib.error.HTTPError as error:
            error.close()
            if 300 <= error.code < 400:
                raise OpticalError(
                    f"{remote.address}: it redirects more than {REDIRECTS} times; {_by_hand(part)}"
                ) from error
            if error.code < 500 and error.code not in (408, 429):
                raise OpticalError(
                    f"{remote.address}: the server answers {error.code} ({error.reason}); "
                    f"it may have moved: {_by_hand(part)}"
                ) from error
            reason = f"it answers {error.code} ({error.reason})"
        except urllib.error.URLError as error:
            reason = _why(error.reason)
        except (_Broken, http.client.HTTPException, OSError) as error:
            reason = _why(error)
        # A connection that brought something is no failed attempt: slow lines break often.
        attempt = 1 if file.tell() > before else attempt + 1
    host = urllib.parse.urlsplit(remote.address).hostname
    got = f" after {file.tell():,} bytes, which the next fetch goes on from" if file.tell() else ""
    what = "breaks off" if got else "cannot be reached"
    raise OpticalError(f"{remote.address}: {host} {what}{got} ({reason}); {_by_hand(part)}")


def _by_hand(part: Path) -> str:
    place = part.with_suffix("")
    return f"get {place.name} by other means and put it into {place.parent}"


def _connect(remote: RemoteFile, file: IO[bytes], part: Path, progress: Progress) -> None:
    """Make one connection and append what it brings."""
    file.seek(0, 2)
    start = file.tell()
    known = _remembered(part)
    validator = known.get("validator", "")
    if start and not (validator or remote.checksum):
        start = _restart(file)  # nothing would tell a changed file from this one
    request = urllib.request.Request(remote.address, headers={"User-Agent": _USER_AGENT})
    request.add_header("Accept-Encoding", "identity")  # a packed stream has no ranges and no length
    if start:
        request.add_header("Range", f"bytes={start}-")
        if validator:
            request.add_header("If-Range", validator)
    try:
        answer = _opener().open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:
            size = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
            if size and int(size[1]) == start:
                error.close()
                return
            _restart(file)
            raise _Broken("what is here already does not fit the server's file") from error
        raise
    with answer:
        total = _total(remote, answer.status, answer.headers, start)
        if answer.status == 206:
            begin = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
            if not start or begin is None or int(begin[1]) != start:
                _restart(file)
                raise _Broken("the server sends another part than was asked for")
        elif start:
            start = _restart(file)
        _remember(part, answer.headers)
        _check_room(part, total, start)
        progress(start, total)
        _append(remote, answer, file, start, total, progress)


def _append(
    remote: RemoteFile, answer: Any, file: IO[bytes], here: int, total: int | None, progress: Progress
) -> None:
    try:
        while chunk := answer.read(_CHUNK):
            here += len(chunk)
            if here > (total if total is not None else remote.limit):
                _restart(file)
                raise OpticalError(
                    f"{remote.address}: the server sends more than the {total or remote.limit:,} bytes that "
                    "the file should have at most; it is not kept"
                )
            try:
                file.write(chunk)
                file.flush()
            except OSError as error:
                raise OpticalError(f"{file.name}: cannot be written ({error.strerror})") from error
            progress(here, total)
    finally:
        answer.close()
    if total is not None and here < total:
        raise _Broken(f"the connection broke off after {here:,} of {total:,} bytes")


def _total(remote: RemoteFile, status: int, headers: Message, start: int) -> int | None:
    """Return how many bytes the file has in all, if the server says so."""
    length = headers.get("Content-Length", "")
    if headers.get("Content-Encoding", "identity") != "identity" or not length.isdecimal():
        return None
    total = int(length) + (start if status == 206 else 0)
    if total > remote.limit:
        stated = f"was published with {remote.size:,}" if remote.size else "should have less"
        raise OpticalError(
            f"{remote.address}: the server's file has {total:,} bytes and {stated} (the limit is "
            f"{remote.limit:,}); it is not fetched"
        )
    return total


def _verify(remote: RemoteFile, part: Path) -> None:
    """Raise if the finished file is not the published one, and forget it."""
    if not remote.checksum:
        return
    method, _, digest = remote.checksum.partition(":")
    with part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(method, usedforsecurity=False)).hexdigest()
    if found != digest:
        _forget(part)
        raise OpticalError(
            f"{remote.address}: the {method.upper()} checksum of what came is {found} and not {digest} as "
            "published, so it is not kept; fetch it again, or get it by other means if that does not help"
        )


def _check_room(part: Path, total: int | None, start: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        raise OpticalError(
            f"{part.parent}: the disk has {free:,} bytes left and {total - start:,} are to come"
        )


def _restart(file: IO[bytes]) -> int:
    file.truncate(0)
    file.seek(0)
    return 0


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _memory(part).unlink(missing_ok=True)


def _memory(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _remember(part: Path, headers: Message) -> None:
    """Note what tells the server's file from another of the same name; weak tags may not."""
    tag = headers.get("ETag", "")
    validator = tag if tag.startswith('"') else headers.get("Last-Modified", "")
    _memory(part).write_text(json.dumps({"validator": validator}), "utf-8")


def _remembered(part: Path) -> dict[str, str]:
    try:
        known = json.loads(_memory(part).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    text = known.get("validator") if isinstance(known, dict) else None
    # It goes into a header, so it is one line or nothing.
    return {"validator": text} if isinstance(text, str) and text.isprintable() else {}


def _why(reason: object) -> str:
    if isinstance(reason, TimeoutError | socket.timeout):
        return f"nothing came for {TIMEOUT:.0f} seconds"
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)


# -- which servers ----------------------------------------------------------------------------------


def _check_scheme(address: str) -> None:
    scheme = urllib.parse.urlsplit(address).scheme
    if scheme not in ("https", "http"):
        raise InputError(f"{address}: only https and http addresses are fetched, not {scheme or 'a path'}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirections, by https or http, and never from https down to http."""

    max_redirections = REDIRECTS

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any
    ) -> Any:
        """Open the address that the server names instead."""
        address = urllib.parse.urljoin(req.full_url, headers.get("Location", ""))
        _check_scheme(address)
        if req.type == "https" and urllib.parse.urlsplit(address).scheme != "https":
            raise OpticalError(
                f"{req.full_url}: it redirects to the unencrypted {address}; it is not fetched"
            )
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens https and http, through the proxies of the environment, and nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener
