"""``optical-workbench evaluate``: evaluate the encoders of a finished run on other collections."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from engine.cli.options import (
    complete_run,
    data_option,
    json_option,
    read_in_finished,
    refreshed,
    results_option,
    set_option,
)
from engine.cli.run import print_finished
from engine.paths import runs_folder


@click.command()
@click.argument("run", shell_complete=complete_run)
@click.option(
    "--on",
    "names",
    multiple=True,
    required=True,
    metavar="COLLECTION",
    help="A collection of `data list`, or a TOML file with [[collections]]. Can be repeated.",
)
@click.option(
    "--language",
    "languages",
    multiple=True,
    metavar="CODE",
    help="Only queries in this language. Can be repeated; without it, all that the collection has.",
)
@set_option
@data_option
@results_option
@json_option
def evaluate(
    run: str,
    names: Sequence[str],
    languages: Sequence[str],
    overrides: Sequence[str],
    results: Path,
    as_json: bool,
) -> None:
    """Evaluate the encoders of a finished RUN on other collections, in a new run of kind evaluate.

    The encoders keep the run's centring, projection, lengths and prefixes, and its scorings are used. RUN is
    an id, the beginning of an id, or a name, which means the newest run of that name.
    """
    from engine.cli.console import ConsoleReporter
    from engine.evaluation.finished_run import find_run
    from engine.runs.checks import check_start
    from engine.runs.elsewhere import collections_called, elsewhere
    from engine.runs.execute import execute

    folder = find_run(refreshed(results), run)
    collections = [settings for name in names for settings in collections_called(name)]
    for settings in collections:
        if languages:
            settings["languages"] = list(languages)
    config = elsewhere(folder, collections, assignments=overrides)
    check_start(config, runs_folder(results))
    argv = ["optical-workbench", *sys.argv[1:]]
    with ConsoleReporter() as reporter:
        finished, scores = execute(config, runs_folder(results), argv, reporter=reporter)
    read_in_finished(results, finished.path)
    print_finished(finished, scores, as_json)
