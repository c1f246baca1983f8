"""``optical-workbench serve``: answer the requests of the app, or of any program, on stdin and stdout."""

from __future__ import annotations

import os
import sys

import click


@click.command()
def serve() -> None:
    """Answer requests on stdin, one on each line, and keep encoders and documents in memory.

    The app starts this command for its screens Ask and Plan. A request is a line of JSON such as {"id": 1,
    "op": "search", "results": "results.duckdb", "run": RUN, "text": "maji safi", "language": "sw"}. The
    replies have the same id.
    """
    from engine.serving.operations import OPERATIONS
    from engine.serving.protocol import Server

    # Output of libraries must not come between the replies, so their stdout is redirected to stderr.
    with os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n") as answers:
        os.dup2(2, 1)

        def write(line: str) -> None:
            answers.write(line + "\n")
            answers.flush()

        sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
        try:
            Server(OPERATIONS, write).serve(sys.stdin)
        except BrokenPipeError:
            # The process that sent the requests has ended.
            os._exit(0)
