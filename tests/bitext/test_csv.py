"""Sentence pairs in comma-separated values; Python's csv module writes them."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest

from engine.bitext import open_bitext
from engine.datahome.preview import preview
from engine.errors import InputError

ROWS = [("kow", "one"), ('laba, "iyo"', "two"), ("saddex\nafar", "three")]
READ = [("kow", "one"), ('laba, "iyo"', "two"), ("saddex afar", "three")]


def written(header: list[str], rows: list[tuple[str, ...]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows([header, *rows])
    return stream.getvalue().encode()


def texts(path: Path) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in open_bitext(path, language="so")]


@pytest.mark.parametrize("header", [["so", "en"], ["source", "target"], ["som_Latn", "eng_Latn"]])
def test_rows_are_read_as_the_csv_module_writes_them(tmp_path: Path, header: list[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + written(header, list(ROWS)))
    assert texts(path) == READ


def test_ids_and_scores(tmp_path: Path) -> None:
    rows = [("7", "kow", "one", "1.1"), ("8", "laba", "two", "0.9"), ("9", "saddex", "three", "")]
    (tmp_path / "a.csv").write_bytes(written(["id", "so", "en", "score"], list(rows)))
    pairs = list(open_bitext(tmp_path / "a.csv", language="so", min_score=1.0))
    assert [(pair.id, pair.source, pair.score) for pair in pairs] == [
        ("7", "kow", 1.1),
        ("9", "saddex", None),
    ]


def test_numbers_and_words_for_nothing_are_texts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        written(["so", "en"], [("1,5", "2026-01-01"), ("NA", "null"), ("7", "8")])
    )
    assert texts(tmp_path / "a.csv") == [("1,5", "2026-01-01"), ("NA", "null"), ("7", "8")]


def test_a_compressed_file_and_a_folder_of_one_split(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(written(["so", "en"], list(ROWS))))
    assert texts(tmp_path / "a.csv.gz") == READ
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_bytes(written(["so", "en"], list(ROWS)))
    (tmp_path / "a.csv.gz").unlink()
    with pytest.raises(InputError, match=r"several splits \(test, train\)"):
        list(open_bitext(tmp_path, language="so", format="csv"))


def test_it_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(written(["so", "en"], list(ROWS)))
    (found,) = preview(tmp_path / "a.txt")
    assert (found.language, found.settings["format"], found.first) == ("so", "csv", READ)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no columns for 'so' and 'en'; its columns are: none|there are no pairs|is damaged"),
        (b"so,sw\nkow,moja\n", "no columns for 'so' and 'en'; its columns are: so, sw"),
        (b'"so\n",sw\nkow,moja\n', "no columns for 'so' and 'en'; its columns are: so, sw"),
        (b"so,so,en\nkow,kow,one\n", "a.csv, line 1: two columns have one name"),
        (b"so,en\nkow\n", "damaged or of another format"),
        (b"so,en\nkow,\xff\xfe\n", "damaged or of another format"),
        (b"\xff\xfes\x00o\x00", "its first line names no columns"),
        (b"so,en,score\nkow,one,many\n", "damaged or of another format"),
        (b"so,en\n", "there are no pairs"),
    ],
)
def test_damage_is_one_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=says) as raised:
        texts(tmp_path / "a.csv")
    assert str(tmp_path / "a.csv") in str(raised.value) and "\n" not in str(raised.value)
