"""Draw the pictures of the README with the app: ``python docs/pictures.py --results demo/results.duckdb``.

They show the results of `optical-workbench demo` at 120x40. Each picture is the real app after the keys that
a user would press, exported by Textual as SVG.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from workbench.app import Workbench
from workbench.ask.answer import HitTable, MatchTable
from workbench.data.runs import UPDATING

FOLDER = Path(__file__).resolve().parent / "pictures"
SIZE = (120, 40)
#: "Please correct the following errors", in Swahili.
QUERY = "Tafadhali sahihisha makosa yafuatayo"
ROWS = range(16, 27)
"""The numbers of source tokens with which a plan fills the screen and fits into it."""


async def runs(pilot: Pilot[None], app: Any) -> None:
    """Mark the distillation runs, so that their curves are drawn in one plot."""
    for run in app.context.snapshot.runs:
        await pilot.press(*["space"] * (run["kind"] == "distil"), "down")
    await pilot.press("home")
    await until(pilot, lambda: len(app.screen.details.curves) == len(app.context.snapshot.runs))


async def results(pilot: Pilot[None], app: Any) -> None:
    """Compare the newest run with the oldest, its baseline."""
    app.context.show_results([app.context.snapshot.runs[-1]["id"], app.context.snapshot.runs[0]["id"]])
    await until(pilot, lambda: getattr(app.screen, "comparisons", None))


async def plan(pilot: Pilot[None], app: Any) -> None:
    """Show a plan that fills the screen."""
    await pilot.press("4")
    left = await until(pilot, lambda: app.screen.query("#left") and app.screen.query_one("#left"))
    await until(pilot, lambda: left.plan is not None)
    for _ in app.screen.found:
        if len(left.plan.source_tokens) in ROWS:
            break
        before = left.plan
        await pilot.press("greater_than_sign")
        await until(pilot, lambda before=before: left.plan is not before)  # type: ignore[misc]
    await pilot.press("n", "n")


async def ask(pilot: Pilot[None], app: Any) -> None:
    """Search the oldest and the newest run for the same query."""
    app.context.chosen_runs = [app.context.snapshot.runs[-1]["id"], app.context.snapshot.runs[0]["id"]]
    await pilot.press("5")
    await until(pilot, lambda: app.screen.query("#query"))
    app.screen.query_one("#query", Input).value = QUERY
    await pilot.press("enter")
    answers = await until(pilot, lambda: app.screen.answers)
    await until(pilot, lambda: all(answer.query_one(HitTable).rows for answer in answers))
    await until(pilot, lambda: all(answer.query_one(MatchTable).rows for answer in answers))
    await until(pilot, lambda: not app.screen.requests.waiting)


PICTURES: dict[str, Callable[[Pilot[None], Any], Awaitable[None]]] = {
    "runs": runs,
    "results": results,
    "plan": plan,
    "ask": ask,
}


async def until(pilot: Pilot[None], holds: Callable[[], Any], seconds: float = 120) -> Any:
    """Let the app run until `holds` returns something true, and return it."""
    for _ in range(int(seconds / 0.05)):
        if found := holds():
            await pilot.pause()
            return found
        await pilot.pause(0.05)
    raise SystemExit(f"the app did not reach the state for the picture within {seconds:.0f} s")


async def draw(name: str) -> None:
    """Open the app on the database in the working folder, show a picture's content and export it."""
    app = Workbench(Path("results.duckdb"))
    async with app.run_test(size=SIZE) as pilot:
        await until(
            pilot,
            lambda: app.context.snapshot is not None and UPDATING not in app.context.snapshot.problems,
        )
        await until(pilot, lambda: app.screen.query("Plot") and app.screen.details.curves)  # type: ignore[attr-defined]
        await PICTURES[name](pilot, app)
        await pilot.pause(0.5)
        path = FOLDER / f"{name}.svg"
        path.write_text(app.export_screenshot(title="optical-workbench", simplify=True), "utf-8")
        print(f"{path.relative_to(Path(__file__).resolve().parent.parent)}: {path.stat().st_size:,} bytes")


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--results", type=Path, default=Path("results.duckdb"), help="the database that the demo made"
    )
    arguments = parser.parse_args()
    if not arguments.results.is_file():
        parser.error(f"{arguments.results} does not exist; `optical-workbench demo` makes one")
    if arguments.results.name != "results.duckdb":
        parser.error("the database must be called results.duckdb, because the pictures show its name")
    os.environ.update(COLORTERM="truecolor", TERM="xterm-256color")
    os.environ.pop("NO_COLOR", None)
    os.chdir(arguments.results.parent)  # so that the pictures show no path
    FOLDER.mkdir(exist_ok=True)
    Input.cursor_blink = False  # type: ignore[assignment]
    for name in PICTURES:
        asyncio.run(draw(name))


if __name__ == "__main__":
    main()
