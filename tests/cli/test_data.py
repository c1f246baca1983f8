from __future__ import annotations

import json
from importlib.metadata import version

import pytest


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data home with Tatoeba in two languages, one of them damaged, and nothing else."""
    home = tmp_path / "home"
    (home / "tatoeba").mkdir(parents=True)
    for code, foreign, english in (
        ("swh", "a\nb\n", "x\ny\n"),
        ("mar", "a\n", "x\ny\n"),
        ("qqq", "a\n", "b\n"),
    ):
        (home / "tatoeba" / f"tatoeba.{code}-eng.{code}").write_text(foreign)
        (home / "tatoeba" / f"tatoeba.{code}-eng.eng").write_text(english)
    monkeypatch.setenv("OPTICAL_DATA", str(home))
    monkeypatch.chdir(tmp_path)
    return home


def test_what_is_at_hand(call, home):
    code, out, err = call("data", "list", "--json")
    assert (code, err) == (0, "")
    listed = {entry["name"]: entry for entry in json.loads(out)}
    assert listed.keys() >= {"lareqa", "tatoeba", "tico-19", "package:django", "package:pycountry"}
    assert listed["tatoeba"].keys() == {
        *("name", "kind", "at_hand", "languages", "size", "licence", "source", "advice"),
    }
    assert listed["tatoeba"]["at_hand"] and listed["tatoeba"]["languages"] == ["mr", "sw"]
    assert listed["tatoeba"]["size"] == 14 and "CC BY 2.0" in listed["tatoeba"]["licence"]
    assert not listed["lareqa"]["at_hand"] and listed["lareqa"]["size"] == 0
    django = listed["package:django"]
    assert django["at_hand"] and {"sw", "mr", "hsb", "tt"} <= set(django["languages"])
    assert "en" not in django["languages"] and version("django") in django["source"]
    assert "BSD" in django["licence"] and "LGPL" in listed["package:pycountry"]["licence"]
    lines = [line.split() for line in call("data", "list").out.splitlines()]
    assert lines[1][:4] == ["lareqa", "collection", "no", "CC"]
    assert lines[2][:6] == ["tatoeba", "collection", "yes", "2", "14", "B"]


def test_one_dataset(call, home):
    told = json.loads(call("data", "show", "tatoeba", "--json").out)
    assert told["files"][1] == {"language": "sw", "name": "Swahili", "files": 2, "size": 8, "path": "tatoeba"}
    assert told["other_locales"] == ["qqq"]
    assert "fetch" not in call("data", "show", "lareqa").out
    assert "no: put its files" in call("data", "show", "lareqa").out
    code, out, err = call("data", "show", "tatoba")
    assert (code, out) == (2, "") and "did you mean 'tatoeba'" in err


def test_a_path_that_is_shown_can_be_used(call, home, tmp_path):
    told = json.loads(call("data", "show", "package:django", "--json").out)
    row = next(row for row in told["files"] if row["language"] == "sw")
    (tmp_path / "c.toml").write_text(f'[[bitext]]\npath = "{row["path"]}"\nlanguage = "sw"\n')
    assert call("config", "check", str(tmp_path / "c.toml")).code == 0


def test_a_check_reads_to_the_end(call, home):
    code, out, err = call("data", "check", "tatoeba", "--language", "sw", "--json")
    assert code == 0 and json.loads(out) == [
        {"dataset": "tatoeba", "language": "sw", "read": 2, "kept": 2, "dropped": {}, "problem": ""}
    ]
    code, out, err = call("data", "check", "tatoeba")
    assert code == 1 and "1 of 2 are damaged or incomplete" in err
    rows = {line.split()[1]: line for line in out.splitlines()}
    assert "damaged" in rows["mr"] and "1 lines" in rows["mr"] and " ok" in rows["sw"]
    assert call("data", "check", "lareqa").code == 2
    code, _, err = call("data", "check", "tatoeba", "--language", "so")
    assert code == 2 and "tatoeba has no 'so'; it has mr, sw" in err
    assert call("data", "check", "--language", "qqq").code == 2


def test_catalogues_are_checked_as_a_run_would_read_them(call, home):
    (row,) = json.loads(call("data", "check", "package:django", "--language", "mr", "--json").out)
    assert row["problem"] == "" and 500 < row["kept"] <= row["read"] < 1000
    assert row["read"] - row["kept"] == sum(row["dropped"].values())


@pytest.mark.data
def test_the_real_data_has_its_published_counts(call, data_home, monkeypatch):
    monkeypatch.setenv("OPTICAL_DATA", str(data_home))
    code, out, _ = call("data", "check", "lareqa", "tico-19", "--json")
    rows = json.loads(out)
    assert code == 0 and sum(row["read"] for row in rows if row["dataset"] == "lareqa") == 13_090
    assert {row["read"] for row in rows if row["dataset"] == "tico-19"} == {3071}
    assert sum(row["dataset"] == "tico-19" for row in rows) == 18
