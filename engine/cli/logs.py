"""``logs``: show the log of a run, and follow it."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.options import complete_run, refreshed, results_option
from engine.cli.output import out
from engine.paths import run_log, runs_folder
from engine.results.queries import run_record


@click.command()
@click.argument("run", shell_complete=complete_run)
@click.option("-f", "--follow", is_flag=True, help="Wait for more lines until the run ends.")
@results_option
def logs(run: str, follow: bool, results: Path) -> None:
    """Show the messages of a run, each line with its time in UTC.

    RUN is an id, the beginning of an id, or a name, which means the newest run of that name. Ctrl-C ends
    --follow; the run goes on.
    """
    from engine.jobs.logs import read_log

    folder = runs_folder(results) / run
    # A run that has just been started has a log and no record yet.
    if Path(run).name != run or not run_log(folder).is_file():
        folder = runs_folder(results) / run_record(refreshed(results), run)["id"]
    for line in read_log(folder, follow=follow):
        out(line)
