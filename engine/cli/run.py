"""``optical-workbench run``: carry out the run that a TOML file or a preset describes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from engine.cli.options import json_option, print_json, refreshed, results_option
from engine.config import load_config
from engine.paths import runs_folder


@click.command()
@click.argument("config")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated."
)
@click.option("--detach", is_flag=True, help="Start the run as its own process and return at once.")
@click.option("--run-id", hidden=True, help="The id that a launcher chose.")
@results_option
@json_option
def run(
    config: str, overrides: Sequence[str], detach: bool, run_id: str | None, results: Path, as_json: bool
) -> None:
    """Start the run that CONFIG, a TOML file or a preset's name, describes."""
    parsed = load_config(config, overrides)  # wrong settings are refused before anything starts
    if detach:
        from engine.jobs.launch import launch
        from engine.results.spool import new_run_id

        identity = new_run_id(parsed.name)
        argv = [sys.executable, "-m", "engine.cli", "run", config, "--run-id", identity]
        argv += ["--results", str(results)]
        for override in overrides:
            argv += ["--set", override]
        pid = launch(argv, runs_folder(results) / identity / "log.txt")
        if as_json:
            print_json({"run": identity, "pid": pid})
        else:
            click.echo(identity)
        return

    from engine.cli.console import ConsoleReporter
    from engine.training.runs import execute

    argv = ["optical-workbench", *sys.argv[1:]]
    with ConsoleReporter() as reporter:
        folder, scores = execute(parsed, runs_folder(results), argv, run_id=run_id, reporter=reporter)
    refreshed(results)
    if as_json:
        print_json({"run": folder.id, "state": "finished", "summary": folder.record["summary"]})
        return
    from engine.cli.scores import print_scores

    print_scores(scores)
    click.echo(folder.id)
    click.echo(f"optical-workbench show {folder.id}  shows it again", err=True)
