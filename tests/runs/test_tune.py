"""Settings are chosen on held-out queries, and nothing that is reported decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from engine.config import parse_config
from engine.config.tune import tried
from engine.errors import InputError
from engine.evaluation.finished_run import encoders_config_of
from engine.inspect.search import Searcher
from engine.results.run_folder import RunFolder, table_files
from engine.runs.execute import execute, resume


def settings(tiny: Any, **changes: Any) -> dict[str, Any]:
    def collection(label: str, files: Any) -> dict[str, Any]:
        sources = [{"path": str(files[code]), "language": code} for code in ("sw", "mr")]
        return {"name": "bitext", "label": label, "bitext": sources}

    given: dict[str, Any] = {
        "kind": "tune",
        "name": "tuned",
        "encoder": {"checkpoint": str(tiny.checkpoint), "query_length": 24, "passage_length": 24},
        "held_out": [collection("held-out", tiny.training)],
        "collections": [collection("reported", tiny.test)],
        "choices": {
            "encoder": [
                {"query_prefix": "", "passage_prefix": ""},
                {"query_prefix": "query: ", "passage_prefix": "passage: "},
            ],
            "encoder.centring": [True, False],
            "evaluation.scoring": [["maxsim"], ["dense"]],
        },
    }
    return given | changes


def test_every_try_is_recorded_and_the_best_is_evaluated(tiny: Any, tmp_path: Path) -> None:
    config: Any = parse_config(settings(tiny))
    run, (scores,) = execute(config, tmp_path / "runs", ["test"])
    rows = _tries(run)
    assert sorted(row["number"] for row in rows) == list(range(1, 9))
    best = max(rows, key=lambda row: (row["value"], -row["number"]))
    summary = RunFolder.open(run.path).record["summary"]
    assert summary["tries"] == 8 and summary["measure"] == "RR" and summary["held_out"] == best["value"]
    assert summary["chosen"] == json.loads(best["settings"])
    chosen = encoders_config_of(run)
    assert chosen.kind == "evaluate" and [one.label for one in chosen.collections] == ["reported"]
    assert scores.collection.name == "reported"
    # The tries are those of evaluations of their own.
    for row in rows[:3]:
        one = tried(config)[row["number"] - 1]
        assert one.text == row["settings"]
        _, (again,) = execute(one.config, tmp_path / "runs", ["test"])
        assert again.macro("RR") == pytest.approx(row["value"], abs=1e-9)
    _, (same,) = execute(chosen, tmp_path / "runs", ["test"])
    assert same.values == scores.values
    if scores.scoring == "maxsim":
        query = scores.collection.queries[0]
        hits = Searcher(run, query.language).search(query.text, 1)
        assert hits[0].document == scores.ranking.document_ids[0][0]


def _tries(run: RunFolder) -> list[dict[str, Any]]:
    return [row for file in table_files(run.path, "tries") for row in pq.read_table(file).to_pylist()]


def test_a_resumed_run_repeats_no_try(tiny: Any, tmp_path: Path) -> None:
    config = parse_config(settings(tiny, choices={"encoder.query_length": [12, 24]}))
    run, (scores,) = execute(config, tmp_path / "runs", ["test"])
    (run.path / "scores.parquet").unlink()
    (run.path / "tries-1.parquet").unlink()
    (run.path / "checkpoints" / "chosen.json").unlink()
    before = (run.path / "tries.parquet").stat().st_mtime_ns
    again = resume(RunFolder.open(run.path))
    assert [row["number"] for row in _tries(run)] == [1, 2]
    assert (run.path / "tries.parquet").stat().st_mtime_ns == before
    assert again[0].values == scores.values


def test_fewer_tries_than_combinations_are_drawn_by_a_hash(tiny: Any) -> None:
    def texts(**changes: Any) -> list[str]:
        config: Any = parse_config(settings(tiny, **changes))
        return [one.text for one in tried(config)]

    whole, some = texts(), texts(tries=5)
    assert len(some) == 5 and some == [text for text in whole if text in some] and some == texts(tries=5)
    assert texts(tries=5, seed=1) != some


def test_held_out_queries_that_are_reported_are_left_out_or_refused(tiny: Any, tmp_path: Path) -> None:
    given = settings(tiny, choices={"encoder.centring": [False]})
    same = {**given, "held_out": given["collections"]}
    with pytest.raises(InputError, match="all 50 queries of 'reported' are also reported"):
        execute(parse_config(same), tmp_path / "runs", ["test"])
    # A translation of a reported topic is the same topic.
    swahili = given["collections"][0] | {"bitext": given["collections"][0]["bitext"][:1]}
    marathi = given["collections"][0] | {"bitext": given["collections"][0]["bitext"][1:], "label": "other"}
    with pytest.raises(InputError, match="all 25 queries of 'other' are also reported"):
        execute(
            parse_config({**given, "held_out": [marathi], "collections": [swahili]}), tmp_path / "runs", []
        )
    both = given["held_out"][0] | {
        "bitext": [*given["held_out"][0]["bitext"], given["collections"][0]["bitext"][0]]
    }
    run, _ = execute(parse_config({**given, "held_out": [both]}), tmp_path / "runs", ["test"])
    alone, _ = execute(parse_config(given), tmp_path / "runs", ["test"])
    counts = [one.record["summary"]["held_out_queries"] for one in (run, alone)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"choices": {"encoder.query_lenght": [64]}}, r"query_lenght.*did you mean.*query_length"),
        ({"choices": {"encoder.query_length": [2]}}, r"with encoder.query_length = 2.*greater than"),
        ({"choices": {"encoder.centring": []}}, r"choices.encoder.centring has no value"),
        ({"choices": {"collections": [[]]}}, r"choices.collections is no setting of an evaluation"),
        (
            {"choices": {"encoder": [{"query_length": 16}], "encoder.query_length": [32]}},
            r"both set encoder.query_length",
        ),
        ({"evaluation": {"scoring": ["maxsim", "dense"]}, "choices": {"fitted": ["new"]}}, "one scoring"),
        (
            {
                "choices": {
                    "encoder.query_length": list(range(4, 404)),
                    "encoder.passage_length": list(range(4, 404)),
                }
            },
            "160,000 combinations",
        ),
    ],
)
def test_choices_that_cannot_be_tried_are_refused(tiny: Any, changes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_config(settings(tiny, **changes))


def test_an_unknown_measure_is_refused(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no measure 'RRR'.*it has RR"):
        execute(parse_config(settings(tiny, measure="RRR")), tmp_path / "runs", ["test"])
