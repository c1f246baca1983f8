"""A file server whose answers a test controls."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from engine.datahome import download as fetching


@dataclass
class Site:
    """The files of a server, its behaviour, and the requests that it received.

    Attributes
    ----------
    files : dict of path to content
    cut : list of int
        For each of the next answers, the bytes after which the connection breaks.
    statuses : list of int
        Errors to answer next instead of the file.
    redirects : dict of path to address
    ranges, validator, length : bool
        Whether it serves parts of files, sends their versions, and sends their length.
    requests : list of (path, range asked for)
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    validator: bool = True
    length: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    port: int = 0

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append((self.path, self.headers.get("Range")))
            if site.statuses:
                self.send_error(site.statuses.pop(0))
            elif self.path in site.redirects:
                self.send_response(302)
                self.send_header("Location", site.redirects[self.path])
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif self.path not in site.files:
                self.send_error(404)
            else:
                self._serve(site.files[self.path])

        def _serve(self, content: bytes) -> None:
            tag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
            start = 0
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
            same = self.headers.get("If-Range") in (None, tag)
            if site.ranges and asked and same:
                start = int(asked[1])
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            if site.validator:
                self.send_header("ETag", tag)
            if site.length:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            rest = content[start:]
            self.wfile.write(rest[: site.cut.pop(0)] if site.cut else rest)
            self.close_connection = True

        def log_message(self, format: str, *values: object) -> None:
            pass

    return Handler


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server on this machine; there is no pause between connections."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(site))
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join()
