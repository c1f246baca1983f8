"""``queue``: show the runs that wait for their turn, and change their order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.options import json_option, print_json, refreshed, results_option, with_time_zone
from engine.cli.output import say
from engine.cli.tables import Column, print_fitted_table
from engine.durations import age_text
from engine.paths import runs_folder
from engine.results.queries import list_runs, run_record

if TYPE_CHECKING:
    from engine.cli.answers import QueuedRun


@click.group()
def queue() -> None:
    """Show the runs that wait for their turn, and change their order.

    Runs started with `run --detach` run one at a time, in the order of the queue. `stop` takes a run out of
    it, and `run --detach --now` starts one without waiting.
    """


@queue.command("list")
@results_option
@json_option
def list_command(results: Path, as_json: bool) -> None:
    """List the runs that wait, the next one first."""
    _print(results, as_json)


@queue.command("up")
@click.argument("run")
@results_option
@json_option
def up(run: str, results: Path, as_json: bool) -> None:
    """Move a queued run up one place.

    RUN is an id, the beginning of an id, or a name, which means the newest run of that name.
    """
    _move(run, results, as_json, first=False)


@queue.command("first")
@click.argument("run")
@results_option
@json_option
def first(run: str, results: Path, as_json: bool) -> None:
    """Move a queued run to the first place.

    RUN is an id, the beginning of an id, or a name, which means the newest run of that name.
    """
    _move(run, results, as_json, first=True)


def _move(run: str, results: Path, as_json: bool, *, first: bool) -> None:
    from engine.jobs.queue import move

    move(runs_folder(results), run_record(refreshed(results), run)["id"], first=first)
    _print(results, as_json)


def _print(results: Path, as_json: bool) -> None:
    """Print the queue as it is now."""
    from engine.jobs.queue import memory_lacks, memory_needed, waiting

    runs = runs_folder(results)
    records = {record["id"]: with_time_zone(record) for record in list_runs(refreshed(results))}
    found = [records[identity] for identity in waiting(runs) if identity in records]
    listed: list[QueuedRun] = [
        {
            "place": place,
            "id": record["id"],
            "name": record["name"],
            "kind": record["kind"],
            "created": record["created"],
        }
        for place, record in enumerate(found, 1)
    ]
    if as_json:
        print_json(listed)
        return
    if not found:
        say("no run waits in the queue")
        return
    if lacks := memory_lacks(memory_needed(found[0], runs)):
        say(f"{found[0]['id']} is {lacks}")
    columns = (
        Column("place", right=True),
        Column("id", least=16),
        Column("name", least=12),
        Column("kind", leave_out=1),
        Column("age", right=True),
    )
    print_fitted_table(
        columns,
        [
            (str(run["place"]), run["id"], run["name"], run["kind"], age_text(run["created"]))
            for run in listed
        ],
    )
