"""``tag``, ``note``, ``rename``, ``delete``, ``logs`` and the step that ``show`` says."""

from __future__ import annotations

import json
import threading
import time

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
