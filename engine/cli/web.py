"""``web``: serve the app to a browser on this machine."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

import click

from engine.cli.options import data_option, results_option
from engine.cli.output import out, say, warn
from engine.errors import InputError


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on. With the default only programs of this machine reach it.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port; 0 takes any free one.",
)
@results_option
@data_option
def web(host: str, port: int, results: Path) -> None:
    """Open the app in a browser: print an address, and serve the app there until Ctrl+C.

    Each browser tab has an app of its own, which ends with the tab; runs continue. The address holds a
    secret, without which nothing is served, because whoever uses the app can do all that you can do with it.
    Needs the extra `web`. From another machine use a tunnel, such as ssh -L 8000:127.0.0.1:8000 HOST.
    """
    if find_spec("textual_serve") is None:
        raise InputError("the extra is not installed; pip install 'optical-workbench[web]'")
    from engine.cli.browser import BrowserServer

    with closing(_listen(host, port)) as listening:
        # The app finds the database as it does after `optical-workbench --results PATH`.
        os.environ["OPTICAL_RESULTS"] = str(results.absolute())
        bound, number = listening.getsockname()[:2]
        if not ip_address(bound).is_loopback:
            warn(
                f"{bound} is not this machine alone: whoever reads the network can read the app and its "
                "secret"
            )
        server = BrowserServer(listening, f"[{bound}]" if ":" in bound else bound, number)
        out(server.address)
        say("Open this address in a browser. Ctrl+C ends the server and the apps; runs continue.")
        server.serve()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
    except UnicodeError as error:  # a label of the name is empty, or too long
        raise InputError(f"--host: {host!r} cannot be the name of a machine") from error
    except OSError as error:
        raise InputError(
            f"{host}, port {port}: cannot be used: {error.strerror}; --port 0 takes any free port"
        ) from error
    return listening
