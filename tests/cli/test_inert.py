"""No text of a run, a file's name or an argument reaches a terminal, a log or a spreadsheet as a command."""

from __future__ import annotations

import ast
import contextlib
import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv

import engine.cli
from engine.cli.commands import COMMANDS
from engine.cli.console import ConsoleReporter
from engine.cli.download_progress import DownloadProgress
from engine.cli.output import InertStream
from engine.jobs.child import child_environment, python_command
from engine.jobs.launch import launch
from engine.runs.log import LoggedReporter
from engine.visible import controls, csv_cell, inert_json, visible
from workbench.sql.csv_file import InertCsvWriter

#: An OSC that writes the clipboard, a title, a C1 control, overrides of direction, and what moves the cursor.
EVIL = "\x1b]52;c;ZXZpbA==\x07\x1b]0;owned\x07\x9b2J\x9d0;t\x9c\u202eevil\u2066\x08\r\x7f\u2028\x1b[31m[red]"
FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=", "-", "\uff1d1+1", "-1e5x", "+-1"]
NUMBERS = ["-0.5", "+3", "-.5", "1.", "-1e-5", "+1.5E10"]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A database in a folder whose name is hostile, too."""
    folder = tmp_path / EVIL
    folder.mkdir()
    return folder / "results.duckdb"


def harmless(*texts: str) -> None:
    for text in texts:
        found = controls(text, keep="\n\t")
        assert not found, repr(text[max(0, found[0] - 60) : found[0] + 60])


def test_json_with_escapes_means_the_same() -> None:
    value = {EVIL: [EVIL, "a\nb\tc", "می\u200cخواهم", "👩‍🔬", "\udc80"]}
    text = inert_json(json.dumps(value, ensure_ascii=False, indent=1))
    harmless(text)
    assert json.loads(text) == value and "👩‍🔬" in text


@pytest.mark.parametrize("text", FORMULAS)
def test_a_cell_that_begins_as_a_formula_is_text(text: str) -> None:
    cell = csv_cell(text)
    assert cell[0] == "'" and cell[1:] == visible(text, keep="\t\n")


@pytest.mark.parametrize("value", [*NUMBERS, -0.5, -3, None, True, "", "a=b", "text", "ｍ"])
def test_other_cells_stay(value: object) -> None:
    assert csv_cell(value) == value


def test_the_apps_csv_is_inert(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    texts = [*FORMULAS, *NUMBERS, EVIL, None]
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        table = pa.table({"=x": pa.array(texts).cast(kind), "n": pa.array([-1.5] * len(texts))})
        with InertCsvWriter(str(path), table.schema) as writer:
            for batch in table.to_batches(max_chunksize=5):
                writer.write_batch(batch)
        harmless(path.read_text("utf-8"))
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        assert header == ["'=x", "n"]
        assert rows == [["" if text is None else csv_cell(text), "-1.5"] for text in texts]
    assert arrow_csv.read_csv(path).num_rows


@pytest.fixture
def hostile(make_run: Any, zero: Any, better: Any) -> list[str]:
    """Runs whose names, tags, notes, languages and labels are all hostile; their ids."""
    ids = []
    for name, values in ((f"=a {EVIL}", zero), (f"@b {EVIL}", better)):
        named = {f"=so{EVIL}": values["so"], "sw": values["sw"]}
        run = make_run(
            name, named, zero_shot=True, summary={f"+{EVIL}": EVIL}, collection=f"={EVIL}", scoring=f"+{EVIL}"
        )
        run.update(tags=[f"={EVIL}"], note=f"-{EVIL}")
        run.path.joinpath("log.txt").write_text(f"{EVIL}\n", "utf-8")
        ids.append(run.path.name)
    failed = make_run(f"c {EVIL}", zero_shot=True, state="failed")
    failed.update(failure=EVIL)
    return [*ids, failed.path.name]


@pytest.mark.slow
def test_every_command_with_hostile_text(
    call: Callable[..., Any],
    hostile: list[str],
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPTICAL_DATA", str(tmp_path / EVIL / "data"))
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / EVIL / "cache"))
    (tmp_path / "working folder").mkdir()
    monkeypatch.chdir(tmp_path / "working folder")  # one of the files is named without a folder
    first, second, failed = hostile
    bad = results.parent / f"{EVIL}.toml"
    bad.write_text(f'kind = "evaluate"\n{json.dumps(EVIL)} = 1\n', "utf-8")
    good = results.parent / f"good{EVIL}.toml"
    good.write_text(
        f'kind = "lexical"\nname = {json.dumps(EVIL)}\n[[collections]]\nname = "bitext"\n'
        f'[[collections.bitext]]\nlanguage = "sw"\npath = {json.dumps(f"{results.parent}/{EVIL}.tsv")}\n',
        "utf-8",
    )
    (results.parent / f"{EVIL}.tsv").write_text(f"{EVIL} a\tb {EVIL}\n{EVIL}\tc\n", "utf-8")
    (results.parent / "runs" / f"broken{EVIL}").mkdir()
    (results.parent / "runs" / f"broken{EVIL}" / "run.json").write_text("{", "utf-8")
    folder = results.parent / f"checkpoint{EVIL}"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"auto_map": {EVIL: EVIL}, "model_type": EVIL}), "utf-8")
    everything = "SELECT name, note, tags, summary, failure FROM runs"
    calls = [
        ("runs",), ("runs", "--json"), ("runs", EVIL), ("runs", f"name = '{EVIL}'"),
        *(("show", one) for one in hostile), ("show", first, "--json"), ("show", EVIL),
        ("logs", first), ("logs", EVIL), ("stop", first), ("stop", EVIL),
        ("queue", "list"), ("queue", "list", "--json"), ("queue", "up", EVIL), ("queue", "first", first),
        ("tag", first, f"x{EVIL}"), ("note", first, f"y {EVIL}"), ("rename", second, f"z {EVIL}"),
        ("compare", first, second), ("compare", first, second, "--json"), ("compare", first, second, "--csv"),
        ("compare", first, EVIL), ("compare", first, second, "--measure", EVIL), ("study",), ("study", EVIL),
        ("compare", first, second, "--format", "latex"), ("compare", first, second, "--format", "markdown"),
        ("show", first, "--format", "latex"), ("show", first, "--format", "markdown"),
        ("show", first, "--format", "csv"), ("show", first, "--format", EVIL),
        ("query", first, EVIL), ("query", EVIL, EVIL), ("plan", EVIL, EVIL), ("plan", EVIL),
        ("sql", everything), ("sql", everything, "--json"), ("sql", everything, "--csv"),
        ("sql", f"SELECT '{EVIL}' AS \"{EVIL}\""), ("sql", f"SELECT {EVIL}"), ("sql", EVIL, "--csv"),
        ("export", "runs", str(results.parent / "a.csv")), ("export", "runs", str(results.parent / "a.json")),
        ("export", EVIL, str(results.parent / "a.csv")), ("export", "runs", f"{EVIL}.csv"),
        ("export", "runs", f"{EVIL}/x.csv"), ("export", "runs", f"x.{EVIL}"),
        ("evaluate", EVIL), ("evaluate", first, "--collection", EVIL), ("evaluate", failed),
        ("run", str(bad)), ("run", EVIL), ("run", str(good)), ("run", str(good), "--set", f"{EVIL}={EVIL}"),
        ("data", "list"), ("data", "show", EVIL), ("data", "fetch", EVIL), ("data", "check"),
        ("data", "import", str(good)), ("data", "import", str(results.parent / f"{EVIL}.tsv")),
        ("encoders", "list"), ("encoders", "show", EVIL), ("encoders", "show", str(folder)),
        ("config", "show", str(good)), ("config", "check", str(good)), ("config", "check", str(bad)),
        ("config", "show", EVIL), ("doctor",), ("config", "explain", EVIL),
        ("config", "explain", "transport.epsilon", EVIL), ("prune", "--filter", EVIL), ("runs", "--sizes"),
        ("prune", "--dry-run", "--json"), ("completion", EVIL),
        ("completion", "zsh"), ("man",), ("schema", EVIL), ("schema", "runs"),
        ("config", "estimate", EVIL), ("config", "estimate", str(bad)), ("encoders", "push", EVIL, EVIL),
        ("forget", EVIL), ("import", EVIL), ("import", str(good), "--judgements", str(bad)),
        ("delete", EVIL), ("delete", first, "--yes"),
        ("sweep", EVIL), ("sweep", str(bad)), ("sweep", str(good)), ("runs", "--json"),
        ("demo", EVIL), ("serve", EVIL), ("web", "--host", EVIL), (EVIL,),
        ("runs", f"--{EVIL}"), ("runs", "--limit", EVIL),
    ]  # fmt: skip
    assert {one[0] for one in calls if one[0] != EVIL} == set(COMMANDS)
    for arguments in calls:
        code, printed, said = call(*arguments)
        harmless(printed, said)
        assert code in (0, 1, 2), (arguments, said)
        assert printed or said, arguments
        if "--json" in arguments:
            json.loads(printed)
        if {"--csv", "csv"} & {*arguments} and code == 0:
            for row in csv.reader(io.StringIO(printed)):
                assert not [cell for cell in row if csv_cell(cell) != cell], row
    for written in (results.parent / "a.csv", results.parent / "a.json"):
        harmless(written.read_text("utf-8"))
    for log in results.parent.glob("runs/*/log.txt"):
        if log.parent.name not in hostile:
            harmless(log.read_text("utf-8"))


def test_raw_csv_is_what_was_stored(call: Callable[..., Any], hostile: list[str], tmp_path: Path) -> None:
    question = "SELECT note, '=1' AS \"=f\" FROM runs WHERE note LIKE '-%'"
    stored = [["note", "=f"], *[[f"-{EVIL}", "=1"]] * 2]
    out = call("sql", question, "--csv", "--raw").out
    assert list(csv.reader(io.StringIO(out, newline=""))) == stored
    path = tmp_path / "raw.csv"
    assert call("export", question, str(path), "--raw").code == 0
    with path.open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == stored
    assert call("compare", *hostile[:2], "--csv", "--raw").out.count(f"={EVIL}")
    for arguments in (
        ("sql", question, "--raw"), ("export", "runs", str(tmp_path / "a.json"), "--raw"),
        ("compare", *hostile[:2], "--raw"), ("study", "--raw"),
    ):  # fmt: skip
        code, _, said = call(*arguments)
        assert code == 2 and "--raw is for CSV" in said


def test_progress_and_logs_are_inert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.txt"
    with ConsoleReporter() as console:
        reporter = LoggedReporter(log, console)
        reporter.say(EVIL)
        reporter.stage(EVIL, 3)
        reporter.figures({EVIL: 1.0})
        reporter.advance()
        harmless(console.progress.tasks[0].fields["figures"], console.progress.tasks[0].description)
    with DownloadProgress() as progress:
        progress.file(f"a/{EVIL}", 1, 2)
        progress.say(EVIL)
        harmless(progress.progress.tasks[0].description)
    harmless(capsys.readouterr().err, log.read_text("utf-8"))


def test_what_libraries_print_is_inert_on_a_terminal_and_in_the_log(tmp_path: Path) -> None:
    """A traceback and a warning go through the stream that the command line puts in the place of stderr."""
    (tmp_path / "config.toml").write_text("x")
    program = (
        "import sys, warnings, engine.cli, engine.cli.commands as c\n"
        f"evil = {EVIL!r}\n"
        "def broken(arguments):\n    warnings.warn(evil)\n    raise RuntimeError(evil)\n"
        "c.run = broken\nsys.argv = ['x', 'runs']\nengine.cli.main()\n"
    )
    command = [*python_command("x")[:2], "-c", program]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True)
    assert "RuntimeError: \\x1b]52" in done.stderr and "UserWarning: \\x1b]52" in done.stderr
    harmless(done.stderr)
    log = tmp_path / "log.txt"
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(launch(command, log)).wait(60)
    assert "RuntimeError: " in log.read_text("utf-8")
    harmless(log.read_text("utf-8"))


def test_the_inert_stream_is_a_stream() -> None:
    below = io.StringIO()
    print(EVIL, "a\tb", file=InertStream(below))
    InertStream(below).writelines(["c\n", EVIL])
    harmless(below.getvalue())
    assert "a\tb\nc\n" in below.getvalue() and not InertStream(below).isatty()


def test_only_the_writers_write() -> None:
    """Modules of the command line print through `engine.cli.output` and `engine.cli.tables`."""
    found = []
    for path in sorted(Path(engine.cli.__file__).parent.glob("*.py")):
        if path.name in ("output.py", "tables.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            writers = ("click.echo", "click.secho", "print", "Console", "csv.writer", "csv.DictWriter")
            if called in writers or called.startswith(("sys.stdout.write", "sys.stderr.write", "sys.__std")):
                found.append(f"{path.name}:{node.lineno} {called}")
    assert not found
