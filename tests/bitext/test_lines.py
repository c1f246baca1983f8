"""Line-aligned files, TSV and JSONL: columns, scores, file names and invalid lines."""

from __future__ import annotations

import gzip
import json
import zipfile
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from engine.bitext import Drops, SentencePair, open_bitext
from engine.errors import InputError


def texts(path: Path, **settings: Any) -> list[tuple[str, str, float | None]]:
    return [(pair.source, pair.target, pair.score) for pair in open_bitext(path, language="so", **settings)]


def refuse(path: Path, sentence: str, **settings: Any) -> None:
    with pytest.raises(InputError, match=sentence):
        texts(path, **settings)


@pytest.fixture
def moses(tmp_path: Path) -> Path:
    tmp_path.joinpath("c.en-so.so").write_text("kow\nlaba\n")
    tmp_path.joinpath("c.en-so.en").write_text("one\ntwo\n")
    return tmp_path / "c.en-so"


def test_the_prefix_or_either_file_is_a_path(moses: Path) -> None:
    expected = [("kow", "one", None), ("laba", "two", None)]
    assert texts(moses) == texts(Path(f"{moses}.so")) == texts(Path(f"{moses}.en")) == expected


def test_gzipped_sides_are_decompressed(moses: Path) -> None:
    plain = Path(f"{moses}.so")
    Path(f"{moses}.som.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert texts(moses) == texts(Path(f"{moses}.som.gz")) == [("kow", "one", None), ("laba", "two", None)]


def test_ids_are_line_numbers_and_the_last_newline_is_optional(moses: Path) -> None:
    Path(f"{moses}.en").write_text("one\r\ntwo")
    assert [(pair.id, pair.target) for pair in open_bitext(moses, language="so")] == [
        ("1", "one"),
        ("2", "two"),
    ]


def test_opus_scores_are_read(moses: Path) -> None:
    Path(f"{moses}.scores").write_text("1.5\n1.01\n")
    drops = Drops()
    assert texts(moses, min_score=1.04, drops=drops) == [("kow", "one", 1.5)]
    assert drops == Drops(read=2, kept=1, low_score=1)
    Path(f"{moses}.scores").write_text("1.5\nhigh\n")
    refuse(moses, r"scores\), line 2: 'high' is not a score")


def test_files_of_different_length_are_refused(moses: Path) -> None:
    Path(f"{moses}.en").write_text("one\ntwo\nthree\nfour\n")
    refuse(moses, r"c\.en-so: the files are not aligned line by line: .*\(source 2, target 4\)")


def test_the_line_number_of_a_wrong_encoding_is_reported(moses: Path) -> None:
    Path(f"{moses}.so").write_bytes("kow\nlába\n".encode("latin-1"))
    refuse(moses, r"c\.en-so\.so, line 2: byte 2 is not UTF-8; convert the file to UTF-8")


def test_a_byte_order_mark_is_removed(moses: Path) -> None:
    Path(f"{moses}.so").write_bytes(b"\xef\xbb\xbfkow\nlaba\n")
    assert texts(moses)[0][0] == "kow"


def test_missing_and_ambiguous_sides_are_refused(moses: Path) -> None:
    with pytest.raises(InputError, match=r"no file with an extension that means 'sw'.*found: en, so"):
        list(open_bitext(moses, language="sw"))
    Path(f"{moses}.som").write_text("x\n")
    refuse(moses, r"2 files with an extension that means 'so', where one is needed \(found: so, som\)")


def test_only_what_follows_the_prefix_is_an_extension(moses: Path) -> None:
    refuse(moses.with_name("c"), r"no file with an extension that means 'so'.*found: en-so\.en, en-so\.so")


def test_the_archive_of_opus(tmp_path: Path) -> None:
    path = tmp_path / "CCMatrix.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("README", "about")
        archive.writestr("C.en-so.en", "one\n")
        archive.writestr("C.en-so.so", "kow\n")
        archive.writestr("C.en-so.scores", "1.2\n")
    assert texts(path) == [("kow", "one", 1.2)]


@pytest.mark.parametrize("member", ["/etc/so.so", "../so.so", "a/../../so.so", "C:\\so.so", "..\\so.so"])
def test_archives_with_members_outside_are_refused(tmp_path: Path, member: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.en", "one\n")
        archive.writestr(member, "kow\n")
    refuse(tmp_path / "a.zip", r"a\.zip: the member .* points outside the archive")


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.en", "one\n")
    data = bytearray(tmp_path.joinpath("a.zip").read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1  # the encryption flag in the central directory
    tmp_path.joinpath("a.zip").write_bytes(data)
    refuse(tmp_path / "a.zip", "the archive is encrypted; unpack it first")


def tsv(folder: Path, text: str, name: str = "a.tsv") -> Path:
    folder.joinpath(name).write_text(text, encoding="utf-8")
    return folder / name


def test_scores_are_in_the_first_or_last_column(tmp_path: Path) -> None:
    assert texts(tsv(tmp_path, "1.5\tkow\tone\n1.25\tlaba\ttwo\n")) == [
        ("kow", "one", 1.5),
        ("laba", "two", 1.25),
    ]
    assert texts(tsv(tmp_path, "kow\tone\t.5\n2\t2\t.25\n")) == [("kow", "one", 0.5), ("2", "2", 0.25)]


@pytest.mark.parametrize("name", ["WikiMatrix.en-so.tsv", "talks-en-so-train.tsv", "eng_som.tsv"])
def test_codes_in_the_file_name_give_the_order_of_the_columns(tmp_path: Path, name: str) -> None:
    assert texts(tsv(tmp_path, "one\tkow\n", name)) == [("kow", "one", None)]


@pytest.mark.parametrize("name", ["a.tsv", "so-en.tsv", "en.tsv", "en-fr.tsv"])
def test_by_default_the_source_is_the_first_column(tmp_path: Path, name: str) -> None:
    assert texts(tsv(tmp_path, "kow\tone\n", name)) == [("kow", "one", None)]


def test_quotes_and_blank_lines_in_tsv(tmp_path: Path) -> None:
    drops = Drops()
    assert texts(tsv(tmp_path, '"kow\t"one\n\nlaba\t two \n'), drops=drops) == [
        ('"kow', '"one', None),
        ("laba", "two", None),
    ]
    assert drops == Drops(read=3, kept=2, empty=1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kow one\n", r"a\.tsv, line 1: 1 column, where source, target"),
        ("1\tkow\ten\tone\n", r"a\.tsv, line 1: 4 columns"),
        ("kow\tone\nlaba\ttwo\t2\n", r"a\.tsv, line 2: 3 columns, where the lines before have 2"),
        ("1\tkow\tone\nx\tlaba\ttwo\n", r"a\.tsv, line 2: 'x' is not a score"),
        ("", r"a\.tsv: there are no pairs"),
    ],
)
def test_bad_tsv_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    refuse(tsv(tmp_path, text), sentence)


def test_a_file_that_is_not_gzipped_in_spite_of_its_name_is_refused(tmp_path: Path) -> None:
    refuse(tsv(tmp_path, "kow\tone\n", "a.tsv.gz"), r"a\.tsv\.gz: the archive is damaged or cut short")


def test_reading_is_lazy(tmp_path: Path) -> None:
    """The pairs before an invalid line are yielded before the error."""
    pairs = open_bitext(tsv(tmp_path, "kow\tone\nlaba\ttwo\nbad\n"), language="so")
    assert [pair.target for pair in islice(pairs, 2)] == ["one", "two"]
    with pytest.raises(InputError, match="line 3"):
        next(pairs)


def jsonl(folder: Path, *records: Any) -> Path:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    folder.joinpath("a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "a.jsonl"


def test_ids_scores_and_language_tags_of_jsonl(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path,
        {"id": 12, "so": "kow", "eng_Latn": "one", "score": 2},
        "",
        {"translation": {"en-US": "two", "som": "laba"}, "score": 0.5, "id": None},
        {"fr": "trois", "en": "three"},
    )
    drops = Drops()
    pairs = list(open_bitext(path, language="so", drops=drops))
    assert pairs == [
        SentencePair("kow", "one", "so", "en", "12", 2.0),
        SentencePair("laba", "two", "so", "en", "3", 0.5),
    ]
    assert drops == Drops(read=3, kept=2, wrong_language=1)


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ('{"so": "kow"', r"a\.jsonl, line 1: not JSON \("),
        (["kow", "one"], r"line 1: not a JSON object"),
        ({"translation": ["kow", "one"]}, r"'translation' must be an object"),
        ({"so": 1, "en": "one"}, r"'so' must be a sentence"),
        ({"so": "kow", "en": "one", "score": "high"}, r"'score' must be a number"),
        ({"so": "kow", "en": "one", "score": True}, r"'score' must be a number"),
        ('{"so": "kow", "en": "one", "score": 1' + "0" * 400 + "}", r"'score' must be a number"),
        ({"so": "\ud83d", "en": "one"}, r"'so' has half a surrogate pair"),
        ("[" * 100_000, r"line 1: (its JSON is nested too deeply|not JSON)"),
        ({"fr": "un", "en": "one"}, r"a\.jsonl: no pair is in the two requested languages.*: en, fr$"),
    ],
)
def test_bad_jsonl_is_refused(tmp_path: Path, record: Any, sentence: str) -> None:
    refuse(jsonl(tmp_path, record), sentence)


def test_a_json_file_is_read_as_json_lines(tmp_path: Path) -> None:
    """MAFAND-MT's files, with the translation objects of Hugging Face's datasets, are called train.json."""
    file = tmp_path / "train.json"
    file.write_text('{"translation": {"en": "one", "hau": "ɗaya"}}\n', encoding="utf-8")
    assert [(pair.source, pair.target) for pair in open_bitext(file, language="ha")] == [("ɗaya", "one")]
