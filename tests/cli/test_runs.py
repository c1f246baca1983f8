from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from engine.cli.commands import run as run_command
from engine.cli.tables import cut_middle
from engine.collections.bitext import make_bitext_collection
from engine.extensions.bitext import SentencePair
from engine.extensions.collections import protocol_measures
from engine.results import ingest as ingesting
from engine.results import run_lock
from engine.results.database import exclusive

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def test_a_list_of_runs_as_json(call, make_run, zero, better):
    first = make_run("zero-shot", zero, zero_shot=True)
    second = make_run("student", better, config={"tags": ["t"], "note": "n"})
    code, out, err = call("runs", "--json")
    assert (code, err) == (0, "")
    listed = json.loads(out)
    assert [run["id"] for run in listed] == [second.id, first.id]
    assert listed[0].keys() == {
        *("id", "name", "kind", "state", "failure", "tags", "note", "created", "started", "ended"),
        *("place", "unchanged", "encoder", "languages", "headline", "folder_missing"),
    }
    assert not any(run["folder_missing"] for run in listed)
    assert listed[0]["created"] == "2026-01-02T10:00:00+00:00"
    assert [run["kind"] for run in listed] == ["distil", "evaluate"]
    assert [run["languages"] for run in listed] == [["so", "sw"], ["so", "sw"]]
    assert listed[0]["encoder"] == "multilingual-e5-small"
    head = listed[1]["headline"]
    # (0.5 + 0.5 + 0.25 + 1 + 0.2 + 0.1) / 6 = 0.425 and 4.75 / 6, each language weighing the same
    assert head.pop("value") == pytest.approx((0.425 + 4.75 / 6) / 2)
    assert head == {
        "collection": "bitext",
        "protocol": "bitext",
        "scoring": "maxsim",
        "direction": "xx-en",
        "measure": "RR",
        "languages": 2,
    }


def test_the_headline_is_of_the_first_collection_and_its_main_measure(call, make_run, zero, add_scores):
    config = {
        "collections": [{"name": "tatoeba", "directions": ["en-xx"]}, {"name": "lareqa"}],
        "evaluation": {"scoring": ["dense", "maxsim"]},
    }
    run = make_run("both", config=config)
    for scoring in ("maxsim", "dense"):
        for measure in ("RR", "Success@1"):
            figure = {"collection": "tatoeba", "protocol": "xtreme-r", "direction": "en-xx"}
            add_scores(run, zero, **figure, scoring=scoring, measure=measure)
    add_scores(run, zero, collection="lareqa", protocol="xtreme-r", direction="xx-xx", measure="mAP@20")
    head = json.loads(call("runs", "--json").out)[0]["headline"]
    assert (head["collection"], head["scoring"], head["measure"]) == ("tatoeba", "dense", "Success@1")
    # Every language has a revision of its own, and yet there is one mean over both.
    assert head["languages"] == 2 and head["value"] == pytest.approx((0.425 + 4.75 / 6) / 2)


def test_the_order_of_measures_is_the_collections_own():
    pairs = [SentencePair("a b", "c d", "so", "en", "1")]
    assert make_bitext_collection("bitext", pairs).measures == protocol_measures("bitext")


def test_a_run_whose_process_is_gone_has_crashed(call, make_run):
    run = make_run("gone", state="running")
    assert json.loads(call("runs", "--json").out)[0]["state"] == "running"
    run_lock.release(run.path)
    assert json.loads(call("runs", "--json").out)[0]["state"] == "crashed"
    assert json.loads(call("show", "gone", "--json").out)["state"] == "crashed"
    # A filter sees the state that is shown.
    assert len(json.loads(call("runs", "--json", "--filter", "state=crashed").out)) == 1
    assert json.loads(call("runs", "--json", "--filter", "state=running").out) == []


def test_filters(call, make_run, zero, better):
    make_run("zero-shot", zero, zero_shot=True)
    make_run("student", better)
    assert "student" in call("runs", "--filter", "RR>0.7").out
    assert "zero-shot" not in call("runs", "--filter", "RR>0.7").out
    code, out, err = call("runs", "--filter", "nothing-is-called-so")
    assert (code, out, err) == (0, "", "no run matches\n")
    code, out, err = call("runs", "--filter", "sate=finished")
    assert (code, out) == (2, "") and "'state'" in err and err.count("\n") == 1
    assert call("runs", "--filter", "(so").code == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch, results: Path, columns: int, *arguments: str) -> str:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    assert run_command([*arguments, "--results", str(results)]) == 0
    return screen.getvalue()


@pytest.mark.parametrize("command", [["runs"], ["show", "zero-shot"], ["compare", "zero-shot", "student"]])
def test_a_terminal_and_a_pipe_show_the_same(call, make_run, zero, better, results, monkeypatch, command):
    make_run("zero-shot", zero, zero_shot=True)
    make_run("student", better)
    piped = call(*command).out
    assert "\x1b" not in piped and not re.search(r" +$", piped, re.MULTILINE)
    monkeypatch.delenv("NO_COLOR", raising=False)
    wide = on_terminal(monkeypatch, results, 400, *command)
    assert "\x1b" in wide
    trimmed = [line.rstrip() for line in ANSI.sub("", wide).splitlines()]
    assert trimmed == piped.splitlines()
    if command == ["runs"]:
        return
    # A narrow terminal wraps, but every character is still there.
    narrow = ANSI.sub("", on_terminal(monkeypatch, results, 40, *command))
    assert sorted(re.sub(r"\s", "", narrow)) == sorted(re.sub(r"\s", "", piped))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", on_terminal(monkeypatch, results, 400, *command))


def test_a_table_of_runs_fits_the_terminal(call, make_run, zero, better, results, monkeypatch):
    long = "transport-contrast-with-a-long-name-of-its-own"
    runs = [make_run(f"{long}-{number}", values) for number, values in enumerate((zero, better))]
    piped = call("runs").out
    assert all(run.id in piped and f"{long}-{number}" in piped for number, run in enumerate(runs))
    assert "…" not in piped and "languages" in piped.splitlines()[0]
    monkeypatch.setenv("NO_COLOR", "1")
    sizes = {}
    for columns in (80, 100, 120, 160):
        text = ANSI.sub("", on_terminal(monkeypatch, results, columns, "runs"))
        lines = text.splitlines()
        assert len(lines) == 3 and max(map(len, lines)) <= columns
        # 4.75 / 6 and 4.3 / 6: (1 + 1 + 0.5 + 1 + 0.5 + 0.2) / 6 = 0.7 and 5 / 6; a measure is never cut
        assert "RR 0.767" in lines[1] and "RR 0.608" in lines[2]
        assert {"state", "id", "name", "score", "on", "age"} <= set(lines[0].split())
        sizes[columns] = sum(map(len, lines[0].split()))
        identity, name = lines[1].split()[1:3]
        assert "…" in name
        monkeypatch.undo()
        monkeypatch.setenv("NO_COLOR", "1")
        assert json.loads(call("show", identity, "--json").out)["id"] == runs[1].id
        assert json.loads(call("show", name, "--json").out)["id"] == runs[1].id
    assert sizes[80] <= sizes[100] <= sizes[160] and sizes[80] < sizes[160]
    code, _, err = call("show", "transp…its-own-…")
    assert code == 2 and "there is no run" in err


def test_cells_are_cut_in_their_middle():
    assert cut_middle("abcdefgh", 8) == "abcdefgh"
    assert [cut_middle("abcdefgh", width) for width in (7, 4, 1)] == ["abc…fgh", "ab…h", "…"]
    assert cut_middle("検索検索検索", 7) == "検…索"
    assert cell_len(cut_middle("हिन्दी हिन्दी हिन्दी", 9)) <= 9


def test_scripts_that_are_wide_or_combining_line_up(call, make_run, results):
    for name in ("機器翻訳", "क्षत्रिय", "plain"):
        make_run(name)
    from rich.cells import cell_len

    lines = call("runs").out.splitlines()
    # The kind stands in one column, measured in cells.
    assert len({cell_len(line[: line.index(" distil ")]) for line in lines[1:]}) == 1


def test_show_tells_everything(call, make_run, zero, results):
    reference = "A line of reference: .0909."
    run = make_run(
        "student",
        zero,
        collection="lareqa",
        summary={"best_step": 100, "references": {"lareqa": reference}},
        config={"preset": "optical", "tags": ["one", "two"], "note": "a remark"},
    )
    for step, value in ((0, 0.25), (50, 0.75), (100, 1.0), (150, 0.5)):
        run.log(step, {"held_out_rr": value, "loss": 1.0}, step * 0.5)
    dropped = '{"empty": 3, "ratio": 1}'
    source = {"name": "x.tsv", "source_language": "so", "target_language": "en", "pairs": 2100}
    run.write_table("bitext", [{**source, "dropped": dropped, "hash": "h"}])
    run.update(started="2026-01-01T10:00:00+00:00", ended="2026-01-01T10:20:00+00:00")
    code, out, err = call("show", run.id)
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert f"run {run.id}" in lines and "command optical-workbench run 'a b.toml'" in lines
    assert {"preset optical", "seed 7", "took 20 min", "best step 100", "note a remark"} <= set(lines)
    assert "held-out RR 0.250 ▁▆█▃ 0.500 (steps 0 to 150, best 1.000)" in lines
    assert "x.tsv so-en 2,100 empty 3, ratio 1" in lines
    assert "lareqa · bitext · maxsim · xx-en · revision rev1" in lines
    assert "so Somali 6 0.425 [0.100, 1.000]" in lines and reference in lines
    assert "mean 0.608" in lines
    told = json.loads(call("show", run.id[:18], "--json").out)
    assert told["held_out"] == {
        "best_step": 100,
        "figure": "held_out_rr",
        "steps": [0, 50, 100, 150],
        "values": [0.25, 0.75, 1.0, 0.5],
    }
    assert told["bitext"][0]["dropped"] == {"empty": 3, "ratio": 1}
    assert told["config"]["training"]["steps"] == 300 and told["created"] == "2026-01-01T10:00:00+00:00"
    (scores,) = told["scores"]
    assert scores.keys() == {
        *("collection", "protocol", "scoring", "direction"),
        *("reference", "means", "figures"),
    }
    assert scores["reference"] == reference and scores["figures"][0] == {
        "language": "so",
        "query_language": "so",
        "document_language": "en",
        "revision": "rev1",
        "measure": "RR",
        "value": pytest.approx(0.425),
        "low": 0.1,
        "high": 1.0,
        "queries": 6,
    }


def test_the_reference_line_of_an_evaluated_collection_is_shown(call, make_run, tiny, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    from engine.config import CollectionConfig, EncoderConfig, EvaluationConfig
    from engine.encoders.encoder import Encoder
    from engine.evaluation import runner

    for code in ("en", "de"):
        answer = {"answer_start": 0, "text": "Ann"}
        asked = {"id": "q1", "question": f"who ({code})", "answers": [answer]}
        paragraph = {
            "context": "Ann ran.",
            "sentences": ["Ann ran."],
            "sentence_breaks": [[0, 8]],
            "qas": [asked],
        }
        content = {"data": [{"title": "t", "paragraphs": [paragraph]}]}
        (tmp_path / "x").mkdir(exist_ok=True)
        (tmp_path / "x" / f"{code}.json").write_text(json.dumps(content))
    # What is encoded plays no part in the line: both sentences are relevant, so finding one scores a half.
    made = lambda _, texts, *others, **options: {"sentences": torch.ones(len(texts), 2)}  # noqa: E731
    for name in ("vectors_of", "pool_vectors"):
        monkeypatch.setattr(runner, name, made)
    encoder = Encoder.load(EncoderConfig(**tiny.encoder(centring=False)))
    run = make_run("evaluated")
    collection = CollectionConfig(name="lareqa", path=str(tmp_path / "x"), label="questions")
    runner.evaluate(
        [collection],
        EvaluationConfig(scoring=["dense"]),
        queries=encoder,
        documents=encoder,
        precision=torch.float32,
        run=run,
    )
    out = call("show", "evaluated").out
    assert "questions · sentence · dense · xx-xx" in out and "1/2 = 0.5000" in out
    assert "references" not in out and out.count("1/2 = 0.5000") == 1
    scores, *bias = json.loads(call("show", "evaluated", "--json").out)["scores"]
    assert [group["protocol"] for group in bias] == [
        "sentence/bias",
        "sentence/by-language",
        "sentence/share",
    ]
    assert "1/2 = 0.5000" in scores["reference"] and scores["means"] == {"mAP@20": 1.0, "AP": 1.0}


def test_show_of_a_failed_run_and_a_diverged_curve(call, make_run):
    run = make_run("bad", state="running")
    run.log(0, {"held_out_rr": 0.5}, 1.0)
    run.log(1, {"held_out_rr": float("nan")}, 2.0)
    run.finish("failed", "the loss is not a number")
    out = call("show", "bad").out
    assert "the loss is not a number" in out and "▁·" in out
    assert json.loads(call("show", "bad", "--json").out)["held_out"]["values"] == [0.5, "NaN"]


def test_what_does_not_exist_is_one_sentence(call, make_run, results):
    code, out, err = call("runs")
    assert (code, out) == (2, "") and "there is no such results database" in err
    make_run("student")
    for arguments in (
        ("show", "studnet"),
        ("stop", "studnet"),
        ("show", "2026"),
        ("compare", "student", "x"),
    ):
        make_run("student")
        code, out, err = call(*arguments)
        assert (code, out) == (2, "") and err.count("\n") == 1, arguments
    assert "did you mean 'student'" in call("show", "studnet").err
    assert call("show").code == 2


def test_a_broken_run_folder_keeps_nobody_from_the_rest(call, make_run, results):
    make_run("good")
    broken = results.parent / "runs" / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    code, out, err = call("runs")
    assert code == 0 and "good" in out and "broken" in err and "Traceback" not in err


def test_names_cannot_steer_the_terminal(call, make_run):
    make_run("evil\x1b[2Jname\nnext")
    out = call("runs").out
    assert "\x1b" not in out and r"evil\x1b[2Jname\nnext" in out and len(out.splitlines()) == 2


STOPPABLE = f"""
import signal, sys, pathlib
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from engine.results.run_folder import RunFolder
run = RunFolder.open(pathlib.Path(sys.argv[1]))
def save(*_):
    run.finish("stopped"); sys.exit(0)
signal.signal(signal.SIGTERM, save)
run.resume([])
print("ready", flush=True)
signal.pause()
"""


def test_stop(call, make_run):
    run = make_run("long", state="running")
    run_lock.release(run.path)
    command = [sys.executable, "-c", STOPPABLE, str(run.path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        code, out, err = call("stop", "long", "--json")
        assert code == 0 and json.loads(out) == {"id": run.id, "state": "stopped"} and run.id in err
        assert process.wait(10) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()
    assert json.loads(call("runs", "--json").out)[0]["state"] == "stopped"
    code, out, err = call("stop", "long")
    assert code == 2 and "there is nothing to stop" in err


def test_a_reader_does_not_need_the_lock(call, make_run, results, monkeypatch):
    run = make_run("one")
    assert call("runs").code == 0
    soon = lambda place, runs: ingesting.ingest(place, runs, wait=0.05)  # noqa: E731
    monkeypatch.setattr("engine.results.refresh.ingest", soon)
    with exclusive(results):
        # Nothing is new, so nobody waits and nothing is said.
        code, out, err = call("runs")
        assert code == 0 and run.id in out and not err
        make_run("two")
        for command in (
            ["runs"],
            ["show", "one"],
            ["sql", "SELECT name FROM runs"],
            ["export", "runs", "x.csv"],
        ):
            if command[0] == "export":
                command[2] = str(results.with_name("x.csv"))
            code, out, err = call(*command)
            assert code == 0 and "two" not in out
            assert err.count("\n") == 1 + (command[0] == "export")
            assert "is writing to it; try again in a moment; what is read is the database as it was" in err
    assert "two" in call("runs").out


def test_busy_is_3_and_interrupted_130(call, make_run, results, monkeypatch):
    make_run("one")
    soon = lambda place, runs: ingesting.ingest(place, runs, wait=0.05)  # noqa: E731
    monkeypatch.setattr("engine.results.refresh.ingest", soon)
    with exclusive(results):
        code, out, err = call("runs")  # there is no database yet that could be read
    assert (code, out) == (3, "") and "try again in a moment" in err

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.results.refresh.ingest", interrupt)
    assert call("runs").code == 130


def test_the_program_itself_and_what_it_imports(make_run, results, zero):
    make_run("one", zero)
    program = Path(sys.executable).with_name("optical-workbench")
    command = [str(program), "runs", "--json", "--results", str(results)]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    shown = [str(program), "show", "one", "--results", str(results)]
    done = subprocess.run(shown, capture_output=True, text=True, env=ascii_only)
    assert done.returncode == 0 and r"bitext \xb7 maxsim" in done.stdout and done.stderr == ""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)[0]["name"] == "one" and done.stderr == ""
    code = """
import sys
import engine.cli
from engine.cli.commands import run
place = ["--results", sys.argv[1]]
codes = [
    run(["runs", *place]),
    run(["show", "one", *place]),
    run(["compare", "one", "one", *place]),
    run(["sql", "FROM runs", *place]),
    run(["config", "presets"]),
    run(["encoders", "list", *place]),
    run(["data", "list"]),
]
print(codes, sorted({"torch", "transformers", "faiss", "ot"} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(results)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stderr.splitlines()[-1] == "[0, 0, 2, 0, 0, 0, 0] []"


def test_ages_and_sparklines():
    from engine.cli.tables import size_text, sparkline
    from engine.durations import age_text

    now = datetime(2026, 1, 10, tzinfo=UTC)
    ages = {3: "3 s", 300: "5 min", 3 * 3600: "3 h", 5 * 86400: "5 d"}
    for seconds, text in ages.items():
        assert age_text((now - timedelta(seconds=seconds)).replace(tzinfo=None), now) == text
    sizes = {0: "0 B", 999: "999 B", 1500: "1.5 kB", 22_000_000: "22 MB", 4.2e12: "4.2 TB"}
    assert {count: size_text(count) for count in sizes} == sizes
    assert sparkline([1.0, 1.0]) == "▁▁" and sparkline([]) == ""
    assert sparkline(list(range(8))) == "▁▂▃▄▅▆▇█"
    long = sparkline([float(n) for n in range(600)], width=60)
    assert len(long) == 60 and long[0] == "▁" and long[-1] == "█" and list(long) == sorted(long)


@pytest.mark.parametrize(
    "command",
    [["runs"], ["show", "x"], ["sql", "SELECT 1"], ["compare", "x", "y"], ["study", "x"], ["tag", "x", "y"]],
)
def test_every_command_that_reads_runs_says_that_there_are_none(call, results, command):
    (results.parent / "reslts.duckdb").touch()
    code, out, err = call(*command)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "there is no such results database" in err and "did you mean 'reslts.duckdb'?" in err
    assert not results.exists()


@pytest.mark.slow
def test_commands_that_need_no_runs_work_without_results(call, results):
    code, out, err = call("encoders", "list")
    assert code == 0 and "multilingual-e5-small" in out and "there is no such results database" in err
    code, out, err = call("study")
    assert code == 0 and "arms" in out and "this is the reference study" in err


def test_the_disk_of_runs(call, make_run):
    large, small = make_run("large"), make_run("small")
    (large.checkpoints / "student").mkdir()
    (large.checkpoints / "student" / "model.safetensors").write_bytes(bytes(2_000_000))
    listed = json.loads(call("runs", "--sizes", "--json").out)
    assert [run["bytes"]["encoders"] for run in listed] == [0, 2_000_000]
    lines = call("runs", "--sizes").out.splitlines()
    assert lines[0].split()[:3] == ["run", "state", "encoders"]
    assert lines[1].startswith(large.id) and "2.0 MB" in lines[1]
    assert lines[2].startswith(small.id) and lines[3].startswith("2 runs")


def test_what_can_be_made_again_is_deleted_after_asking(call, make_run, zero, monkeypatch):
    run = make_run("done", zero)
    (run.checkpoints / "student").mkdir()
    (run.checkpoints / "student" / "model.safetensors").write_bytes(bytes(3000))
    code, out, err = call("prune", "--encoders")
    assert code == 2 and "3.0 kB" in out and "add --yes" in err
    code, out, err = call("prune", "--encoders", "--filter", "name=done", "--dry-run", "--json")
    told = json.loads(out)
    assert code == 0 and not told["deleted"] and [item["owner"] for item in told["items"]] == [run.id]
    assert (run.checkpoints / "student").is_dir()
    scores = call("show", run.id, "--json").out
    code, out, err = call("prune", "--encoders", "--filter", "name=done", "--yes")
    assert code == 0 and "3.0 kB deleted" in err
    assert not (run.checkpoints / "student").exists()
    assert call("show", run.id, "--json").out == scores
    assert "nothing to delete" in call("prune", "--filter", "name=done", "--yes").err
