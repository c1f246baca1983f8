"""The app in a browser: what is served, to whom, and the app behind the websocket."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("textual_serve")

from aiohttp import ClientSession, CookieJar, WSServerHandshakeError, web

from engine.cli.browser import AppProcess, BrowserServer
from engine.cli.commands import run


@asynccontextmanager
async def served() -> AsyncIterator[tuple[BrowserServer, ClientSession]]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = BrowserServer(listening, "127.0.0.1", listening.getsockname()[1])
    runner = web.AppRunner(await server._make_app())
    await runner.setup()
    await web.SockSite(runner, listening).start()
    try:
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:  # cookies of an IP address
            yield server, session
    finally:
        await runner.cleanup()


def test_nothing_is_served_without_the_secret() -> None:
    async def check() -> None:
        async with served() as (server, session):
            base = server.address.partition("?")[0]
            for path in ("", "ws", "static/js/textual.js", "?secret=", "?secret=wrong", "download/x"):
                async with session.get(base + path) as reply:
                    assert reply.status == 403, path
                    assert "optical-workbench web" in await reply.text()
            async with session.get(server.address) as reply:
                page = await reply.text()
                # the browser's address bar and history no longer have the secret
                assert reply.status == 200 and "secret" not in str(reply.url)
                assert server._secret not in page
                policy = reply.headers["Content-Security-Policy"]
                assert "default-src 'self'" in policy and "fonts.googleapis" not in policy
                assert f"ws://127.0.0.1:{server.port}/ws" in page
            cookie = reply.history[0].headers["Set-Cookie"]
            assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
            async with session.get(f"{base}static/js/textual.js") as reply:
                assert reply.status == 200
            # a page of another site that the browser has open, should its cookie be sent
            with pytest.raises(WSServerHandshakeError) as refused:
                await session.ws_connect(f"{base}ws", headers={"Origin": "http://evil.example"})
            assert refused.value.status == 403

    asyncio.run(check())


def test_the_page_has_the_name_by_which_it_was_reached() -> None:
    """Through a tunnel the name and port are others."""

    async def check() -> None:
        async with served() as (server, session):
            async with session.get(server.address) as reply:
                await reply.text()
            headers = {"Host": "localhost:9123"}
            async with session.get(server.address.partition("?")[0], headers=headers) as reply:
                assert "ws://localhost:9123/ws" in await reply.text()

    asyncio.run(check())


def test_the_app_has_its_own_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMUX", "STY", "VTE_VERSION"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setenv("TERM", "dumb")
    nothing: Any = None
    process = AppProcess("", write_bytes=nothing, write_str=nothing, close=nothing, download_manager=nothing)
    environment = process._build_environment(90, 20)
    assert not {"TMUX", "STY", "VTE_VERSION"} & environment.keys()
    assert environment["TERM"] == "xterm-256color" and environment["COLUMNS"] == "90"
    assert environment.get("PYTHONPATH", "x") != ""


@pytest.mark.slow
def test_the_websocket_starts_the_app_in_a_hostile_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "workbench").mkdir()
    (tmp_path / "workbench" / "__init__.py").write_text("import os; os._exit(99)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPTICAL_RESULTS", str(tmp_path / "$(touch x) results.duckdb"))

    async def check() -> str:
        async with served() as (server, session):
            async with session.get(server.address) as reply:
                await reply.text()
            base = server.address.partition("?")[0]
            async with session.ws_connect(f"{base}ws?width=100&height=30") as browser:
                painted = ""

                async def until(text: str) -> None:
                    nonlocal painted
                    while text not in painted:
                        message = await asyncio.wait_for(browser.receive(), 60)
                        assert isinstance(message.data, bytes), (message, painted[-300:])
                        painted += re.sub(
                            r"\x1b\[[0-9;?]*[a-zA-Z]", "", message.data.decode("utf-8", "replace")
                        )

                await until("Quit")
                await browser.send_json(["stdin", "6"])
                await until("SELECT name")
                await browser.send_json(["stdin", "\x11"])
                while not browser.closed:
                    await asyncio.wait_for(browser.receive(), 60)
            return painted

    assert "SELECT name" in asyncio.run(check())
    assert not (tmp_path / "x").exists()


CHROMIUM = next(
    filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), "chromium", "google-chrome"))), ""
)


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium, on the PATH or named by CHROMIUM")
def test_a_real_browser_shows_the_app_and_types_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Chromium's own protocol (chromedevtools.github.io): what comes through the page's websocket."""
    monkeypatch.setenv("OPTICAL_RESULTS", str(tmp_path / "results.duckdb"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "about:blank"]
    profile = tmp_path / "profile"

    async def check() -> None:
        command = [CHROMIUM, f"--user-data-dir={profile}", *options]
        with (tmp_path / "log").open("wb") as log:
            chromium = await asyncio.create_subprocess_exec(*command, stderr=log)
        try:
            while not (profile / "DevToolsActivePort").exists():
                await asyncio.sleep(0.1)
            port = (profile / "DevToolsActivePort").read_text().split()[0]
            async with served() as (server, _), ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as reply:
                    page = next(one for one in await reply.json() if one["type"] == "page")
                async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as tools:
                    sent = 0
                    asked, painted = [], ""

                    async def tell(method: str, **parameters: Any) -> None:
                        nonlocal sent
                        sent += 1
                        await tools.send_json({"id": sent, "method": method, "params": parameters})

                    async def until(text: str) -> None:
                        nonlocal painted
                        while text not in painted:
                            told = (await asyncio.wait_for(tools.receive(), 120)).json()
                            if told.get("method") == "Network.requestWillBeSent":
                                asked.append(told["params"]["request"]["url"])
                            if told.get("method") == "Network.responseReceived":
                                assert told["params"]["response"]["url"].startswith(server.public_url)
                            frame = told.get("params", {}).get("response", {})
                            if (
                                told.get("method") == "Network.webSocketFrameReceived"
                                and frame["opcode"] == 2
                            ):
                                data = base64.b64decode(frame["payloadData"]).decode("utf-8", "replace")
                                painted += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data)

                    await tell("Network.enable")
                    await tell("Page.navigate", url=server.address)
                    await until("Quit")
                    for kind in ("mousePressed", "mouseReleased"):
                        where = {"x": 300, "y": 300, "button": "left", "clickCount": 1}
                        await tell("Input.dispatchMouseEvent", type=kind, **where)
                    await tell("Input.dispatchKeyEvent", type="keyDown", key="6", text="6", code="Digit6")
                    await until("SELECT name")
                    assert server.address in asked
        finally:
            chromium.terminate()
            await chromium.wait()

    asyncio.run(check())


def test_what_is_wrong_with_the_address_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run(["web", "--port", port]) == 2
    said = capsys.readouterr()
    assert not said.out and f"127.0.0.1, port {port}: cannot be used" in said.err and "--port 0" in said.err
    assert run(["web", "--host", "no such host"]) == 2
    assert "Traceback" not in capsys.readouterr().err
