"""``study``: report a study in tables, plots, JSON and a document."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.atomic import write_file
from engine.cli.options import complete_run, json_option, json_text, print_json, refreshed, results_option
from engine.cli.output import CsvWriter, check_raw, raw_option, say, warn
from engine.cli.tables import print_facts, print_line, print_table
from engine.errors import InputError, OpticalError
from engine.paths import DEFAULT_RESULTS
from engine.results.missing import missing_results

if TYPE_CHECKING:
    from engine.evaluation.study import Study

_BEGIN, _END = "<!-- study: made by `optical-workbench study` -->", "<!-- study: end -->"
_TEXT = ("language", "arm", "of", "when", "document")


@click.command()
@click.argument("run", metavar="RUN", required=False, shell_complete=complete_run)
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write the tables as CSV, the report as JSON and the plots as SVG and PNG into this folder.",
)
@click.option(
    "--document",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.md",
    help="Write the report into a Markdown file, between the marks in the file.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write the results of the report as Parquet into this folder, as reference results.",
)
@raw_option
@results_option
@json_option
def study(
    run: str | None, folder: Path | None, document: Path | None, reference: Path | None, results: Path,
    raw: bool, as_json: bool,
) -> None:  # fmt: skip
    """Report a study: scores per language before and after distillation, gaps, interactions and conclusions.

    RUN is an id, the beginning of an id, or a name. Without RUN the newest study is reported, or, if there is
    none, the reference study that is part of Optical Workbench.
    """
    from engine.evaluation.study_cache import load_study
    from engine.evaluation.study_report import as_json as study_json
    from engine.results.reference import newest_study, reference_results, save_reference

    check_raw(raw, folder is not None)
    refreshed(results)
    if run is None:
        run = newest_study(results)
        if run is None:
            missing = missing_results(results) if results != DEFAULT_RESULTS else ""
            why = missing or "you have no study yet"
            results = reference_results()
            run = newest_study(results)
            warn(f"{why}; this is the reference study")
        if run is None:
            raise InputError("there is no study; start one with `optical-workbench run balance-study`")
    found = load_study(results, run)
    if document is not None:
        _document(found, document)
    if folder is not None:
        _export(found, folder, raw)
    if reference is not None:
        save_reference(
            results, found.run, {table.collection: table.measure for table in found.tables}, reference
        )
    if as_json:
        print_json(study_json(found))
    elif not (document or folder or reference):
        _print(found)


def _print(found: Study) -> None:
    from engine.evaluation.study_report import answer, caveats, primary_answer, sheets

    arms = list(found.arms)
    print_facts(
        [
            ("study", f"{found.run}  {found.name}"),
            ("arms", f"{', '.join(arms)}; compared with {arms[0]}"),
            ("seeds", ", ".join(map(str, found.seeds))),
        ]
    )
    print_line()
    for sentence in primary_answer(found):
        print_line(sentence)
    for table in found.tables:
        print_line()
        for sheet in sheets(table, found).values():
            right = [name for name in sheet.columns if name not in _TEXT]
            print_table(sheet.columns, sheet.rows, right=right, title=sheet.title)
            print_line()
        for sentence in answer(table):
            print_line(sentence)
    print_line()
    for sentence in caveats(found):
        print_line(f"- {sentence}")


def _export(found: Study, folder: Path, raw: bool) -> None:
    from engine.evaluation.study_report import as_json as study_json
    from engine.evaluation.study_report import sheets
    from engine.pictures.study_plots import save_plots

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for place, table in enumerate(found.tables):
            for name, sheet in sheets(table, found).items():
                label = re.sub(r"[^\w.-]+", "-", table.collection)[:100]  # a label may have any characters
                path = folder / f"{place + 1}-{label}-{name}.csv"
                with path.open("w", encoding="utf-8", newline="") as stream:
                    CsvWriter(stream, raw=raw).rows([sheet.columns, *sheet.rows])
        (folder / "study.json").write_text(json_text(study_json(found)), "utf-8")
    except OSError as error:
        raise OpticalError(f"{folder}: cannot be written: {error.strerror or error}") from error
    plots = save_plots(found, folder)
    say(f"tables and {len(plots)} plots are in {folder}")


def _document(found: Study, path: Path) -> None:
    """Write the report between its marks in the file `path`.

    Raises
    ------
    InputError
        If the file is missing or has no such marks.
    """
    from engine.evaluation.study_report import markdown

    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path) from error
    if _BEGIN not in text or _END not in text.partition(_BEGIN)[2]:
        raise InputError(
            f"the file lacks the lines {_BEGIN} and {_END}, between which the report is written", path=path
        )
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    whole = f"{before}{_BEGIN}\n\n{markdown(found)}\n\n{_END}{after}"
    write_file(path, whole.encode())
    say(f"the report is in {path}")
