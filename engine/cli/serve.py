"""``optical-workbench serve``: answer the app, or any program, over stdin and stdout."""

from __future__ import annotations

import os
import sys

import click


@click.command()
def serve() -> None:
    """Answer requests on stdin, one a line, with encoders and documents kept in memory.

    The app starts it for Ask and Plan. A request is a line of JSON such as {"id": 1, "op": "search",
    "results": "results.duckdb", "run": RUN, "text": "maji safi", "language": "sw"}; its replies bear its id.
    """
    from engine.serving.operations import OPERATIONS
    from engine.serving.protocol import Server

    # What libraries print must not get between the replies: their stdout is stderr from here on.
    with os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n") as answers:
        os.dup2(2, 1)

        def write(line: str) -> None:
            answers.write(line + "\n")
            answers.flush()

        sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
        try:
            Server(OPERATIONS, write).serve(sys.stdin)
        except BrokenPipeError:
            # Whoever asked is gone.
            os._exit(0)
