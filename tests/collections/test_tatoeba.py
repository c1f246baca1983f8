"""Tatoeba's reader on small files, and its published counts on the real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.collections.tatoeba import XTREME_R, english_sentences, load_tatoeba, read_lines
from engine.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for code, foreign, english in [
        ("swh", "moja\nmbili\nmbili\n", "one\ntwo\ntwo!\n"),
        ("deu", "eins\n", "one\n"),
    ]:
        (tmp_path / f"tatoeba.{code}-eng.{code}").write_text(foreign, encoding="utf-8")
        (tmp_path / f"tatoeba.{code}-eng.eng").write_text(english, encoding="utf-8")
    return tmp_path


def test_only_the_own_line_is_relevant_even_if_another_has_the_same_text(folder: Path) -> None:
    (collection,) = load_tatoeba(folder, ["sw"])
    assert [query.text for query in collection.queries] == ["one", "two", "two!"]
    assert [document.text for document in collection.documents] == ["moja", "mbili", "mbili"]
    assert [collection.judgements[query.id] for query in collection.queries] == [
        {document.id: 1} for document in collection.documents
    ]


def test_the_other_direction_swaps_the_sides(folder: Path) -> None:
    forward, backward = (load_tatoeba(folder, ["sw"], direction)[0] for direction in ("en-xx", "xx-en"))
    assert [query.text for query in backward.queries] == [document.text for document in forward.documents]
    assert backward.query_languages == ("sw",) and backward.document_language == "en"
    assert forward.query_languages == ("en",) and forward.document_language == "sw"


def test_query_ids_differ_between_languages_because_their_sentences_do(folder: Path) -> None:
    ids = [query.id for collection in load_tatoeba(folder, ["sw", "de"]) for query in collection.queries]
    assert len(set(ids)) == len(ids) == 4


def test_distinct_english_sentences_of_all_files(folder: Path) -> None:
    assert english_sentences(folder) == ["one", "two", "two!"]


def test_lines_end_at_newlines_only(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes("a\u2028b \r\n\nc\u0085d".encode())
    assert read_lines(path) == ["a\u2028b", "", "c\u0085d"]


def test_bad_files_are_refused_with_their_name(folder: Path) -> None:
    (folder / "tatoeba.swh-eng.eng").write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"eng\.swh: it has 3 lines and tatoeba\.swh-eng\.eng has 2"):
        load_tatoeba(folder, ["sw"])
    (folder / "tatoeba.swh-eng.swh").write_bytes(b"moja\nmb\xff\n")
    with pytest.raises(InputError, match=r"eng\.swh, line 2: byte 3 is not UTF-8"):
        load_tatoeba(folder, ["sw"])
    with pytest.raises(InputError, match=r"tatoeba\.fra-eng\.fra: cannot be read"):
        load_tatoeba(folder, ["fr"])
    with pytest.raises(InputError, match="Tatoeba has no test set in Somali"):
        load_tatoeba(folder, ["so"])
    with pytest.raises(InputError, match="folder"):
        english_sentences(folder / "nowhere")


@pytest.mark.data
def test_published_counts(data_home: Path) -> None:
    """XTREME-R (arXiv 2104.07412) has 41 languages; eight of them have fewer than 1,000 pairs."""
    collections = load_tatoeba(data_home / "tatoeba")
    assert len(collections) == len(XTREME_R) == 41
    assert sum(len(collection.queries) for collection in collections) == 36_692
    small = {c.document_language: len(c.queries) for c in collections if len(c.queries) < 1000}
    assert small == {"jv": 205, "te": 234, "ta": 307, "sw": 390, "th": 548, "kk": 575, "ml": 687, "ka": 746}


@pytest.mark.data
def test_distinct_english_sentences_of_the_real_files(data_home: Path) -> None:
    assert len(english_sentences(data_home / "tatoeba")) == 69_241
