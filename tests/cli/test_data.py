from __future__ import annotations

import json
from importlib.metadata import version

import pytest


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data home with Tatoeba in two languages, one of them damaged, and nothing else.

    Tatoeba was published with 168 pairs in Amharic.
    """
    home = tmp_path / "home"
    (home / "tatoeba").mkdir(parents=True)
    for code, foreign, english in (
        ("amh", "a\n" * 168, "x\n" * 168),
        ("mar", "a\n", "x\ny\n"),
        ("qqq", "a\n", "b\n"),
    ):
        (home / "tatoeba" / f"tatoeba.{code}-eng.{code}").write_text(foreign)
        (home / "tatoeba" / f"tatoeba.{code}-eng.eng").write_text(english)
    monkeypatch.setenv("OPTICAL_DATA", str(home))
    monkeypatch.chdir(tmp_path)
    return home


def test_topics_without_their_documents_are_a_part(call, home):
    folder = home / "africlirmatrix"
    folder.mkdir()
    (folder / "topics.africlirmatrix-v1.0.en.som.tsv").write_text("1\tcamel\n")
    (folder / "qrels.africlirmatrix-v1.0.en.som.txt").write_text("1 0 9 1\n")

    def presence():
        (row,) = [line for line in call("data", "list").out.splitlines() if "africlirmatrix" in line]
        return row.split("collection")[1].split("  1 of")[0].strip()

    assert presence() == "in part"
    assert "in part" in call("data", "show", "africlirmatrix").out
    (folder / "africlirmatrix-v1.0-somali").mkdir()
    (folder / "africlirmatrix-v1.0-somali" / "corpus.jsonl").write_text("{}\n")
    assert presence() == "yes"


def test_what_is_available(call, home):
    code, out, err = call("data", "list", "--json")
    assert (code, err) == (0, "")
    listed = {entry["name"]: entry for entry in json.loads(out)}
    assert listed.keys() >= {"lareqa", "tatoeba", "tico-19", "package:django", "package:pycountry"}
    assert listed["tatoeba"].keys() == {
        *("name", "kind", "available", "whole", "languages", "size", "licence", "source", "advice"),
        *("published_languages", "published_size", "remark"),
    }
    assert listed["tatoeba"]["available"] and listed["tatoeba"]["languages"] == ["am", "mr"]
    assert listed["tatoeba"]["size"] == 678 and "CC BY 2.0" in listed["tatoeba"]["licence"]
    assert len(listed["tatoeba"]["published_languages"]) == 112
    assert not listed["lareqa"]["available"] and listed["lareqa"]["size"] == 0
    assert listed["lareqa"]["published_size"] == 17_863_417
    django = listed["package:django"]
    assert django["available"] and {"sw", "mr", "hsb", "tt"} <= set(django["languages"])
    assert "en" not in django["languages"] and version("django") in django["source"]
    assert "BSD" in django["licence"] and "LGPL" in listed["package:pycountry"]["licence"]
    lines = [line.split() for line in call("data", "list").out.splitlines()]
    rows = {line[0]: line for line in lines if line}
    assert rows["lareqa"][1:6] == ["collection", "no", "11", "18", "MB"]
    assert rows["tatoeba"][1:8] == ["collection", "yes", "2", "of", "112", "678", "B"]


def test_the_list_fits_one_screen(call, home):
    lines = call("data", "list").out.splitlines()
    assert len(lines) <= 22 and max(map(len, lines)) <= 80


def test_one_dataset(call, home):
    told = json.loads(call("data", "show", "tatoeba", "--json").out)
    assert told["files"][0] == {
        **{"language": "am", "name": "Amharic", "files": 2, "size": 672, "path": "tatoeba"}
    }
    assert told["other_locales"] == ["qqq"] and told["published"]["pairs"]["sw"] == 390
    shown = call("data", "show", "tatoeba").out
    assert "example:\n  en: x\n  am: a\n" in shown and "168" in shown
    assert "no: optical-workbench data fetch lareqa" in call("data", "show", "lareqa").out
    assert "13,090 questions, 13,014 sentences" in call("data", "show", "lareqa").out
    code, out, err = call("data", "show", "tatoba")
    assert (code, out) == (2, "") and "did you mean 'tatoeba'" in err


def test_a_path_that_is_shown_can_be_used(call, home, tmp_path):
    told = json.loads(call("data", "show", "package:django", "--json").out)
    row = next(row for row in told["files"] if row["language"] == "sw")
    (tmp_path / "c.toml").write_text(f'[[bitext]]\npath = "{row["path"]}"\nlanguage = "sw"\n')
    assert call("config", "check", str(tmp_path / "c.toml")).code == 0


def test_what_is_shown_of_a_collection_is_a_configuration(call, home, tmp_path):
    for name in ("lareqa", "mlqa-r", "tatoeba"):
        use = json.loads(call("data", "show", name, "--json").out)["use"]
        (tmp_path / "c.toml").write_text(f'kind = "evaluate"\n[encoder]\n{use}\n')
        assert call("config", "show", str(tmp_path / "c.toml")).code == 0, use


def test_a_check_reads_to_the_end(call, home):
    code, out, err = call("data", "check", "tatoeba", "--language", "am", "--json")
    (row,) = json.loads(out)
    assert row["counts"] == row["published"] == {"pairs": 168} and row["read"] == row["kept"] == 168
    # The counts are right here, and the sentences are not Tatoeba's.
    assert code == 1 and "tatoeba.amh-eng.amh is not the published file" in row["problem"]
    code, out, err = call("data", "check", "tatoeba")
    assert code == 1 and "2 of 2 are damaged or incomplete" in err
    rows = {line.split()[1]: line for line in out.splitlines()}
    assert "damaged" in rows["mr"] and "1 line " in rows["mr"]
    assert call("data", "check", "lareqa").code == 2
    code, _, err = call("data", "check", "tatoeba", "--language", "so")
    assert code == 2 and "tatoeba has no 'so'; it has am, mr" in err
    assert call("data", "check", "--language", "qqq").code == 2


def test_other_counts_than_published_leave_with_one(call, home):
    for side in ("amh", "eng"):
        (home / "tatoeba" / f"tatoeba.amh-eng.{side}").write_text("a\n" * 167)
    code, out, _ = call("data", "check", "tatoeba", "--language", "am")
    assert code == 1 and "it has 167 pairs and was published with 168" in out


def test_the_flag_moves_the_data_home(call, home, tmp_path, monkeypatch):
    monkeypatch.setenv("OPTICAL_DATA", str(tmp_path / "nowhere"))
    assert json.loads(call("data", "show", "tatoeba", "--json").out)["available"] is False
    shown = call("data", "show", "tatoeba", "--json", "--data", str(home))
    assert json.loads(shown.out)["languages"] == ["am", "mr"]


def test_catalogues_are_checked_as_a_run_would_read_them(call, home):
    (row,) = json.loads(call("data", "check", "package:django", "--language", "mr", "--json").out)
    assert row["problem"] == "" and 500 < row["kept"] <= row["read"] < 1000
    assert row["read"] - row["kept"] == sum(row["dropped"].values())


@pytest.mark.data
def test_the_real_data_has_its_published_counts(call, data_home, monkeypatch):
    monkeypatch.setenv("OPTICAL_DATA", str(data_home))
    code, out, _ = call("data", "check", "lareqa", "tatoeba", "africlirmatrix", "tico-19", "--json")
    rows = json.loads(out)
    assert code == 0 and {row["problem"] for row in rows} == {""}
    lareqa = [row["counts"] for row in rows if row["dataset"] == "lareqa"]
    assert sum(counts["questions"] for counts in lareqa) == 13_090
    assert sum(counts["sentences"] for counts in lareqa) == 13_014
    assert sum(row["dataset"] == "tatoeba" for row in rows) == 112
    assert {row["read"] for row in rows if row["dataset"] == "tico-19"} == {3071}
    assert sum(row["dataset"] == "tico-19" for row in rows) == 18
    somali = next(row for row in rows if row["dataset"] == "africlirmatrix" and row["language"] == "so")
    assert somali["counts"] == {"topics": 1000, "judgements": 1049}
