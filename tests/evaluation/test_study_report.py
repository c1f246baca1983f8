"""A study's report from a database of planted scores, its documents, and the reference results."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pyarrow.parquet as pq
import pytest

from engine.cli.commands import run as run_command
from engine.errors import InputError
from engine.evaluation.study import Study
from engine.evaluation.study_cache import load_study
from engine.evaluation.study_report import (
    answer,
    as_json,
    caveats,
    document_sheet,
    markdown,
    primary_answer,
    sheets,
)
from engine.paths import cache_home, runs_folder
from engine.results.ingest import ingest
from engine.results.queries import ask
from engine.results.reference import newest_study, reference_results, save_reference
from engine.results.run_folder import RunFolder

ARMS, SEEDS, QUERIES = ("alpha-1", "alpha-0"), (0, 1), 40  # of the planted study


@pytest.fixture
def study(planted_study: Any) -> Path:
    """The database of a finished study; its id is ``study``."""
    results: Path = planted_study.results
    return results


@pytest.fixture
def report(study: Path) -> Study:
    return load_study(study, "planted", resamples=999)


def test_means_gaps_and_gains_are_those_that_were_planted(report: Study, planted_study: Any) -> None:
    (table,) = report.tables
    planted = planted_study.planted
    seeds = [
        fmean(planted("alpha-0", "distil", "so", seed, query) for query in range(QUERIES)) for seed in SEEDS
    ]
    somali = table.values["alpha-0"]["after"]["so"]
    assert somali.mean == pytest.approx(fmean(seeds)) and somali.sd == pytest.approx(stdev(seeds))
    effects = {(effect.scope, effect.when): effect for effect in table.effects}
    assert {effect.arm for effect in table.effects} == {"alpha-0"}
    # balance moves .1 from each rich language to each poor one: the mean stays, the gap falls by .2
    assert effects["mean", "before"].contrast.delta == pytest.approx(0.0, abs=1e-9)
    assert effects["text size", "before"].contrast.delta == pytest.approx(-0.2)
    # the interaction: .05 more for Somali, half of the poor in the world, the poorest in text, a quarter here
    assert effects["resource level", "gain"].contrast.delta == pytest.approx(-0.025)
    assert effects["text size", "gain"].contrast.delta == pytest.approx(-0.05)
    assert effects["mean", "gain"].contrast.delta == pytest.approx(0.0125)
    assert effects["text size", "gain"].seeds.seeds == pytest.approx((-0.05, -0.05))
    found = table.interactions["alpha-0"]
    assert found["so"].delta == pytest.approx(0.05) and found["so"].p_holm < 0.05
    assert found["de"].delta == pytest.approx(0.0, abs=1e-9) and found["de"].p_holm == pytest.approx(1.0)
    # a quarter of the languages cannot make four agree: the exact test over 16 sign patterns
    assert effects["mean", "gain"].p_languages == pytest.approx(1.0)


def test_groups_follow_the_world_and_the_text(report: Study) -> None:
    world, own = report.tables[0].groups
    assert (world.name, world.high, world.low) == ("resource level", ["de", "fr"], ["so", "sw"])
    # a third of four languages is one; English is the teacher's own
    assert (own.name, own.high, own.low) == ("text size", ["de"], ["so"])


def test_the_answer_says_what_is_certain_and_what_is_not(report: Study) -> None:
    before, after, world, _ = answer(report.tables[0])
    assert before.startswith("Before distillation no arm's mean over languages differs significantly")
    # The seeds differ by as much as the arms; over topics alone the difference would be certain.
    assert after.startswith("After distillation no arm's mean over languages differs significantly")
    assert "+0.013 [" in after
    effect = next(e for e in report.tables[0].effects if (e.scope, e.when) == ("mean", "after"))
    assert effect.contrast.p < 0.002 < 0.05 < (effect.difference.p or 0)
    assert "the gap by resource level differently than in alpha-1: alpha-0 -0.025" in world
    assert any("over trainings, from 2 seeds" in sentence for sentence in caveats(report))


def test_the_primary_comparison_is_first_and_is_not_corrected(report: Study) -> None:
    primary = report.primary
    assert primary is not None and (primary.arm, primary.baseline) == ("alpha-0", "alpha-1")
    effect = next(e for e in report.tables[0].effects if (e.scope, e.when) == ("mean", "after"))
    assert primary.difference.delta == pytest.approx(effect.difference.delta)
    assert primary.difference.p == pytest.approx(effect.difference.p)
    assert primary.difference.p_holm == primary.difference.p and primary.seeds.seeds == effect.seeds.seeds
    text = markdown(report)
    assert text.index("Primary comparison (alpha-0 minus alpha-1") < text.index("### bitext")
    assert document_sheet(report.tables[0]).rows == [] and "documents" not in sheets(report.tables[0], report)


def test_a_study_of_an_earlier_version_has_no_primary_comparison(report: Study) -> None:
    first = primary_answer(replace(report, primary=None))[0]
    assert first.startswith("No primary comparison was named before this study ran.")


def test_differences_are_shown_by_document(study: Path) -> None:
    # Queries 0 to 9 form one document, all others another one.
    values = {str(query): "small" if query < 10 else "large" for query in range(QUERIES)}
    for arm in ARMS:
        for seed in SEEDS:
            for stage in ("transfer", "distil"):
                run = RunFolder.open(study.parent / "runs" / f"study.{arm}.s{seed}.{stage}")
                rows = [
                    {
                        "collection": "bitext",
                        "revision": "r",
                        "topic": topic,
                        "kind": "cluster",
                        "value": value,
                    }
                    for topic, value in values.items()
                ]
                run.write_table("topics", rows)
                scores = pq.read_table(run.path / "query_scores.parquet").to_pylist()
                for row in scores:  # the balanced arm gains in the small document only
                    if arm == "alpha-0" and stage == "distil" and int(row["query_id"].split(":")[1]) < 10:
                        row["value"] += 0.2
                run.write_table("query_scores", scores)
                run.update(note="scores changed")
    assert not ingest(study, study.parent / "runs").problems
    found = load_study(study, "study", resamples=99)
    small, large = found.tables[0].documents["alpha-0"]
    assert (small.document, small.topics, large.document, large.topics) == ("small", 10, "large", 30)
    assert small.delta == pytest.approx(0.2125) and small.without == pytest.approx(0.0125)
    assert large.delta == pytest.approx(0.0125) and large.without == pytest.approx(0.2125)
    assert small.adds + large.adds == pytest.approx(
        found.tables[0].means["alpha-0"]["after"].mean - found.tables[0].means["alpha-1"]["after"].mean
    )
    assert found.primary is not None and found.primary.documents == [small, large]
    assert "The document that adds most is small (10 topics): +0.213 in it, +0.013" in markdown(found)
    assert load_study(study, "study", resamples=99) == found  # from the cache
    assert [row[:2] for row in document_sheet(found.tables[0]).rows] == [
        ["small", "10"],
        ["large", "30"],
        ["all", ""],
    ]


def test_only_seeds_that_every_arm_has_count(study: Path) -> None:
    RunFolder.open(study.parent / "runs" / "study.alpha-0.s1.distil").update(state="failed")
    ingest(study, study.parent / "runs")
    found = load_study(study, "study", resamples=99)
    assert found.seeds == [0] and found.left_out == [1]
    assert found.tables[0].means["alpha-0"]["after"].sd is None
    RunFolder.open(study.parent / "runs" / "study.alpha-0.s0.transfer").update(state="failed")
    ingest(study, study.parent / "runs")
    with pytest.raises(InputError, match=r"no seed of study 'study' .*--resume study"):
        load_study(study, "study")
    with pytest.raises(InputError, match="is of kind 'distil', not a study"):
        load_study(study, "study.alpha-0.s0.distil")


def test_reference_results_give_the_same_report_and_name_no_machine(
    study: Path, report: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "reference"
    save_reference(study, "study", {"bitext": "RR"}, folder)
    again = load_study(reference_results(folder), "study", resamples=999)
    assert again.tables == report.tables and again.sizes == report.sizes and again.curves == report.curves
    runs = pq.read_table(folder / "runs.parquet").to_pylist()
    assert all("reference" in row["tags"] and row["host"] is None and row["argv"] is None for row in runs)
    assert str(tmp_path) not in json.dumps(runs, default=str)
    checkpoints = {
        json.loads(row["config"])["student"]["checkpoint"] for row in runs if row["kind"] == "distil"
    }
    assert checkpoints == {f"runs/study.{arm}.s{seed}.x/checkpoints" for arm in ARMS for seed in SEEDS}
    built = reference_results(folder)
    stamp = built.stat().st_mtime_ns
    assert reference_results(folder) == built and built.stat().st_mtime_ns == stamp  # built once
    assert [path.name for path in built.parent.parent.iterdir()] == [built.parent.name]
    assert ask(built, "SELECT count(*) FROM languages").rows[0][0] > 100
    with pytest.raises(InputError, match="no reference results"):
        reference_results(tmp_path / "nothing")


def test_the_newest_study_is_the_users_own(study: Path, tmp_path: Path) -> None:
    assert newest_study(study) == "study"
    assert newest_study(tmp_path / "none.duckdb") is None


@pytest.fixture
def call(study: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = run_command(["study", *arguments, "--results", str(study)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_command_prints_exports_and_documents(call: Callable[..., Any], tmp_path: Path) -> None:
    code, out, _ = call()
    assert code == 0 and "differences to alpha-1" in out and "Somali" in out
    code, out, _ = call("study", "--json")
    told = json.loads(out)
    assert told["seeds"] == [0, 1] and told["tables"][0]["means"]["alpha-1"]["before"][0] == pytest.approx(
        0.3315, abs=1e-3
    )
    document = tmp_path / "report.md"
    document.write_text(
        "before\n<!-- study: made by `optical-workbench study` -->\nold\n<!-- study: end -->\nafter\n"
    )
    code, _, _ = call("--document", str(document), "--export", str(tmp_path / "out"))
    text = document.read_text()
    assert code == 0 and text.startswith("before\n") and text.endswith("<!-- study: end -->\nafter\n")
    assert "old" not in text and "| Somali |" in text
    with (tmp_path / "out" / "1-bitext-arms.csv").open() as stream:
        rows = list(csv.reader(stream))
    assert [row[0] for row in rows] == ["arm", *ARMS]
    for name in ("1-bitext-languages", "1-bitext-gaps", "learning-curves"):
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (tmp_path / "out" / f"{name}.svg").read_text()


def test_a_document_without_marks_is_refused(call: Callable[..., Any], tmp_path: Path) -> None:
    document = tmp_path / "report.md"
    document.write_text("nothing\n")
    code, _, err = call("--document", str(document))
    assert code != 0 and "lacks the lines <!-- study" in err and document.read_text() == "nothing\n"


def test_findings_are_computed_once_and_again_after_a_change(
    study: Path, planted_study: Any, monkeypatch
) -> None:
    first = load_study(study, "planted", resamples=99)
    with monkeypatch.context() as patch:
        patch.setattr(
            "engine.evaluation.study_cache.compute_study", lambda *_, **__: pytest.fail("computed again")
        )
        again = load_study(study, "study", resamples=99)
        assert again == first and as_json(again) == as_json(first)
        assert type(again.tables[0].effects[0].seeds) is type(first.tables[0].effects[0].seeds)
        with pytest.raises(pytest.fail.Exception):
            load_study(study, "study", resamples=98)
    (run, *_) = sorted(runs_folder(study).glob("study.*"))
    RunFolder.open(run).update(note="later")
    ingest(study, runs_folder(study))
    seen: list[str] = []
    monkeypatch.setattr(
        "engine.evaluation.study_cache.compute_study", lambda *given, **_: seen.append(given[1]) or first
    )
    assert load_study(study, "study", resamples=99) == first and seen == ["study"]


def test_a_damaged_stored_report_is_computed_again(study: Path) -> None:
    first = load_study(study, "study", resamples=99)
    for file in (cache_home() / "studies").glob("*.json"):
        file.write_bytes(file.read_bytes()[:100])
    assert load_study(study, "study", resamples=99) == first
