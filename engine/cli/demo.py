"""``optical-workbench demo``: distil and evaluate with encoders and data from installed packages."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.options import refreshed, results_option
from engine.config import RunHeader, parse_config, preset_settings
from engine.languages import language
from engine.paths import runs_folder
from engine.results.queries import ask

if TYPE_CHECKING:
    from engine.evaluation.scores import Scores

#: The languages of the message catalogues.
LANGUAGES = ("sw", "mr", "ne", "hi", "cy", "fi", "ga", "tr", "hsb", "tt")
CATALOGUES = "package:django"
MEASURE = "RR"


def systems() -> dict[str, RunHeader]:
    """Return the configurations of the demo by the heading of their column, zero-shot transfer first."""
    recipe = preset_settings("demo")
    train = [{"path": CATALOGUES, "language": code, "part": "train"} for code in LANGUAGES]
    test = [{"path": CATALOGUES, "language": code, "part": "test"} for code in LANGUAGES]
    shared = {
        "bitext": train,
        "collections": [{"name": "bitext", "label": "catalogues", "bitext": test}],
        "tags": ["demo"],
    }
    zero_shot = {"kind": "evaluate", "name": "demo-zero-shot", "encoder": recipe["teacher"]}
    mse = {**recipe, "name": "demo-pooled-mse", "loss": {"pooled_mse": 1.0}}
    alone = {**recipe, "name": "demo-optimal-transport", "loss": {"transport": 1.0}}
    together = {**recipe, "name": "demo-transport-and-contrast"}
    return {
        heading: parse_config({**settings, **shared})
        for heading, settings in (
            ("zero-shot", zero_shot),
            ("pooled MSE", mse),
            ("optimal transport", alone),
            ("transport + contrast", together),
        )
    }


@click.command()
@results_option
def demo(results: Path) -> None:
    """Distil a packaged multilingual encoder with optimal transport, and show the improvement.

    The data are Django's message catalogues in ten languages. The student is trained on one part of the
    messages. The others are queries, which must find their English originals.
    """
    started = time.monotonic()

    from engine.cli.console import ConsoleReporter
    from engine.runs.execute import execute

    scores: dict[str, Scores] = {}
    folder: Any = None
    with ConsoleReporter() as reporter:
        for heading, config in systems().items():
            reporter.say(f"── {heading} ──")
            folder, (scores[heading],) = execute(
                config, runs_folder(results), ["optical-workbench", *sys.argv[1:]], reporter=reporter
            )
    refreshed(results)
    _print_table(scores)
    minutes = (time.monotonic() - started) / 60
    click.echo(f"took {minutes:.1f} minutes; the results are in {results} and {runs_folder(results)}/\n")
    _print_next(folder.id, scores["transport + contrast"], results)


def _print_next(run: str, scores: Scores, results: Path) -> None:
    """Print commands that open the app, a plan and a search with texts of the run."""
    where = "" if results == Path("results.duckdb") else f" --results {shlex.quote(str(results))}"
    question = (
        "SELECT source_text, target_text FROM plans WHERE run = ? AND source_language = 'sw' "
        "ORDER BY abs(length(source_text) - 40) LIMIT 1"
    )
    (pair,) = ask(results, question, [run]).records()
    marathi = [query.text for query in scores.collection.queries if query.language == "mr"]
    asked = min(marathi, key=lambda text: abs(len(text) - 30))
    click.echo(f"optical-workbench{where}".ljust(38) + " # opens the app")
    click.echo(
        f"optical-workbench plan {run}{where} --language sw \\\n"
        f"    --source {shlex.quote(pair['source_text'])} --target {shlex.quote(pair['target_text'])}"
    )
    click.echo(f"optical-workbench query {run}{where} --language mr --explain {shlex.quote(asked)}")


def _print_table(scores: dict[str, Scores]) -> None:
    """Print the mean reciprocal rank of each system per language, and the last system's gain."""
    from engine.cli.tables import print_table
    from engine.evaluation.significance import compare_languages

    headings = list(scores)
    first, last = scores[headings[0]], scores[headings[-1]]
    compared = compare_languages(first.values[MEASURE], last.values[MEASURE])
    values = {
        heading: {mean.query_language: mean for mean in result.means if mean.measure == MEASURE}
        for heading, result in scores.items()
    }
    rows = []
    for code in first.collection.query_languages:
        entry, gain = language(code), compared.languages[code]
        rows.append(
            [
                entry.name + ("" if entry.xlmr else " *"),
                *(f"{values[heading][code].value:.3f}" for heading in headings),
                f"{gain.delta:+.3f}",
                f"[{gain.low:+.3f}, {gain.high:+.3f}]",
                f"{gain.p_holm:.4f}",
            ]
        )
    mean = compared.mean
    rows.append(
        [
            "mean",
            *(f"{scores[heading].macro(MEASURE):.3f}" for heading in headings),
            f"{mean.delta:+.3f}",
            f"[{mean.low:+.3f}, {mean.high:+.3f}]",
            f"{mean.p_holm:.4f}",
        ]
    )
    columns = ["language", *headings, "gain", "95 % interval", "p (Holm, one seed)"]
    click.echo()
    print_table(
        columns,
        rows,
        right=columns[1:],
        title=f"{MEASURE}: localised message → English message, {len(first.collection.documents)} candidates",
    )
    click.echo("* not a pre-training language of XLM-R. Gain: the last system minus the first.\n")
