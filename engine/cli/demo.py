"""``optical-workbench demo``: distil and evaluate with encoders and data from installed packages."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.options import read_in_finished, results_option
from engine.cli.output import out
from engine.config import EncoderConfig, RunHeader, parse_config, preset_settings
from engine.counted import counted
from engine.languages import language
from engine.paths import runs_folder
from engine.results.queries import ask

if TYPE_CHECKING:
    from engine.evaluation.scores import Scores
    from engine.results.run_folder import RunFolder

#: The languages of the message catalogues.
LANGUAGES = ("sw", "mr", "ne", "hi", "cy", "fi", "ga", "tr", "hsb", "tt")
CATALOGUES = "package:django"
MEASURE = "RR"


#: Shares of the messages: the table's queries, and these with the held-out ones on which settings are chosen.
SHOWN, NOT_TRAINED = 0.3, 0.45


def systems() -> dict[str, RunHeader]:
    """Return the configurations of the demo by the heading of their column, zero-shot transfer first.

    No system is trained or tuned on a message that the table shows. All have the settings of the encoder that
    zero-shot transfer chooses (`with_encoder`).
    """
    recipe = preset_settings("demo")

    def sources(part: str, test_share: float) -> list[dict[str, Any]]:
        shared = {"path": CATALOGUES, "part": part, "test_share": test_share}
        return [{**shared, "language": code} for code in LANGUAGES]

    train = {
        "bitext": sources("train", NOT_TRAINED),
        "collections": [{"name": "bitext", "label": "catalogues", "bitext": sources("test", SHOWN)}],
        "tags": ["demo"],
    }
    # The held-out collection has the table's messages in its pool; their queries are left out (see tune).
    held_out = [{"name": "bitext", "label": "held-out", "bitext": sources("test", NOT_TRAINED)}]
    tuned = {"kind": "tune", "encoder": recipe["teacher"], "held_out": held_out, **train}
    prefixes = [
        {"query_prefix": "", "passage_prefix": ""},
        {"query_prefix": "query: ", "passage_prefix": "query: "},
        {"query_prefix": "query: ", "passage_prefix": "passage: "},
    ]
    zero_shot = {
        "name": "demo-zero-shot",
        "choices": {"encoder": prefixes, "encoder.centring": [True, False]},
    }
    lir = {"name": "demo-lir", "choices": {"language_components": [1, 2, 3, 4]}}
    contrast = {"maxsim_contrast": recipe["loss"]["maxsim_contrast"]}
    return {
        heading: parse_config({**settings, **train})
        for heading, settings in (
            ("zero-shot", {**tuned, **zero_shot}),
            ("LIR", {**tuned, **lir}),
            ("pooled MSE", {**recipe, "name": "demo-pooled-mse", "loss": {"pooled_mse": 1.0}}),
            ("transport", {**recipe, "name": "demo-optimal-transport", "loss": {"transport": 1.0}}),
            ("contrast", {**recipe, "name": "demo-contrast", "loss": contrast}),
            ("transport + contrast", {**recipe, "name": "demo-transport-and-contrast"}),
        )
    }


def chosen_encoder(run: RunFolder) -> EncoderConfig:
    """Return the encoder that a run with an encoder of its own was evaluated with."""
    from engine.config.runs import EncodersConfig
    from engine.evaluation.finished_run import encoders_config_of

    config = encoders_config_of(run)
    assert isinstance(config, EncodersConfig)
    return config.encoder


def with_encoder(config: RunHeader, encoder: EncoderConfig) -> RunHeader:
    """Return the configuration of a system with the settings `encoder` of its frozen or starting encoder."""
    name = "teacher" if "teacher" in config.model_fields_set else "encoder"
    return config.model_copy(update={name: encoder})


@click.command()
@results_option
def demo(results: Path) -> None:
    """Distil a packaged multilingual encoder with optimal transport, and show the improvement.

    The data are Django's message catalogues in ten languages. Students are trained on one part of the
    messages. On a second part, prefixes and centring are chosen for all systems, and the number of components
    for LIR. The messages of the third part are the queries of the table, which must find their English
    originals.
    """
    started = time.monotonic()

    from engine.cli.console import ConsoleReporter
    from engine.runs.execute import execute

    scores: dict[str, Scores] = {}
    folder: Any = None
    encoder = EncoderConfig()
    with ConsoleReporter() as reporter:
        for heading, config in systems().items():
            reporter.say(f"── {heading} ──")
            if folder is not None:
                config = with_encoder(config, encoder)
            folder, (scores[heading],) = execute(
                config, runs_folder(results), ["optical-workbench", *sys.argv[1:]], reporter=reporter
            )
            if len(scores) == 1:
                encoder = chosen_encoder(folder)
    read_in_finished(results, folder.path)
    _print_table(scores)
    minutes = (time.monotonic() - started) / 60
    out(f"took {minutes:.1f} minutes; the results are in {results} and {runs_folder(results)}/\n")
    _print_next(folder.id, scores["transport + contrast"], results)


def _print_next(run: str, scores: Scores, results: Path) -> None:
    """Print commands that open the app, a plan and a search with texts of the run."""
    where = "" if results == Path("results.duckdb") else f" --results {shlex.quote(str(results))}"
    question = (
        "SELECT source_text, target_text FROM plans WHERE run = ? AND source_language = 'sw' "
        "ORDER BY abs(length(source_text) - 40) LIMIT 1"
    )
    pairs = ask(results, question, [run]).records() if results.is_file() else []
    marathi = [query.text for query in scores.collection.queries if query.language == "mr"]
    asked = min(marathi, key=lambda text: abs(len(text) - 30))
    out(f"optical-workbench{where}".ljust(38) + " # opens the app")
    for pair in pairs:  # none if the run could not be read in
        out(
            f"optical-workbench plan {run}{where} --language sw \\\n"
            f"    --source {shlex.quote(pair['source_text'])} --target {shlex.quote(pair['target_text'])}"
        )
    out(f"optical-workbench query {run}{where} --language mr --explain {shlex.quote(asked)}")


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
    out()
    print_table(
        columns,
        rows,
        right=columns[1:],
        title=f"{MEASURE}: localised message → English message, "
        f"{counted(len(first.collection.documents), 'candidate')}",
    )
    out("* not a pre-training language of XLM-R. Gain: the last system minus the first.")
    if len(headings) > 2:
        control = compare_languages(scores[headings[-2]].values[MEASURE], last.values[MEASURE]).mean
        out(
            f"{headings[-1]} minus {headings[-2]}: {control.delta:+.3f} "
            f"[{control.low:+.3f}, {control.high:+.3f}], p {control.p:.4f}, one seed.\n"
        )
