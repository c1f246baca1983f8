"""Downloading files over HTTP: resumed, verified, limited in size, and in place only when complete.

A file is written as ``NAME.part`` next to its final path, together with ``NAME.part.json``, which holds the
version that the server gave. An interrupted download continues where it stopped, in the same call or in the
next one, if the server still has the same version. Finally the checksum is verified, if one is published.
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
from email.message import Message
from pathlib import Path
from typing import IO, Any

from engine.atomic import move
from engine.errors import BusyError, InputError, OpticalError
from engine.extensions.published import PublishedFile

ATTEMPTS = 4
"""Number of connections for one file before giving up. Each continues where the previous one stopped."""

REDIRECTS = 5
"""Number of redirections that are followed for one connection."""

TIMEOUT = 30.0
"""Seconds without data after which a connection counts as broken."""

PAUSE = 1.0
"""Seconds before the second connection; the pause doubles with each further one."""

_CHUNK = 1 << 18
_USER_AGENT = "optical-workbench"

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes received, and the total number of bytes if it is known."""


class _Broken(Exception):
    """A connection ended early; another attempt may succeed."""


def fetch(published: PublishedFile, place: Path, progress: Progress | None = None) -> Path:
    """Download a file to `place`, unless it exists there already.

    Parameters
    ----------
    published : PublishedFile
    place : path
        Path of the file after the download.
    progress : callable, optional
        Called with the number of bytes received and the total, if known.

    Returns
    -------
    path
        `place`.

    Raises
    ------
    OpticalError
        If the server cannot be reached, does not have the file, or sends another file than the published one.
        The part that was received is kept for the next call, unless it is wrong.
    InputError
        If the address is neither https nor http, or `place` cannot be written.
    BusyError
        If another process is downloading the same file.
    """
    _check_scheme(published.address)
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
        if place.exists():  # another process has just finished it
            part.unlink(missing_ok=True)
            return place
        try:
            _download(published, file, part, progress or (lambda here, total: None))
            _verify(published, part)
            move(part, place)
            _version_file(part).unlink(missing_ok=True)
        finally:
            if part.exists() and not part.stat().st_size:  # there is nothing to continue from
                _delete(part)
    return place


def _download(published: PublishedFile, file: IO[bytes], part: Path, progress: Progress) -> None:
    """Complete the partial file, with several connections if necessary."""
    reason = ""
    attempt = 0
    while attempt < ATTEMPTS:
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        before = file.tell()
        try:
            _connect(published, file, part, progress)
            return
        except urllib.error.HTTPError as error:
            error.close()
            if 300 <= error.code < 400:
                raise OpticalError(
                    f"{published.address}: it redirects more than {REDIRECTS} times; {_by_hand(part)}"
                ) from error
            if error.code < 500 and error.code not in (408, 429):
                raise OpticalError(
                    f"{published.address}: the server answers {error.code} ({error.reason}); "
                    f"the file may have moved: {_by_hand(part)}"
                ) from error
            reason = f"it answers {error.code} ({error.reason})"
        except urllib.error.URLError as error:
            reason = _reason(error.reason)
        except (_Broken, http.client.HTTPException, OSError) as error:
            reason = _reason(error)
        # A connection that received data is not a failed attempt, since slow connections break often.
        attempt = 1 if file.tell() > before else attempt + 1
    host = urllib.parse.urlsplit(published.address).hostname
    got = f" after {file.tell():,} bytes, which the next fetch continues from" if file.tell() else ""
    what = "closes the connection" if got else "cannot be reached"
    raise OpticalError(f"{published.address}: {host} {what}{got} ({reason}); {_by_hand(part)}")


def _by_hand(part: Path) -> str:
    place = part.with_suffix("")
    return f"download {place.name} by other means and put it into {place.parent}"


def _connect(published: PublishedFile, file: IO[bytes], part: Path, progress: Progress) -> None:
    """Make one connection and append what it sends."""
    file.seek(0, 2)
    start = file.tell()
    known = _recorded_version(part)
    validator = known.get("validator", "")
    if start and not (validator or published.checksum):
        start = _restart(file)  # a changed file could not be detected
    request = urllib.request.Request(published.address, headers={"User-Agent": _USER_AGENT})
    request.add_header("Accept-Encoding", "identity")  # a compressed response has neither ranges nor a length
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
            raise _Broken("the part that was received does not belong to the server's file") from error
        raise
    with answer:
        total = _total(published, answer.status, answer.headers, start)
        if answer.status == 206:
            begin = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
            if not start or begin is None or int(begin[1]) != start:
                _restart(file)
                raise _Broken("the server sends another part than the requested one")
        elif start:
            start = _restart(file)
        _record_version(part, answer.headers)
        _check_disk_space(part, total, start)
        progress(start, total)
        _append(published, answer, file, start, total, progress)


def _append(
    published: PublishedFile, answer: Any, file: IO[bytes], here: int, total: int | None, progress: Progress
) -> None:
    try:
        while chunk := answer.read(_CHUNK):
            here += len(chunk)
            if here > (total if total is not None else published.limit):
                _restart(file)
                raise OpticalError(
                    f"{published.address}: the server sends more than {total or published.limit:,} bytes, "
                    "the largest size of the file; it is not kept"
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
        raise _Broken(f"the connection ended after {here:,} of {total:,} bytes")


def _total(published: PublishedFile, status: int, headers: Message, start: int) -> int | None:
    """Return the total number of bytes of the file, if the server gives it."""
    length = headers.get("Content-Length", "")
    if headers.get("Content-Encoding", "identity") != "identity" or not length.isdecimal():
        return None
    total = int(length) + (start if status == 206 else 0)
    if total > published.limit:
        size = f"; {published.size:,} bytes were published" if published.size else ""
        raise OpticalError(
            f"{published.address}: the server's file has {total:,} bytes, more than the limit of "
            f"{published.limit:,}{size}; it is not fetched"
        )
    return total


def _verify(published: PublishedFile, part: Path) -> None:
    """Raise an error if the complete file is not the published one, and delete it."""
    if not published.checksum:
        return
    method, _, digest = published.checksum.partition(":")
    with part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(method, usedforsecurity=False)).hexdigest()
    if found != digest:
        _delete(part)
        raise OpticalError(
            f"{published.address}: the {method.upper()} checksum of the received file is {found} and not the "
            f"published {digest}, so it is not kept; fetch it again, or download it by other means"
        )


def _check_disk_space(part: Path, total: int | None, start: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        raise OpticalError(
            f"{part.parent}: the disk has {free:,} bytes left and the file needs {total - start:,} more"
        )


def _restart(file: IO[bytes]) -> int:
    file.truncate(0)
    file.seek(0)
    return 0


def _delete(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _version_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _record_version(part: Path, headers: Message) -> None:
    """Record the version of the server's file; a weak ETag does not identify it."""
    tag = headers.get("ETag", "")
    validator = tag if tag.startswith('"') else headers.get("Last-Modified", "")
    _version_file(part).write_text(json.dumps({"validator": validator}), "utf-8")


def _recorded_version(part: Path) -> dict[str, str]:
    try:
        known = json.loads(_version_file(part).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    text = known.get("validator") if isinstance(known, dict) else None
    # It becomes a header, so it must be a single line.
    return {"validator": text} if isinstance(text, str) and text.isprintable() else {}


def _reason(reason: object) -> str:
    if isinstance(reason, TimeoutError | socket.timeout):
        return f"no data for {TIMEOUT:.0f} seconds"
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)


# -- which servers ----------------------------------------------------------------------------------


def _check_scheme(address: str) -> None:
    scheme = urllib.parse.urlsplit(address).scheme
    if scheme not in ("https", "http"):
        raise InputError(f"{address}: only https and http addresses are fetched, not {scheme or 'a path'}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirections to https or http addresses, and none from https to http."""

    max_redirections = REDIRECTS

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any
    ) -> Any:
        """Open the address that the server redirects to."""
        address = urllib.parse.urljoin(req.full_url, headers.get("Location", ""))
        _check_scheme(address)
        if req.type == "https" and urllib.parse.urlsplit(address).scheme != "https":
            raise OpticalError(
                f"{req.full_url}: it redirects to the unencrypted {address}; it is not fetched"
            )
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for https and http only, with the proxies of the environment."""
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
