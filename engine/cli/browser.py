"""The app in a browser: textual-serve, behind a secret.

Whoever reaches the app can start runs and write files. A web page of another site and other users of this
machine can reach a port of this machine, so each request needs the secret that the address holds. The browser
keeps it in a cookie that it sends to this server only.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import socket
from asyncio.subprocess import PIPE, Process

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from engine.jobs.child import child_environment, python_command

_LARGEST = 1000  # columns and lines of a terminal
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws://{host}; frame-ancestors 'none'"
)
#: Variables of the terminal in which the server runs, which is not that of the app.
_NOT_HANDED_ON = ("TMUX", "STY", "VTE_VERSION", "PYTHONPATH")


class AppProcess(AppService):
    """The process of the app for one tab of a browser."""

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        environment = super()._build_environment(width=width, height=height)
        for name in _NOT_HANDED_ON:
            environment.pop(name, None)
        kept = {name: value for name, value in child_environment().items() if name not in os.environ}
        path = child_environment().get("PYTHONPATH")
        environment |= {**kept, **({"PYTHONPATH": path} if path else {})}
        return {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"}

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        """Start the app without a shell."""
        self._process = await asyncio.create_subprocess_exec(
            *python_command("workbench"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=self._build_environment(width, height),
        )
        self._stdin = self._process.stdin
        return self._process


class BrowserServer(Server):
    """Serves the app on a socket.

    Parameters
    ----------
    listening : socket
        The socket to accept connections on.
    host : str
        Its address, as it is written in a URL.
    port : int
        Its port.

    Attributes
    ----------
    address : str
        The URL to open, with the secret.
    """

    def __init__(self, listening: socket.socket, host: str, port: int) -> None:
        super().__init__("", host=host, port=port, title="Optical Workbench")
        self._listening = listening
        self._secret = secrets.token_urlsafe(24)
        self._cookie = f"optical-workbench-{port}"  # cookies do not distinguish ports
        self.address = f"{self.public_url}/?secret={self._secret}"

    def serve(self, debug: bool = False) -> None:
        """Serve until SIGINT or SIGTERM."""
        web.run_app(self._make_app(), sock=self._listening, print=None, access_log=None)

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard())
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing; the command has printed the address."""

    def _guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            given = request.query.get("secret")
            if given is not None and self._is_secret(given):
                response: web.StreamResponse = web.Response(status=303, headers={"Location": "/"})
                response.set_cookie(self._cookie, self._secret, httponly=True, samesite="Strict")
            elif not self._is_secret(request.cookies.get(self._cookie, "")):
                raise web.HTTPForbidden(text="Open the address that `optical-workbench web` printed.\n")
            elif request.headers.get("Origin", f"http://{request.host}") != f"http://{request.host}":
                raise web.HTTPForbidden(text="Another site asked for this.\n")
            else:
                response = await handler(request)
            if not response.prepared:
                response.headers["Content-Security-Policy"] = _POLICY.format(host=request.host)
                response.headers["Referrer-Policy"] = "no-referrer"
                response.headers["Cache-Control"] = "no-store"
            return response

        return guard

    def _is_secret(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._secret.encode())

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """Return the page. Its links have the name by which the browser reached this server."""
        self.public_url = f"http://{request.host}"
        page: web.StreamResponse = await super().handle_index(request)
        return page

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Start an app, and pass on what it paints and what the user types, until one of them ends."""
        websocket = web.WebSocketResponse(heartbeat=15)
        await websocket.prepare(request)
        width, height = (
            min(max(to_int(request.query.get(name, ""), default), 1), _LARGEST)
            for name, default in (("width", 80), ("height", 24))
        )
        process = AppProcess(
            "",
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=websocket.close,  # type: ignore[arg-type]
            download_manager=self.download_manager,
        )
        await process.start(width, height)
        try:
            await self._process_messages(websocket, process)
        finally:
            await process.stop()
        return websocket
