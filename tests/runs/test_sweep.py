"""A sweep executes every combination once, says which runs are its own, and compares its systems."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq
import pytest

from engine.cli.commands import run as command
from engine.cli.toml import dump
from engine.config import parse_config
from engine.config.sweep import Span, SweepConfig, member
from engine.errors import InputError, OpticalError
from engine.results.ingest import ingest
from engine.results.queries import ask
from engine.results.run_folder import RunFolder, read_record
from engine.runs import members
from engine.runs.execute import execute, resume


def base(tiny: Any) -> dict[str, Any]:
    sources = [{"path": str(tiny.test[code]), "language": code} for code in ("sw", "mr")]
    return {
        "kind": "evaluate",
        "encoder": {"checkpoint": str(tiny.checkpoint), "query_length": 24, "passage_length": 24},
        "collections": [{"name": "bitext", "bitext": sources}],
    }


def settings(tiny: Any, **changes: Any) -> dict[str, Any]:
    given = {
        "kind": "sweep",
        "name": "lengths",
        "seeds": [0],
        "base": base(tiny),
        "choices": {"encoder.query_length": [8, 24], "encoder.centring": [True, False]},
    }
    return given | changes


def rows_of(run: RunFolder) -> list[dict[str, Any]]:
    return list(pq.read_table(run.path / "sweep_runs.parquet").to_pylist())


def test_every_combination_is_a_run_of_its_own(tiny: Any, tmp_path: Path) -> None:
    run, scores = execute(parse_config(settings(tiny)), tmp_path / "runs", ["test"])
    rows = rows_of(run)
    assert scores == [] and [row["number"] for row in rows] == [1, 2, 3, 4]
    wanted = [(8, True), (8, False), (24, True), (24, False)]
    for row, (length, centring) in zip(rows, wanted, strict=True):
        record = read_record(run.path.parent / row["member"])
        assert record["state"] == "finished" and row["member"] == f"{run.id}.{row['number']:03}.s0"
        encoder = record["config"]["encoder"]
        assert (encoder["query_length"], encoder["centring"]) == (length, centring)
        assert json.loads(row["settings"]) == {"encoder.query_length": length, "encoder.centring": centring}
    assert RunFolder.open(run.path).record["summary"]["runs"] == [row["member"] for row in rows]
    # SQL can ask which runs belong to it.
    results = tmp_path / "results.duckdb"
    ingest(results, tmp_path / "runs")
    found = ask(results, "SELECT count(*) FROM sweep_runs JOIN scores ON scores.run = member").rows
    assert found[0][0] > 0


def test_runs_that_exist_are_not_repeated(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed: list[str] = []
    original = members.execute_in

    def counting(config: Any, run: RunFolder, reporter: Any) -> Any:
        executed.append(run.id)
        return original(config, run, reporter)

    monkeypatch.setattr(members, "execute_in", counting)
    alone, _ = execute(
        parse_config(
            {**base(tiny), "name": "alone", "encoder": {**base(tiny)["encoder"], "query_length": 8}}
        ),
        tmp_path / "runs",
        ["test"],
    )
    choices = {"encoder.query_length": [8, 24]}
    run, _ = execute(parse_config(settings(tiny, choices=choices)), tmp_path / "runs", ["test"])
    assert executed == [f"{run.id}.002.s0"]
    assert [row["member"] for row in rows_of(run)] == [alone.id, f"{run.id}.002.s0"]
    # Another sweep with one value more executes that one only.
    choices = {"encoder.query_length": [8, 16, 24]}
    wider, _ = execute(parse_config(settings(tiny, choices=choices)), tmp_path / "runs", ["test"])
    assert executed[1:] == [f"{wider.id}.002.s0"]


def test_a_run_that_fails_does_not_end_the_sweep(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, failing = members.execute_in, True

    def broken(config: Any, run: RunFolder, reporter: Any) -> Any:
        if failing and config.encoder.query_length == 8:
            run.finish("failed", "the disk is full")
            raise OpticalError("the disk is full")
        return original(config, run, reporter)

    monkeypatch.setattr(members, "execute_in", broken)
    config = parse_config(settings(tiny, choices={"encoder.query_length": [8, 24]}))
    with pytest.raises(OpticalError, match=r"1 of 2 runs failed: .*001\.s0: the disk is full; resume"):
        execute(config, tmp_path / "runs", ["test"])
    (folder,) = [path for path in (tmp_path / "runs").iterdir() if "." not in path.name]
    failing = False
    run = RunFolder.open(folder)
    run.resume(["again"])
    resume(run)
    assert [read_record(folder.parent / row["member"])["state"] for row in rows_of(run)] == ["finished"] * 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"choices": {"seed": [0, 1]}}, "choices.seed is set by the sweep, from its seeds; leave it out"),
        ({"seeds": [0, 0]}, "seeds holds a seed twice"),
        (
            {"choices": {"encoder.querylength": [8]}},
            "base with encoder.querylength = 8: encoder.querylength is",
        ),
        ({"choices": {"encoder.query_length": []}}, "choices.encoder.query_length has no value to try"),
        ({"choices": {"encoder.query_length": 8}}, "must be a list of values or a table with low and high"),
        ({"choices": {"encoder.query_length": {"low": 8, "high": 24}}}, "sampler = 'grid' takes lists"),
        (
            {"sampler": "random", "choices": {"encoder.query_length": {"low": 9, "high": 8}}},
            "low must be below high",
        ),
        (
            {"sampler": "random", "choices": {"encoder.query_length": {"low": 9}}},
            "query_length.high is missing",
        ),
        ({"base": "no-such-file.toml"}, "base: no-such-file.toml: there is no such file or preset"),
        ({"base": {"preset": "lirr"}}, "there is no preset 'lirr' (did you mean 'lir'?)"),
        ({"base": {"kind": "sweep", "base": {}, "choices": {"name": ["x"]}}}, "base with"),
    ],
)
def test_impossible_sweeps_are_one_sentence(tiny: Any, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_config(settings(tiny, **changes))
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_a_base_is_a_table_a_file_or_a_preset(tiny: Any, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(dump(base(tiny)), "utf-8")
    config = parse_config(settings(tiny, base=str(file)))
    assert isinstance(config, SweepConfig) and config.base == tomllib.loads(file.read_text("utf-8"))
    over = {**base(tiny), "preset": "lir"}
    del over["kind"]
    one = member(parse_config(settings(tiny, base=over)), {"encoder.query_length": 8}, 7)
    assert one.kind == "evaluate" and one.seed == 7 and one.name == "lengths-query_length8-s7"
    # Combinations do not change the base, or one another.
    config = parse_config(settings(tiny))
    before = json.dumps(config.base)
    member(config, {"encoder.query_length": 8}, 0)
    assert json.dumps(config.base) == before


def test_random_draws_between_the_ends(tiny: Any) -> None:
    spans = {
        "encoder.query_length": {"low": 8, "high": 24, "whole": True, "log": True},
        "encoder.centring": [True, False],
    }
    config: Any = parse_config(settings(tiny, sampler="random", tries=200, choices=spans))
    drawn = config.drawn()
    lengths = [one["encoder.query_length"] for one in drawn]
    assert set(lengths) == set(range(8, 25)) and {one["encoder.centring"] for one in drawn} == {True, False}
    assert drawn == parse_config(config.model_dump()).drawn()
    assert drawn[:5] == parse_config({**config.model_dump(), "tries": 5}).drawn()
    log = Span(low=1e-5, high=1e-3, log=True)
    assert log.value(0.5) == pytest.approx(1e-4) and Span(low=-1, high=1).value(0.25) == -0.5


@pytest.mark.slow
def test_the_command_prints_a_row_for_each_system(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, results = tmp_path / "sweep.toml", tmp_path / "results.duckdb"
    file.write_text(dump(settings(tiny)), "utf-8")
    assert command(["sweep", str(file), "--results", str(results), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert [row["number"] for row in table["rows"]] == [1, 2, 3, 4] and table["measure"] == "RR"
    for row in table["rows"]:
        values = ask(results, "SELECT value FROM scores WHERE run = ? AND measure = 'RR'", row["runs"]).rows
        assert row["value"] == pytest.approx(fmean(value for (value,) in values))
    # The differences are those of `compare` for the same runs.
    runs = [row["runs"][0] for row in table["rows"]]
    assert command(["compare", *runs, "--results", str(results), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)["tables"][0]["rows"]
    means = {row["run"]: row for row in compared if row["language"] is None}
    for row in table["rows"][1:]:
        assert (
            row["p_holm"] == means[row["runs"][0]]["p_holm"]
            and row["delta"] == means[row["runs"][0]]["delta"]
        )
    # Once more: nothing is executed, and its name shows it, too.
    folders = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert command(["sweep", str(file), "--results", str(results)]) == 0
    shown = capsys.readouterr()
    assert "nothing is repeated" in shown.err and "query_length  centring" in shown.out
    assert command(["sweep", "lengths", "--results", str(results)]) == 0
    assert capsys.readouterr().out == shown.out
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == folders


@pytest.mark.slow
def test_optuna_chooses_by_the_values_before(tiny: Any, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    choices = {
        "encoder.query_length": {"low": 4, "high": 24, "whole": True},
        "encoder.centring": [True, False],
    }
    config = parse_config(settings(tiny, sampler="tpe", tries=4, choices=choices))
    run, _ = execute(config, tmp_path / "one", ["test"])
    rows = rows_of(run)
    assert [row["number"] for row in rows] == [1, 2, 3, 4]
    assert all(4 <= json.loads(row["settings"])["encoder.query_length"] <= 24 for row in rows)
    # The same values lead to the same choices, in a sweep that is resumed as well.
    again, _ = execute(config, tmp_path / "two", ["test"])
    assert [row["settings"] for row in rows_of(again)] == [row["settings"] for row in rows]
    again.resume(["again"])
    resume(again)
    assert [row["settings"] for row in rows_of(again)] == [row["settings"] for row in rows]
