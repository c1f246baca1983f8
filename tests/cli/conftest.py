"""Run folders with scores of every query, and a way to call the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pytest

from engine.cli.commands import run as run_command
from engine.config import BitextConfig, CollectionConfig, DistilConfig, EncoderConfig, EvaluateConfig
from engine.results.run_folder import RunFolder

Values = Mapping[str, list[float]]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Outcome]
MakeRun = Callable[..., RunFolder]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results.duckdb"


@pytest.fixture
def call(results: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """A function that runs a command, on this test's results where it takes any."""
    without = ("data", "config", "schema")

    def run(*arguments: str) -> Outcome:
        place = [] if arguments[0] in without else ["--results", str(results)]
        code = run_command([*arguments, *place])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


def write_scores(run: RunFolder, values: Values, **figure: Any) -> None:
    """Write scores of queries 0, 1, ... by language, and their means as they follow from them."""
    common = {
        "collection": "bitext",
        "revision": "rev1",
        "protocol": "bitext",
        "scoring": "maxsim",
        "direction": "xx-en",
        "measure": "RR",
        **figure,
    }
    english = common["direction"].startswith("en-")
    for code, scores in values.items():
        asking, answering = ("en", code) if english else (code, "en")
        # As Tatoeba has it: a collection a language where the pools differ.
        revision = f"{common['revision']}-{code}" if english else common["revision"]
        row = {**common, "revision": revision, "query_language": asking}
        mean = {
            "document_language": answering,
            "value": fmean(scores),
            "low": min(scores),
            "high": max(scores),
            "queries": len(scores),
        }
        run.write_table("scores", [{**row, **mean}], append=True)
        topic = f"{code}-" if english else ""
        run.write_table(
            "query_scores",
            [
                {
                    **row,
                    "document_language": answering,
                    "query_id": f"{asking}:{topic}{place}",
                    "value": value,
                }
                for place, value in enumerate(scores)
            ],
            append=True,
        )


@pytest.fixture
def zero() -> Values:
    """Scores of the queries of two languages by a baseline."""
    return {"so": [0.5, 0.5, 0.25, 1.0, 0.2, 0.1], "sw": [1.0, 1.0, 0.5, 1.0, 1.0, 0.25]}


@pytest.fixture
def better() -> Values:
    """Scores of the same queries by a system: in Somali 5 wins and a tie, in Swahili 2 wins and a loss."""
    return {"so": [1.0, 1.0, 0.5, 1.0, 0.5, 0.2], "sw": [1.0, 0.5, 1.0, 1.0, 1.0, 0.5]}


@pytest.fixture
def add_scores() -> Callable[..., None]:
    """The function `write_scores`."""
    return write_scores


@pytest.fixture
def make_run(results: Path) -> MakeRun:
    """A function that makes a finished run: of kind distil, or evaluate if `zero_shot`."""
    made: list[RunFolder] = []

    def make(
        name: str,
        values: Values | None = None,
        *,
        zero_shot: bool = False,
        state: str = "finished",
        summary: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        **figure: Any,
    ) -> RunFolder:
        bitext = [BitextConfig(path="x.tsv", language=code) for code in ("so", "sw")]
        shared: dict[str, Any] = {"name": name, "seed": 7, **(config or {})}
        if zero_shot:
            given = CollectionConfig(name="bitext", bitext=bitext)
            settings = EvaluateConfig(**{"encoder": EncoderConfig(), "collections": [given], **shared})
        else:
            learned = [source.model_dump() for source in bitext]
            settings = DistilConfig.model_validate({"bitext": learned, **shared})
        run = RunFolder.create(results.parent / "runs", settings, ["optical-workbench", "run", "a b.toml"])
        if values is not None:
            write_scores(run, values, **figure)
        if state != "running":
            run.finish(state)
        # Runs made within one second would have no order.
        run.update(created=f"2026-01-{len(made) + 1:02}T10:00:00+00:00", summary=dict(summary or {}))
        made.append(run)
        return run

    return make
