"""TSV files as published: CCAligned, CCMatrix, sentence-transformers, with and without a header."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from engine.bitext import Drops, open_bitext
from engine.errors import InputError

Found = list[tuple[str, str, float | None]]


def read(path: Path, text: str, **settings: object) -> Found:
    content = text.encode()
    path.write_bytes(lzma.compress(content) if path.suffix == ".xz" else content)
    found = open_bitext(path, language="so", **settings)  # type: ignore[arg-type]
    return [(pair.source, pair.target, pair.score) for pair in found]


def test_ccaligned_sentences_are_english_first_by_their_name(tmp_path: Path) -> None:
    text = "one\tkow\t1.15\ntwo\tlaba\t1.01\n"
    drops = Drops()
    found = read(tmp_path / "en_XX-so_SO.tsv.xz", text, min_score=1.04, drops=drops)
    assert found == [("kow", "one", 1.15)]
    assert drops == Drops(read=2, kept=1, low_score=1)
    assert read(tmp_path / "so_SO-en_XX.tsv.xz", "kow\tone\t1.15\n") == [("kow", "one", 1.15)]


def test_ccaligned_documents(tmp_path: Path) -> None:
    row = "a.org\thttp://a.org/en\tone|two\thttp://a.org/so\tkow|laba\n"
    assert read(tmp_path / "en_XX-so_SO.tsv.xz", row) == [("kow|laba", "one|two", None)]
    with pytest.raises(InputError, match=r"b\.tsv, line 1: 5 columns, where source, target"):
        read(tmp_path / "b.tsv", "a.org\tone\ttwo\tkow\tlaba\n")


def test_codes_in_upper_case_and_with_scripts(tmp_path: Path) -> None:
    for name in ("EN-SO.tsv", "eng_Latn-som_Latn.tsv", "CCMatrix.en-so.bitextf.tsv"):
        assert read(tmp_path / name, "one\tkow\n") == [("kow", "one", None)], name


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("source\ttarget", "kow\tone"),
        ("en\tso", "one\tkow"),
        ("english\tnon_english", "one\tkow"),
        ("id\ttarget\tsource\tnote", "7\tone\tkow\t-"),
    ],
)
def test_a_header_names_the_columns_and_is_not_a_pair(tmp_path: Path, header: str, row: str) -> None:
    drops = Drops()
    assert read(tmp_path / "a.tsv", f"{header}\r\n{row}\r\n", drops=drops) == [("kow", "one", None)]
    assert drops.read == 1


def test_a_header_with_a_score(tmp_path: Path) -> None:
    text = "score\tsource\ttarget\n1.5\tkow\tone\n"
    assert read(tmp_path / "a.tsv", text) == [("kow", "one", 1.5)]
    with pytest.raises(InputError, match=r"a\.tsv, line 2: 'x' is not a score"):
        read(tmp_path / "a.tsv", "score\tsource\ttarget\nx\tkow\tone\n")


def test_parallel_files_of_sentence_transformers(tmp_path: Path) -> None:
    text = "one\tkow\none two\tkow laba\thal labo\n\n"
    drops = Drops()
    found = read(tmp_path / "a.tsv", text, format="sentence-transformers", drops=drops)
    assert found == [("kow", "one", None), ("kow laba", "one two", None), ("hal labo", "one two", None)]
    assert drops == Drops(read=4, kept=3, empty=1)
    pairs = open_bitext(tmp_path / "a.tsv", language="so", format="sentence-transformers")
    assert [pair.id for pair in pairs] == ["1", "2:2", "2:3"]
    with pytest.raises(InputError, match=r"a\.tsv, line 2: 1 column, where a sentence and its translations"):
        read(tmp_path / "a.tsv", "one\tkow\nalone\n", format="sentence-transformers")
