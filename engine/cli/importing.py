"""``import``: rankings and scores of other programs become a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from engine.cli.options import data_option, json_option, read_in_finished, results_option
from engine.config import overridden, parse_config
from engine.errors import InputError
from engine.paths import runs_folder


@click.command("import")
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, dir_okay=False)
)
@click.option(
    "--judgements",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TREC judgements (qrels) of the rankings, if the collection itself is not available locally.",
)
@click.option("--collection", metavar="NAME", help="The collection that was searched, as in [[collections]].")
@click.option("--language", metavar="CODE", help="Language of the queries.")
@click.option("--document-language", metavar="CODE", help="Language of the documents.")
@click.option("--name", help="The name of the run. The default is that of the first file.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Another setting of a run of kind import, such as collections.0.path=afriqa. Can be repeated.",
)
@data_option
@results_option
@json_option
def import_command(
    files: tuple[Path, ...],
    judgements: Path | None,
    collection: str | None,
    language: str | None,
    document_language: str | None,
    name: str | None,
    overrides: tuple[str, ...],
    results: Path,
    as_json: bool,
) -> None:
    """Make a run of the rankings or scores in FILE, which tables, tests, fusion and re-ranking use.

    FILE is a TREC run (topic Q0 document rank score tag), with --judgements or --collection, or a result of
    MTEB (TASK.json). Measures are computed from rankings as trec_eval orders them: by score, and equal scores
    by falling document id. Scores of MTEB are taken over; they have no scores of single queries.
    """
    from engine.cli.console import ConsoleReporter
    from engine.cli.run import print_finished
    from engine.runs.execute import execute

    scores = [file for file in files if file.suffix == ".json"]
    rankings = [file for file in files if file.suffix != ".json"]
    settings: dict[str, Any] = {"kind": "import", "name": name or files[0].name.partition(".")[0] or "import"}
    if scores:
        settings["mteb"] = [str(file.absolute()) for file in scores]
    if rankings:
        settings["rankings"] = [{"path": str(file.absolute())} for file in rankings]
        settings["collections"] = [_collection(rankings, judgements, collection, language, document_language)]
    elif judgements is not None or collection is not None:
        raise InputError("--judgements and --collection belong to TREC runs, and no FILE is one")
    config = parse_config(overridden(settings, overrides))
    argv = ["optical-workbench", *sys.argv[1:]]
    with ConsoleReporter() as reporter:
        run, found = execute(config, runs_folder(results), argv, reporter=reporter)
    read_in_finished(results, run.path)
    print_finished(run, found, as_json)


def _collection(
    rankings: list[Path],
    judgements: Path | None,
    collection: str | None,
    language: str | None,
    document_language: str | None,
) -> dict[str, Any]:
    if (judgements is None) == (collection is None):
        raise InputError("a TREC run needs --judgements FILE or --collection NAME; give one of them")
    found: dict[str, Any] = {"name": collection or "judgements"}
    if judgements is not None:
        found |= {
            "path": str(judgements.absolute()),
            "rankings": [str(file.absolute()) for file in rankings],
            "label": judgements.name.partition(".")[0] or "judgements",
        }
    if language is not None:
        found["languages"] = [language]
    if document_language is not None:
        found["document_languages"] = [document_language]
    return found
