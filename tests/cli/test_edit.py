"""``tag``, ``note``, ``rename``, ``delete``, ``logs`` and the step that ``show`` says."""

from __future__ import annotations

import json
import threading
import time

import duckdb
import pytest

from engine.jobs.logs import read_log
from engine.results.run_folder import RunFolder


def test_tags_note_and_name_are_changed(call, make_run):
    run = make_run("student", config={"tags": ["old"]})
    assert call("tag", "student", "two words", "old")[:2] == (0, f"{run.id}: tags changed\n")
    assert (
        call("tag", run.id, "--remove", "old", "--json").out
        == json.dumps({"id": run.id, "tags": ["two", "words"]}, indent=2) + "\n"
    )
    assert call("note", run.id, " kept for the paper ").code == 0
    assert call("rename", run.id, "teacher of all").code == 0
    record = RunFolder.open(run.path).record
    assert (record["tags"], record["note"], record["name"]) == (
        ["two", "words"],
        "kept for the paper",
        "teacher of all",
    )
    (listed,) = json.loads(call("runs", "--json").out)
    assert listed["name"] == "teacher of all" and listed["tags"] == ["two", "words"]
    code, _, err = call("tag", run.id, "--remove", "absent")
    assert code == 2 and "has no tag 'absent'; it has two words" in err
    assert call("tag", run.id).code == 2
    code, _, err = call("rename", run.id, "x" * 81)
    assert code == 2 and "a name has 1 to 80 characters" in err


def test_a_running_run_is_not_changed(call, make_run):
    run = make_run("student", state="running")
    for arguments in (("tag", "student", "x"), ("note", "student", "x"), ("rename", "student", "x")):
        code, out, err = call(*arguments)
        assert (code, out) == (2, "") and "the run is running and would overwrite the change" in err
    code, out, err = call("delete", "student", "--yes")
    assert (code, out) == (2, "") and "the run is running; stop it first" in err
    assert RunFolder.open(run.path).record["name"] == "student"


def test_delete_asks_first(call, make_run, monkeypatch):
    run = make_run("student")
    code, out, err = call("delete", "student")
    assert (code, out) == (2, "") and "add --yes" in err and run.path.is_dir()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda text: "n")
    assert call("delete", "student").code == 130 and run.path.is_dir()
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda text: "y")
    assert call("delete", "student")[:2] == (0, f"{run.id} is deleted\n")
    assert not run.path.exists() and json.loads(call("runs", "--json").out) == []
    assert call("delete", "student", "--yes").code == 2


def test_show_says_the_step_of_a_run_that_trains(call, make_run):
    run = make_run("student", state="running", config={"training": {"steps": 120}})
    run.log(40, {"loss": 1.0}, 2.0)
    assert "running, step 40 of 120" in call("show", "student").out
    assert json.loads(call("show", "student", "--json").out)["step"] == {"done": 40, "steps": 120}
    run.finish("finished")
    assert " step " not in call("show", "student").out


def test_logs_are_shown_as_a_terminal_shows_them(call, make_run):
    run = make_run("student")
    code, out, err = call("logs", "student")
    assert (code, out) == (2, "") and "the run has no log.txt" in err
    (run.path / "log.txt").write_bytes(b"one\n 10 %\r 90 %\r\n\x1b[31mred\x1b[0m \x1b]0;title\x07\nlast")
    code, out, _ = call("logs", run.id)
    assert code == 0 and out.splitlines() == ["one", " 90 %", "red \\x1b]0;title\\x07", "last"]
    assert call("logs", "-f", "student").out == out


@pytest.mark.timeout(30)
def test_a_log_is_followed_until_the_run_ends(make_run):
    run = make_run("student", state="running")
    log = run.path / "log.txt"

    def write() -> None:
        time.sleep(0.1)
        for text in ("first\nsec", "ond\n", "third\n"):
            with log.open("a") as stream:
                stream.write(text)
            time.sleep(0.1)
        run.finish("finished")

    writer = threading.Thread(target=write)
    writer.start()
    assert list(read_log(run.path, follow=True, every=0.02)) == ["first", "second", "third"]
    writer.join()


def test_a_run_whose_folder_is_missing_is_marked_until_it_is_forgotten(
    call, make_run, results, zero, monkeypatch
):
    run = make_run("student", zero)
    other = make_run("other", zero)
    assert call("runs").code == 0
    away = results.with_name("away")
    run.path.rename(away)
    by_name = {found["name"]: found for found in json.loads(call("runs", "--json").out)}
    assert by_name["student"]["folder_missing"] and not by_name["other"]["folder_missing"]
    assert by_name["student"]["headline"]["value"] == by_name["other"]["headline"]["value"]
    assert "finished, folder missing" in call("runs").out
    assert "finished, folder missing" in call("show", "student").out
    assert call("compare", "student", "other").code == 0
    for command in (
        ["tag", "student", "x"],
        ["stop", "student"],
        ["logs", "student"],
        ["delete", "student", "--yes"],
    ):
        code, _, err = call(*command)
        assert code == 2 and "Traceback" not in err, command
    code, _, err = call("tag", "student", "x")
    assert f"`optical-workbench forget {run.id}`" in err
    code, _, err = call("forget", "other", "--yes")
    assert code == 2 and "the folder is not missing" in err and f"delete {other.id}" in err
    # A terminal asks first.
    with monkeypatch.context() as terminal:
        terminal.setattr("sys.stdin.isatty", lambda: True, raising=False)
        terminal.setattr("click.termui.visible_prompt_func", lambda text: "n")
        assert call("forget", "student").code == 130
    assert call("forget", "student")[:2] == (0, f"{run.id} is forgotten\n")
    assert [found["name"] for found in json.loads(call("runs", "--json").out)] == ["other"]
    away.rename(run.path)
    assert len(json.loads(call("runs", "--json").out)) == 2


def test_a_run_whose_folder_is_missing_survives_new_definitions(call, make_run, results, zero):
    run = make_run("student", zero)
    before = call("show", "student", "--json").out
    run.path.rename(results.with_name("away"))
    with duckdb.connect(results) as database:
        database.execute("UPDATE meta SET built_from = 'another'")
    make_run("other", zero)
    after = json.loads(call("show", "student", "--json").out)
    assert after["scores"] == json.loads(before)["scores"] and after["folder_missing"]
    with duckdb.connect(results) as database:  # a database of the version before
        database.execute(
            "UPDATE meta SET schema_version = 4; ALTER TABLE ingested DROP COLUMN problem; "
            "ALTER TABLE runs DROP COLUMN boot; DROP TABLE sweep_runs"
        )
    assert json.loads(call("show", "student", "--json").out)["scores"] == after["scores"]
