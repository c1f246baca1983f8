"""Runs as a whole: what they leave in their folder, however they end."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors import SafetensorError

from engine.config import parse_config
from engine.errors import DivergedError, InputError, OpticalError
from engine.evaluation.finished_run import encoders_of
from engine.evaluation.scores import Scores
from engine.inspect.explain import explain
from engine.inspect.plan import encode_pair, solve_pair, transport_settings
from engine.inspect.search import Searcher
from engine.jobs.state import state_of
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder, tail
from engine.runs.execute import execute

Executed = tuple[RunFolder, list[Scores]]
Execute = Callable[..., Executed]
QUICK = {"steps": 4, "evaluate_every": 2}


@pytest.fixture
def carry_out(tiny: Any, tmp_path: Path) -> Execute:
    """A function that carries out a run of the tiny checkpoint."""

    def carry_out(*languages: str, reporter: Reporter | None = None, **changes: Any) -> Executed:
        config = parse_config(tiny.settings(*languages, **changes))
        return execute(config, tmp_path / "runs", ["test"], reporter=reporter or Reporter())

    return carry_out


@pytest.fixture(scope="module")
def finished(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """A finished distillation of two languages, scored by MaxSim and by sentence vectors."""
    home = tmp_path_factory.mktemp("finished")
    settings = tiny.settings(
        "sw", "mr", evaluation={"scoring": ["maxsim", "dense"]}, teacher={"passage_prefix": "query: "}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        return execute(parse_config(settings), home / "runs", ["test"])


@pytest.fixture(scope="module")
def zero_shot(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """The same collection searched with the checkpoint as it is."""
    home = tmp_path_factory.mktemp("zero")
    settings = tiny.settings("sw", "mr", teacher={"passage_prefix": "query: "})  # the task is symmetric
    config = {"kind": "evaluate", "encoder": settings["teacher"], "collections": settings["collections"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        return execute(parse_config(config), home / "runs", ["test"])


def rows(run: RunFolder, table: str) -> list[dict[str, Any]]:
    return [
        row for file in sorted(run.path.glob(f"{table}*.parquet")) for row in pq.read_table(file).to_pylist()
    ]


def test_distillation_beats_zero_shot_on_sentences_it_never_saw(
    finished: Executed, zero_shot: Executed
) -> None:
    (maxsim, _), (before,) = finished[1], zero_shot[1]
    assert before.macro("RR") < 0.25  # 25 sentences, .15 by chance
    assert maxsim.macro("RR") > 0.5
    for language in ("sw", "mr"):
        means = [{m.query_language: m.value for m in s.means if m.measure == "RR"} for s in (before, maxsim)]
        assert means[1][language] > means[0][language] + 0.3


def test_what_a_finished_run_leaves(finished: Executed, tiny: Any) -> None:
    run, scores = finished
    assert state_of(run.path) == "finished" and run.record["failure"] is None
    assert run.record["device"] in ("cpu", "cuda")
    assert {row["measure"] for row in rows(run, "scores")} == {"RR", "R@1", "R@10", "Success@1"}
    stored = {
        (r["query_language"], r["scoring"]): r["value"] for r in rows(run, "scores") if r["measure"] == "RR"
    }
    told = {(m.query_language, s.scoring): m.value for s in scores for m in s.means if m.measure == "RR"}
    assert stored == told and len(stored) == 4
    assert len(rows(run, "query_scores")) == 2 * 2 * 25 * 4
    assert len(rows(run, "rankings")) == 2 * 2 * 25 * 25
    bitext = rows(run, "bitext")
    assert [(row["name"], row["source_language"], row["pairs"]) for row in bitext] == [
        (str(tiny.training["sw"]), "sw", 120),
        (str(tiny.training["mr"]), "mr", 120),
    ]
    assert bitext[0]["hash"] != bitext[1]["hash"]
    records = tail(run.metrics_path).records
    assert [r.step for r in records if "loss" in r.metrics] == list(range(1, 61))
    best = max(r.metrics["held_out_rr"] for r in records if "held_out_rr" in r.metrics)
    assert run.record["summary"]["held_out_rr"] == best
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["student", "teacher"]


def test_the_plans_of_held_out_pairs_are_kept(finished: Executed) -> None:
    run, _ = finished
    plans = rows(run, "plans")
    assert [row["source_language"] for row in plans] == ["sw"] * 8 + ["mr"] * 8
    for row in plans:
        assert row["source_tokens"] == row["source_text"].split()
        assert row["target_tokens"] == row["target_text"].split()
        plan = torch.tensor(row["plan"]).view(len(row["source_tokens"]), len(row["target_tokens"]))
        assert torch.allclose(plan.sum(1), torch.full((len(plan),), 1 / len(plan)), atol=0.02)
        cost = torch.tensor(row["cost"]).view_as(plan)
        assert row["value"] == pytest.approx(float((plan * cost).sum()), abs=1e-5)
    right = sum(
        token.removeprefix("q")[::-1] == row["target_tokens"][int(torch.tensor(best).argmax())]
        for row in plans
        for token, best in zip(
            row["source_tokens"],
            torch.tensor(row["plan"]).view(len(row["source_tokens"]), -1).tolist(),
            strict=True,
        )
    )
    assert right > 0.7 * sum(len(row["source_tokens"]) for row in plans)  # the ciphers' words were aligned


def test_a_plan_of_a_typed_pair_is_that_of_the_held_out_pair(finished: Executed) -> None:
    run, _ = finished
    student, teacher = encoders_of(run)
    config = parse_config(run.record["config"])
    assert config.kind == "distil"
    kept = rows(run, "plans")[0]
    texts = {"source": kept["source_text"], "target": kept["target_text"]}
    pair = encode_pair(student, teacher, **texts, target_role="query")
    typed = solve_pair(pair, config.transport, language="sw")
    for name in ("source_tokens", "target_tokens", "solver"):
        assert getattr(typed, name) == kept[name]
    assert torch.allclose(torch.tensor(typed.plan).flatten(), torch.tensor(kept["plan"]).flatten(), atol=1e-3)
    assert typed.value == pytest.approx(kept["value"], abs=1e-3)
    for side in ("source", "target"):
        with pytest.raises(InputError, match=f"the {side} sentence is empty"):
            encode_pair(student, teacher, **{**texts, side: ""}, target_role="query")
    with pytest.raises(InputError, match="kept no document frequencies"):
        solve_pair(pair, transport_settings(config, {"marginals": "idf"}), language="sw")


@pytest.mark.parametrize(
    "settings", [{"query_expansion": True}, {"special_tokens": True, "prefix_tokens": True}]
)
def test_plans_name_whatever_tokens_count(carry_out: Execute, tiny: Any, settings: dict[str, bool]) -> None:
    run, _ = carry_out(teacher=tiny.encoder(**settings), training=QUICK)
    kept = rows(run, "plans")[0]
    words, target = kept["source_text"].split(), kept["target_text"].split()
    if "query_expansion" in settings:
        expected = words + ["[MASK]"] * (24 - 4 - len(words))
        target += ["[MASK]"] * (24 - 4 - len(target))
    else:
        expected = ["[CLS]", "query", ":", *words, "[SEP]"]
        target = ["[CLS]", "query", ":", *target, "[SEP]"]
    assert kept["source_tokens"] == expected
    assert kept["target_tokens"] == target
    student, teacher = encoders_of(run)
    config = parse_config(run.record["config"])
    assert config.kind == "distil"
    texts = {"source": kept["source_text"], "target": kept["target_text"]}
    pair = encode_pair(student, teacher, **texts, target_role="query")
    typed = solve_pair(pair, config.transport, language="sw")
    assert typed.source_tokens == expected and typed.target_tokens == target


def test_one_seed_gives_one_result(carry_out: Execute) -> None:
    (first, _), (second, _) = (carry_out(training=QUICK, loss={"negatives": 8}) for _ in range(2))
    for table in ("query_scores", "rankings", "plans", "bitext"):
        assert rows(first, table) == rows(second, table), table
    for key in ("best_step", "held_out_rr"):
        assert first.record["summary"][key] == second.record["summary"][key]


def test_zero_shot_runs_repeat_themselves(zero_shot: Executed, tiny: Any, tmp_path: Path) -> None:
    run, _ = zero_shot
    again, _ = execute(parse_config(run.record["config"]), tmp_path / "runs", ["test"])
    assert rows(again, "query_scores") == rows(run, "query_scores")
    settings = {**run.record["config"], "encoder": tiny.encoder(projection="linear", projection_dim=4)}
    drawn = [
        execute(parse_config({**settings, "seed": s}), tmp_path / "runs", ["test"])[0] for s in (1, 1, 2)
    ]
    scores = [rows(run, "rankings") for run in drawn]
    assert scores[0] == scores[1] != scores[2]  # a projection that nobody trained comes from the seed


@pytest.mark.parametrize("documents", ["teacher", "student"])
def test_search_finds_what_the_evaluation_found(carry_out: Execute, documents: str) -> None:
    run, (scores,) = carry_out(evaluation={"documents": documents})
    searcher = Searcher(run, "sw", precision=torch.float32)
    for query in scores.collection.queries[:5]:
        hits = searcher.search(query.text, 5)
        place = scores.ranking.query_ids.index(query.id)
        assert [hit.document for hit in hits] == scores.ranking.document_ids[place][:5]
        assert [hit.score for hit in hits] == pytest.approx(scores.ranking.scores[place][:5], abs=1e-3)
        assert [hit.grade for hit in hits] == [
            scores.collection.judgements[query.id].get(hit.document) for hit in hits
        ]
        matches = explain(searcher, query.text, hits[0].document)
        assert [match.query_token for match in matches] == query.text.split()
        assert {match.document_token for match in matches} <= set(hits[0].text.split())
        assert sum(m.score for m in matches) / len(matches) == pytest.approx(hits[0].score, abs=1e-3)
    assert {hit.grade for hit in searcher.search("river stone")} == {None}
    for text, sentence in {
        " ": "the query is empty",
        "a\x07b": r"control character U\+0007",
        "a \ud800": r"control character U\+D800",
        "a" * 10_000: "10,000 characters",
    }.items():
        with pytest.raises(InputError, match=sentence):
            searcher.search(text)
    with pytest.raises(InputError, match="no document 'en:999'"):
        explain(searcher, "revir", "en:999")
    assert searcher.is_cut("revir " * 40) and not searcher.is_cut("revir " * 10)


def test_grades_are_those_of_the_query_in_its_own_language(
    carry_out: Execute, tiny: Any, tmp_path: Path
) -> None:
    """One text may be a query of two languages with other answers."""
    collections = []
    for code, answer in (("sw", "river stone"), ("mr", "cloud horse")):
        path = tmp_path / f"{code}.tsv"
        path.write_text(f"revir enots\t{answer}\n", "utf-8")
        collections.append({"path": str(path), "language": code})
    given = [{"name": "bitext", "bitext": collections}]
    run, _ = carry_out(training=QUICK, collections=given)
    for code, answer in (("sw", "river stone"), ("mr", "cloud horse")):
        hits = Searcher(run, code, precision=torch.float32).search("revir enots")
        assert {hit.text for hit in hits if hit.grade} == {answer}


def test_a_document_without_tokens_is_never_found(carry_out: Execute, tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("...\n!!\nriver river river\n", "utf-8")
    given = tiny.settings()["collections"][0] | {"distractors": [str(tmp_path / "lines.txt")]}
    run, _ = carry_out(training=QUICK, teacher=tiny.encoder(punctuation=False), collections=[given])
    searcher = Searcher(run, "sw", precision=torch.float32)
    hits = searcher.search("revir", 1000)
    assert len(searcher.collection.documents) == 28 and len(hits) == 26
    for hit in hits:
        explain(searcher, "revir", hit.document)


def test_unknown_collections_and_languages_are_named(finished: Executed) -> None:
    run, _ = finished
    with pytest.raises(InputError, match=r"no collection 'cipher' \(did you mean 'ciphers'\?\)"):
        Searcher(run, "sw", collection="cipher", precision=torch.float32)
    with pytest.raises(InputError, match="language"):
        Searcher(run, "swahilii", precision=torch.float32)


def test_a_run_without_encoders_or_collections_cannot_be_asked(carry_out: Execute, tmp_path: Path) -> None:
    run, scores = carry_out(training=QUICK, collections=[])
    assert scores == []
    with pytest.raises(InputError, match="evaluated on no collection"):
        Searcher(run, "sw", precision=torch.float32)
    (run.path / "checkpoints" / "student" / "optical.safetensors").unlink()
    with pytest.raises(InputError, match="has no encoders"):
        encoders_of(run)


class AtStep(Reporter):
    """Does something after a number of training steps."""

    def __init__(self, steps: int, act: Callable[[], None]) -> None:
        self.left, self.act, self.training = steps, act, False

    def stage(self, name: str, total: int) -> None:
        self.training = name == "training"

    def advance(self, parts: int = 1) -> None:
        self.left -= self.training
        if self.training and self.left == 0:
            self.act()


def only_run(tmp_path: Path) -> RunFolder:
    (folder,) = (tmp_path / "runs").iterdir()
    return RunFolder.open(folder)


def test_a_run_told_to_stop_keeps_its_student(carry_out: Execute, tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    reporter = AtStep(30, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        carry_out(reporter=reporter)
    run = only_run(tmp_path)
    assert state_of(run.path) == "stopped"
    assert run.record["summary"]["best_step"] == 20
    student, teacher = encoders_of(run)
    assert (
        student.model.get_input_embeddings().weight.shape == teacher.model.get_input_embeddings().weight.shape
    )
    records = tail(run.metrics_path).records
    assert max(r.step for r in records) == 30
    assert rows(run, "scores") == []
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_run_that_diverges_has_failed(carry_out: Execute, tmp_path: Path) -> None:
    with pytest.raises(DivergedError) as caught:
        carry_out(training={"learning_rate": 1e3})
    run = only_run(tmp_path)
    assert state_of(run.path) == "failed"
    assert run.record["failure"] == str(caught.value)
    assert not (run.path / "checkpoints").exists()


FULL = [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
]


@pytest.mark.parametrize("error", FULL)
@pytest.mark.parametrize("which", ["state", "weights", "fitted", "frequencies"])
def test_a_full_disk_fails_the_run_in_one_sentence(
    carry_out: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, which: str
) -> None:
    def write(*_: Any, **__: Any) -> None:
        raise error

    place = {
        "state": "engine.training.state.save_file",
        "weights": "transformers.BertModel.save_pretrained",
        "fitted": "safetensors.torch.save_file",
        "frequencies": "engine.evaluation.document_frequencies.save_file",
    }[which]
    with monkeypatch.context() as patch:
        patch.setattr(place, write)
        patch.setattr("engine.retrieval.entries.save_file", lambda *_: None)
        with pytest.raises(OpticalError, match="No space left on device") as caught:
            carry_out(training=QUICK, transport={"marginals": "idf"})
    assert "\n" not in str(caught.value)
    run = only_run(tmp_path)
    assert state_of(run.path) == "failed"
    assert run.record["failure"] == str(caught.value)
    left = sorted(path.name for path in (run.path / "checkpoints").iterdir())
    state = [] if which == "state" else ["state.safetensors"]  # with room again, the run can be resumed
    assert left == state + (["student", "teacher"] if which == "frequencies" else [])


def test_a_full_disk_while_metrics_are_written(
    carry_out: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: Any) -> None:
        raise OpticalError("metrics.jsonl: cannot be written: No space left on device")

    monkeypatch.setattr("engine.results.run_folder.append", write)
    with pytest.raises(OpticalError, match="No space left"):
        carry_out(training=QUICK)
    assert state_of(only_run(tmp_path).path) == "failed"


def test_a_missing_file_fails_before_anything_is_trained(carry_out: Execute, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        carry_out(bitext=[{"path": str(tmp_path / "nothing.tsv"), "language": "sw"}])
    run = only_run(tmp_path)
    assert state_of(run.path) == "failed" and "nothing.tsv" in run.record["failure"]


def test_a_run_records_its_speed_and_the_most_memory_it_held(tiny: Any, tmp_path: Path) -> None:
    config = parse_config(tiny.settings("sw", training={"steps": 4, "evaluate_every": 2}))
    run, _ = execute(config, tmp_path / "runs", ["test"])
    summary = RunFolder.open(run.path).record["summary"]
    steps = [record.metrics for record in tail(run.metrics_path).records if "loss" in record.metrics]
    assert summary["pairs_per_second"] == steps[-1]["pairs_per_second"] > 0
    status = Path("/proc/self/status")
    if status.is_file():  # Linux tells it there as well
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        assert summary["peak_memory_bytes"] == pytest.approx(int(line.split()[1]) * 1024, rel=0.1)
