"""``optical-workbench run``: carry out the run that a TOML file or a preset describes, or carry one on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from engine.cli.options import data_option, json_option, print_json, refreshed, results_option
from engine.config import load_config
from engine.errors import InputError
from engine.paths import run_log, runs_folder


@click.command()
@click.argument("config", required=False)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated."
)
@click.option("--detach", is_flag=True, help="Start the run as its own process and return at once.")
@click.option("--resume", metavar="RUN", help="Carry on a run that was stopped, failed or crashed.")
@click.option("--run-id", hidden=True, help="The id that a launcher chose.")
@data_option
@results_option
@json_option
def run(
    config: str | None,
    overrides: Sequence[str],
    detach: bool,
    resume: str | None,
    run_id: str | None,
    results: Path,
    as_json: bool,
) -> None:
    """Start the run that CONFIG, a TOML file or a preset's name, describes.

    With --resume a run goes on from its last saved state, as it was configured; CONFIG is not needed then.
    RUN is an id, the beginning of one, or a name, which stands for its newest run.
    """
    if config is None and resume is None:
        raise InputError("run needs a CONFIG, a TOML file or a preset's name, or --resume RUN")
    if config is None and overrides:
        raise InputError(
            "--set changes a CONFIG, and a resumed run goes on as it was configured; leave it out"
        )
    # wrong settings are refused before anything starts
    parsed = load_config(config, overrides) if config is not None else None
    folder = _stopped(resume, results) if resume is not None else None
    if folder is not None and parsed is not None:
        from engine.jobs.resume import check_unchanged
        from engine.results.run_folder import RunFolder

        check_unchanged(RunFolder.open(folder), parsed, str(config))
    if detach:
        from engine.jobs.child import python_command
        from engine.jobs.launch import launch
        from engine.results.run_folder import new_run_id

        argv = python_command("engine.cli", "run", "--results", str(results))
        if folder is not None:
            identity = folder.name
            argv += ["--resume", identity]
        else:
            assert parsed is not None and config is not None
            identity = new_run_id(parsed.name)
            argv += [config, "--run-id", identity]
            for override in overrides:
                argv += ["--set", override]
        pid = launch(argv, run_log(runs_folder(results) / identity))
        if as_json:
            print_json({"run": identity, "pid": pid})
        else:
            click.echo(identity)
        return

    from engine.cli.console import ConsoleReporter
    from engine.jobs.resume import reopen
    from engine.runs import execute as runs

    argv = ["optical-workbench", *sys.argv[1:]]
    with ConsoleReporter() as reporter:
        if folder is not None:
            carried = reopen(folder, argv)
            scores = runs.resume(carried, reporter)
        else:
            assert parsed is not None
            carried, scores = runs.execute(
                parsed, runs_folder(results), argv, run_id=run_id, reporter=reporter
            )
    refreshed(results)
    if as_json:
        print_json({"run": carried.id, "state": "finished", "summary": carried.record["summary"]})
        return
    from engine.cli.scores import print_scores

    print_scores(scores)
    click.echo(carried.id)
    click.echo(f"optical-workbench show {carried.id}  shows it again", err=True)


def _stopped(run: str, results: Path) -> Path:
    """Return the folder of the run that `run` names, if it can be resumed."""
    from engine.jobs.resume import resumable
    from engine.results.queries import run_record

    folder = runs_folder(results) / str(run_record(refreshed(results), run)["id"])
    return resumable(folder).path
