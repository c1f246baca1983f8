"""Runs from Python agree with the same runs by the command line and with their stored results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optical_workbench as ow
from engine.cli import toml
from engine.reporting import Reporter


class Recorder(Reporter):
    """Keeps the names of the stages."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, name: str, total: int) -> None:
        self.stages.append(name)


def test_a_finished_run(finished: ow.Run) -> None:
    assert (finished.state, finished.name, finished.config.kind) == ("finished", "tiny", "distil")
    assert finished.path.name == finished.id and finished.id in repr(finished)
    scores = finished.scores()
    (mean,) = [score for score in scores if score.measure == "RR"]
    assert (mean.collection, mean.query_language, mean.queries) == ("ciphers", "sw", 25)
    frame = scores.to_frame()
    assert list(frame.columns) == list(scores.columns) and len(frame) == len(scores)
    stored = ow.results(finished.results).sql(
        "SELECT value, low, high FROM scores WHERE run = ? AND measure = 'RR'", [finished.id]
    )
    assert stored.fetchall() == [(mean.value, mean.low, mean.high)]
    steps = finished.steps()
    assert {step.step for step in steps if step.metric == "loss"} >= {60}
    assert [step.value for step in steps if step.metric == "held_out_rr"][-1] > 0.5


@pytest.mark.parametrize("kind", ["path", "id", "beginning", "name"])
def test_open_run(finished: ow.Run, kind: str) -> None:
    name: Any = {
        "path": finished.path,
        "id": finished.id,
        "beginning": finished.id[:-2],
        "name": "tiny",
    }[kind]
    opened = ow.open_run(name, results=finished.results)
    assert opened.id == finished.id and opened.scores() == finished.scores()


def test_runs_that_do_not_exist(finished: ow.Run, tmp_path: Path) -> None:
    with pytest.raises(ow.InputError, match=r"no run 'tinny' \(did you mean 'tiny'"):
        ow.open_run("tinny", results=finished.results)
    with pytest.raises(ow.InputError):
        ow.open_run("tiny", results=tmp_path / "none.duckdb")


def test_a_toml_file_with_overrides(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ciphers.toml").write_text(toml.dump(tiny.settings()), "utf-8")
    recorder = Recorder()
    run = ow.run("ciphers.toml", seed=3, training={"steps": 5}, collections=[], progress=recorder)
    assert (run.config.seed, run.config.training.steps, run.config.training.batch_size) == (3, 5, 16)
    assert len(run.scores()) == 0
    assert recorder.stages and run.path.parent == Path("runs")
    assert ow.open_run("tiny").id == run.id
    with pytest.raises(
        ow.InputError, match=r"ciphers\.toml: trainign is not a setting \(did you mean 'training'"
    ):
        ow.run("ciphers.toml", trainign={"steps": 5})


def test_a_preset_in_a_dictionary(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(ow.InputError, match="no preset 'optical-contrst'"):
        ow.run({"preset": "optical-contrst"}, results=tmp_path / "results.duckdb")
    with pytest.raises(ow.InputError, match="bitext is missing"):
        ow.run("optical-contrast", results=tmp_path / "results.duckdb")
    bitext = [{"path": str(tiny.training["sw"]), "language": "sw"}]
    settings = {"preset": "optical-contrast", "bitext": bitext, "teacher": tiny.encoder()}
    run = ow.run(
        settings,
        training={**tiny.loop(), "frozen_layers": 0},
        results=tmp_path / "results.duckdb",
        progress=False,
    )
    assert run.config.preset == "optical-contrast" and run.state == "finished"


def test_a_run_that_fails_is_an_error_and_resumes(tiny: Any, tmp_path: Path) -> None:
    results, bitext = tmp_path / "results.duckdb", tmp_path / "pairs.tsv"
    settings = tiny.settings(bitext=[{"path": str(bitext), "language": "sw"}], collections=[])
    with pytest.raises(ow.InputError, match=r"pairs\.tsv"):
        ow.run(settings, results=results, progress=False)
    run = ow.open_run("tiny", results=results)
    assert run.state == "failed"
    bitext.write_bytes(tiny.training["sw"].read_bytes())
    assert run.resume(progress=False).state == "finished"
    with pytest.raises(ow.InputError, match="nothing to resume"):
        run.resume(progress=False)


def test_vectors(finished: ow.Run, tiny: Any) -> None:
    query, english = tiny.test["sw"].read_text("utf-8").splitlines()[0].split("\t")
    vectors = finished.encoder.encode([query, "revir"])
    assert vectors.sentences.shape == (2, 32) and len(vectors) == 2
    assert vectors.pieces == [query.split(), ["revir"]]
    assert vectors.tokens[0].shape == (len(query.split()), finished.encoder.dim)
    for array in (*vectors.tokens, vectors.sentences):
        np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, rtol=1e-5)
    assert finished.encoder.encode([]).sentences.shape == (0, 32)
    as_passage = finished.encoder.encode([query], role="passage")
    assert not np.allclose(as_passage.sentences, vectors.sentences[:1], atol=1e-4)
    document = finished.document_encoder.encode([english])
    score = (vectors.tokens[0] @ document.tokens[0].T).max(1).mean()
    hit = next(hit for hit in finished.search(query, "sw", k=25) if hit.text == english)
    assert hit.score == pytest.approx(score, abs=1e-3) and hit.grade == 1
    matches = finished.explain(query, hit.document, "sw")
    assert [match.query_token for match in matches] == query.split()
    assert np.mean([match.score for match in matches]) == pytest.approx(hit.score, abs=1e-3)
    with pytest.raises(ow.InputError, match="list of texts"):
        finished.encoder.encode(query)
    with pytest.raises(ow.InputError, match="role"):
        finished.encoder.encode([query], role="document")  # type: ignore[arg-type]


def test_search_agrees_with_the_command_line(finished: ow.Run, capsys: pytest.CaptureFixture[str]) -> None:
    from engine.cli.commands import run as command

    code = command(
        [
            "query",
            finished.id,
            "revir enots",
            "--language",
            "sw",
            "--k",
            "3",
            "--json",
            "--results",
            str(finished.results),
        ]
    )
    printed = json.loads(capsys.readouterr().out)["hits"]
    hits = finished.search("revir enots", language="sw", k=3)
    assert code == 0 and [hit["document"] for hit in printed] == [hit.document for hit in hits]
    assert [hit["score"] for hit in printed] == pytest.approx([hit.score for hit in hits], abs=1e-4)
    for wrong, message in (
        ({"text": "", "language": "sw"}, "empty"),
        ({"text": "revir", "language": "swahily"}, "swahily"),
        ({"text": "revir", "language": "sw", "collection": "cifers"}, "did you mean 'ciphers'"),
        ({"text": "revir", "language": "sw", "k": 0}, "at least 1"),
    ):
        with pytest.raises(ow.InputError, match=message):
            finished.search(**wrong)  # type: ignore[arg-type]


def test_encoders_stay_in_memory(finished: ow.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    finished.search("revir", language="sw")
    finished.plan("revir", "river")

    def load(*_: object) -> None:
        raise AssertionError("an encoder is loaded again")

    monkeypatch.setattr("engine.evaluation.finished_run.SavedEncoder.load", load)
    again = ow.open_run(finished.id, results=finished.results)
    assert again.search("enots", language="sw") and again.plan("enots", "stone").value >= 0


def test_a_plan_of_two_sentences(finished: ow.Run, tmp_path: Path) -> None:
    plan = finished.plan("revir enots", "river stone", language="sw", solver="exact")
    assert (plan.source_tokens, plan.target_tokens) == (["revir", "enots"], ["river", "stone"])
    np.testing.assert_allclose(plan.plan.sum(0), [0.5, 0.5], atol=1e-6)
    assert plan.value == pytest.approx(float((plan.plan * plan.cost).sum()), abs=1e-6)
    frame = plan.to_frame()
    assert list(frame["source_token"]) == ["revir", "revir", "enots", "enots"]
    assert frame.mass.sum() == pytest.approx(1) and plan.to_frame("polars")["mass"].sum() == pytest.approx(1)
    saved = np.load(plan.save(tmp_path / "plan.npz"))
    np.testing.assert_array_equal(saved["plan"], plan.plan)
    assert plan.save(tmp_path / "plan.svg").stat().st_size > 0
    with pytest.raises(ow.InputError, match="exported as"):
        plan.save(tmp_path / "plan.txt")
    with pytest.raises(ow.InputError, match="epsilon"):
        finished.plan("revir", "river", epsilon=-1)


def test_evaluate_elsewhere_keeps_what_the_run_fitted(tiny: Any, tmp_path: Path) -> None:
    """On its own collection the run reaches its own scores, with its own mean and checkpoints."""
    # an evaluation elsewhere has no training loop, and computes in the precision that this is
    settings = tiny.settings(training={"precision": "auto"})
    finished = ow.run(settings, results=tmp_path / "mine.duckdb", progress=False)
    same = {
        "name": "bitext",
        "label": "again",
        "bitext": [{"path": str(tiny.test["sw"]), "language": "sw"}],
    }
    again = ow.evaluate(finished, same, progress=False)
    assert (again.config.kind, again.results) == ("evaluate", finished.results)
    values = [[score.value for score in run.scores()] for run in (again, finished)]
    assert values[0] == pytest.approx(values[1], abs=1e-3)
    once_more = ow.evaluate(again, [same], name="third", evaluation={"depth": 10}, progress=False)
    assert once_more.name == "third" and once_more.config.evaluation.depth == 10
    assert once_more.scores()[0].value == pytest.approx(values[0][0], abs=1e-3)
    with pytest.raises(ow.InputError, match="tatoebba"):
        ow.evaluate(finished, "tatoebba", progress=False)
