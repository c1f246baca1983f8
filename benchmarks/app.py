"""Measure how long the app takes to repaint after a key, and to paint its first screen.

    python benchmarks/app.py plan     # move the cursor over a heatmap of 32 x 40 tokens
    python benchmarks/app.py table    # move through a query result of 500,000 rows: rows, pages, ends
    python benchmarks/app.py start    # first paint in a real terminal, and memory when idle

For keys, the app runs without a terminal, but every frame is converted to the bytes that a terminal would
get. The time of a key ends with the last frame before a pause in drawing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pty
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from textual import events
from textual._compositor import CompositorUpdate
from textual.pilot import Pilot
from textual.widgets import TextArea

import workbench.app
from engine.config import BitextConfig, DistilConfig
from engine.results.ingest import ingest
from engine.results.run_folder import RunFolder
from workbench.app import Workbench
from workbench.widgets.table import Table

SIZES = ((80, 24), (120, 40), (200, 60))
ROWS = 500_000
PAUSE = 0.06  # seconds without a frame; four times the time of one frame
WORDS = ("المكتبة", "ขอบคุณ", "क्षत्रिय", "机器翻译", "biyo", "nadiif", "waa", "caafimaad")


class TimedWorkbench(Workbench):
    """The app; it also records when each frame was painted."""

    CSS_PATH = Path(workbench.app.__file__).parent / "shell" / "shell.tcss"
    painted = 0.0
    sent = 0
    frames = 0

    def _display(self, screen: Any, renderable: Any) -> None:
        super()._display(screen, renderable)
        if isinstance(renderable, CompositorUpdate):
            self.sent += len(renderable.render_segments(self.console).encode())
            self.frames += 1
            self.painted = time.perf_counter()


async def seconds_to_repaint(pilot: Pilot[None], key: str) -> float:
    """Press `key`; return the seconds until the last frame that it caused."""
    app = pilot.app
    assert isinstance(app, TimedWorkbench)
    driver = app._driver
    assert driver is not None
    character = key if len(key) == 1 else None
    start = time.perf_counter()
    driver.process_message(events.Key(key, character))
    while time.perf_counter() < max(start, app.painted) + PAUSE:
        await asyncio.sleep(PAUSE / 4)
    return app.painted - start


@asynccontextmanager
async def open_app(size: tuple[int, int]) -> AsyncIterator[tuple[TimedWorkbench, Pilot[Any]]]:
    """Open the app on a run with one plan; yield it and its pilot when the runs have been read."""
    with tempfile.TemporaryDirectory() as name:
        results = Path(name) / "results.duckdb"
        _store_plan(Path(name) / "runs")
        ingest(results, results.parent / "runs")
        app = TimedWorkbench(results)
        async with app.run_test(size=size) as pilot:
            await _until(pilot, lambda: app.context.snapshot is not None)
            yield app, pilot


async def plan(size: tuple[int, int], keys: int) -> dict[str, Any]:
    """Move the cursor over a plan of 32 x 40 tokens."""
    async with open_app(size) as (app, pilot):
        await pilot.press("4")
        await _until(pilot, lambda: app.screen.query_one("#left").plan)  # type: ignore[attr-defined]
        await pilot.pause(0.5)
        heatmap = app.screen.query_one("#left Heatmap")
        heatmap.go_to(16, 20)  # type: ignore[attr-defined]
        await pilot.pause(0.5)
        walk = ["right"] * 10 + ["down"] * 8 + ["left"] * 10 + ["up"] * 8
        times, sent, frames = [], app.sent, app.frames
        for number in range(keys):
            times.append(await seconds_to_repaint(pilot, walk[number % len(walk)]))
        figures = _summary(times, size)
        figures["bytes_a_key"] = round((app.sent - sent) / keys)
        figures["frames_a_key"] = round((app.frames - frames) / keys, 2)
        return figures


async def table(size: tuple[int, int], keys: int) -> dict[str, Any]:
    """Move through a result of half a million rows on the SQL screen."""
    async with open_app(size) as (app, pilot):
        await pilot.press("6")
        await pilot.pause(0.5)
        editor, answer = app.screen.query_one(TextArea), app.screen.query_one("#sql-rows", Table)
        editor.load_text(f"SELECT range AS n, range * 0.1 AS tenth, 'row ' || range AS t FROM range({ROWS})")
        await pilot.press("f5")
        await _until(pilot, lambda: len(answer.rows) == ROWS)
        answer.focus()
        await pilot.pause(0.5)
        walk = ["down"] * 10 + ["pagedown"] * 10 + ["end"] + ["up"] * 10 + ["pageup"] * 10 + ["home"]
        times = [await seconds_to_repaint(pilot, walk[number % len(walk)]) for number in range(keys)]
        return _summary(times, size)


async def start(size: tuple[int, int], keys: int) -> dict[str, Any]:
    """Start the app in a terminal `keys` times; the first paint is complete when the footer is drawn.

    The modules are compiled first, as in an installed package. Starts of the app alternate with a process
    that only imports Textual: on a busy machine, the ratio of the two is more reliable than the seconds.
    """
    times, bare, computed, memory = [], [], [], 0.0
    with tempfile.TemporaryDirectory() as name:
        results = Path(name) / "results.duckdb"
        _store_plan(Path(name) / "runs")
        ingest(results, results.parent / "runs")
        environment = {
            **os.environ,
            "OPTICAL_RESULTS": str(results),
            "PYTHONPYCACHEPREFIX": f"{name}/compiled",
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for turn in range(keys + 1):
            begun = time.perf_counter()
            # In a separate session, like the app: Linux divides a busy processor among sessions.
            command = [sys.executable, "-c", "import textual.app"]
            subprocess.run(command, check=True, env=environment, start_new_session=True)
            imported = time.perf_counter() - begun
            begun = time.perf_counter()
            pid, terminal = pty.fork()
            if pid == 0:
                os.execve(sys.executable, [sys.executable, "-m", "workbench"], environment)
            termios.tcsetwinsize(terminal, (size[1], size[0]))
            seen = b""
            while b"Quit" not in seen:
                seen += os.read(terminal, 1 << 16)
            painted, used = time.perf_counter() - begun, sum(psutil.Process(pid).cpu_times()[:2])
            if turn:  # the first start compiles
                times.append(painted)
                bare.append(imported)
                computed.append(1000 * used)
            if turn == keys:
                idle = time.perf_counter() + 5
                while time.perf_counter() < idle:
                    if select.select([terminal], [], [], 0.1)[0]:
                        os.read(terminal, 1 << 16)
                memory = psutil.Process(pid).memory_info().rss / 2**20
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(terminal)
    ratio = statistics.median(painted / imported for painted, imported in zip(times, bare, strict=True))
    found = {"times_textual": round(ratio, 2), "cpu_ms": round(statistics.median(computed))}
    return {**_summary(times, size), **found, "idle_mib": round(memory)}


def _summary(times: list[float], size: tuple[int, int]) -> dict[str, Any]:
    milliseconds = sorted(1000 * seconds for seconds in times)
    return {
        "size": f"{size[0]}x{size[1]}",
        "keys": len(times),
        "median_ms": round(statistics.median(milliseconds), 1),
        "p95_ms": round(milliseconds[int(0.95 * len(milliseconds))], 1),
        "max_ms": round(milliseconds[-1], 1),
    }


def _store_plan(runs: Path) -> None:
    config = DistilConfig(name="large", bitext=[BitextConfig(path="x", language="so")])
    run = RunFolder.create(runs, config, ["benchmark"])
    mass = np.random.default_rng(0).dirichlet(np.full(40, 0.1), 32) / 32
    row = {"pair": "p", "source_language": "so", "source_text": " ".join(WORDS * 4), "target_text": "w " * 40,
           "source_tokens": list(WORDS * 4), "target_tokens": [f"word{n}" for n in range(40)], "plan": mass,
           "cost": 1 - mass, "solver": "sinkhorn", "epsilon": 0.05, "iterations": 50, "marginal_error": 1e-5,
           "converged": True, "value": 0.4, "entropy": 0.7}  # fmt: skip
    run.write_table("plans", [row])
    run.finish("finished")


async def _until(pilot: Pilot[None], holds: Callable[[], Any]) -> None:
    for _ in range(1000):
        if holds():
            return
        await pilot.pause(0.02)
    raise SystemExit("the app did not reach the expected state")


PARTS: dict[str, Callable[[tuple[int, int], int], Awaitable[dict[str, Any]]]] = {
    "plan": plan,
    "table": table,
    "start": start,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--keys", type=int, default=400, help="keys to press, or times to start")
    arguments = parser.parse_args()
    os.environ.update(COLORTERM="truecolor", TERM="xterm-256color")
    for size in SIZES:
        found = asyncio.run(PARTS[arguments.part](size, arguments.keys))
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
