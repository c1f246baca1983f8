"""``data show FILE`` reads a file or folder as a run does."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.bitext.drops import Drops
from engine.bitext.source import open_source
from engine.cli.commands import run
from engine.collections.load import load_collections
from engine.config import BitextConfig, CollectionConfig
from engine.datahome.preview import preview
from engine.errors import InputError

PAIRS = [
    ("moja", "one"),
    ("mbili", "two"),
    ("moja", "one"),
    ("", "nothing"),
    ("tatu " * 400, "three"),
    ("a", "a side that is much longer than the other one"),
    ("nne", "four"),
]


@pytest.fixture
def tsv(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{a}\t{b}\n" for a, b in PAIRS), "utf-8")
    return path


def test_bitext_is_read_as_a_run_reads_it(tsv: Path) -> None:
    (found,) = preview(tsv, "sw", 2)
    drops = Drops()
    source = BitextConfig(path=found.settings["path"], language="sw", format=found.settings["format"])
    pairs = [(pair.source, pair.target) for pair in open_source(source, drops)]
    assert found.first == pairs[:2] == [("moja", "one"), ("mbili", "two")]
    assert found.counts == {"read": 7, "used": 3}
    assert found.dropped == drops.reasons() == {"empty": 1, "too_long": 1, "ratio": 1, "duplicate": 1}
    assert (found.language, found.target_language) == ("sw", "en")


def test_a_file_without_languages_needs_one(tsv: Path) -> None:
    with pytest.raises(InputError, match="--language"):
        preview(tsv)


def test_a_collection_is_read_as_a_run_reads_it(tmp_path: Path) -> None:
    (tmp_path / "documents.en.tsv").write_text("d1\tone\nd2\ttwo\n", "utf-8")
    (tmp_path / "topics.sw.tsv").write_text("1\tmoja\n2\tmbili\n3\ttatu\n", "utf-8")
    (tmp_path / "qrels.txt").write_text("1 0 d1 1\n2 0 d2 1\n", "utf-8")
    (found,) = preview(tmp_path)
    assert found.settings == {
        "name": "folder",
        "path": str(tmp_path),
        "languages": ["sw"],
    }
    assert found.counts == {"queries": 2, "documents": 2, "judgements": 2}
    assert found.first == [("moja", "one"), ("mbili", "two")]
    assert any("1 of 3 topics" in note for note in found.notes), found.notes


def test_the_settings_that_are_shown_are_those_of_a_run(tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "été"
    folder.mkdir()
    (folder / "documents.en.tsv").write_text("d1\tone\nd2\ttwo\n", "utf-8")
    for code, word in (("sw", "moja"), ("yo", "ọ̀kan")):
        (folder / f"topics.{code}.tsv").write_text(f"1\t{word}\n", "utf-8")
    (folder / "qrels.txt").write_text("1 0 d1 1\n", "utf-8")
    assert run(["data", "show", str(folder)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("in a run's file")]
    assert len(lines) == 2 and lines[0] == lines[1]
    line = lines[0].removeprefix("in a run's file").strip()
    assert "été" in line
    (entry,) = tomllib.loads(f"collections = [{{{line}}}]")["collections"]
    assert entry["languages"] == ["sw", "yo"]
    (collection,) = load_collections(CollectionConfig.model_validate(entry))
    assert [query.text for query in collection.queries] == ["moja", "ọ̀kan"]


def test_the_command(tsv: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(tsv.parent)
    assert run(["data", "show", "pairs.tsv", "--language", "sw"]) == 0
    out = capsys.readouterr().out
    assert "1 empty, 1 too long, 1 ratio, 1 duplicate" in out and "sw: moja" in out and "en: one" in out
    assert run(["data", "show", "pairs.tsv", "--language", "sw", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["counts"]["used"] == 3 and told["first"][0] == ["moja", "one"]
    assert run(["data", "show", "none.tsv"]) == 2
    assert "there is no dataset 'none.tsv'" in capsys.readouterr().err
    assert run(["data", "show", "tico-19", "--language", "sw"]) == 2
    (tsv.parent / "photo.tsv").write_bytes(b"\x89PNG\r\n\x00\x00")
    assert run(["data", "show", "photo.tsv"]) == 2
    assert "not recognised" in capsys.readouterr().err
