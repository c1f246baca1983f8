"""Names of keys and columns: languages, identifiers, roles and scores, the same in TSV, JSONL and tables."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.bitext import Drops, open_bitext
from engine.datahome.formats.recognise import recognise
from engine.errors import InputError

Row = dict[str, Any]
Write = Callable[[Path, list[Row]], Path]


def tsv(folder: Path, rows: list[Row]) -> Path:
    lines = ["\t".join(rows[0]), *("\t".join(str(cell) for cell in row.values()) for row in rows)]
    path = folder / "pairs.tsv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def jsonl(folder: Path, rows: list[Row]) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def nested(folder: Path, rows: list[Row]) -> Path:
    return jsonl(folder, [{"translation": row} for row in rows])


def parquet(folder: Path, rows: list[Row]) -> Path:
    path = folder / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


every_format = pytest.mark.parametrize("write", [tsv, jsonl, nested, parquet])


def rows(names: Sequence[str], *values: Sequence[Any]) -> list[Row]:
    return [dict(zip(names, row, strict=True)) for row in values]


def read(path: Path, language: str, **settings: Any) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in open_bitext(path, language=language, **settings)]


PAIR = [("Jembatan ditutup.", "The bridge is closed."), ("Bawalah air.", "Bring water.")]


@every_format
@pytest.mark.parametrize(
    "name", ["id", "ID", "Id", "sentence_id", "idx", "_id", "uid", "guid", "doc_id", "no", "key"]
)
@pytest.mark.parametrize("code", ["ind", "id_ID", "text_ind"])
@pytest.mark.parametrize("value", ["news-{}", "{}", "part"])
def test_record_ids_are_not_indonesian(
    tmp_path: Path, write: Write, name: str, code: str, value: str
) -> None:
    values = [(value.format(number), target, source) for number, (source, target) in enumerate(PAIR, 1)]
    path = write(tmp_path, rows((name, "eng", code), *values))
    for asked in ("id", "ind"):
        found = list(open_bitext(path, language=asked))
        assert [(pair.source, pair.target, pair.score) for pair in found] == [(*pair, None) for pair in PAIR]


@every_format
@pytest.mark.parametrize("roles", [("source", "target"), ("src", "tgt")])
def test_a_column_of_ids_is_not_the_only_indonesian_one(
    tmp_path: Path, write: Write, roles: tuple[str, str]
) -> None:
    path = write(tmp_path, rows(("id", *roles), *((f"n{n}", *pair) for n, pair in enumerate(PAIR))))
    assert read(path, "id") == PAIR
    path = write(tmp_path, rows(("id", "en"), ("n1", "one"), ("n2", "two")))
    with pytest.raises(InputError):
        read(path, "id")
    path = write(tmp_path, rows(("id", "en"), *PAIR))
    assert read(path, "id") == PAIR


@every_format
@pytest.mark.parametrize(
    ("asked", "word", "code"), [("no", "no", "nb"), ("is", "is", "isl"), ("to", "to", "ton")]
)
def test_other_codes_that_are_words(tmp_path: Path, write: Write, asked: str, word: str, code: str) -> None:
    path = write(tmp_path, rows((word, code, "en"), (1, "a b", "one"), (2, "c d", "two")))
    assert read(path, asked) == [("a b", "one"), ("c d", "two")]
    path = write(tmp_path, rows((word, "en"), ("a b", "one"), ("c d", "two")))
    assert read(path, asked) == [("a b", "one"), ("c d", "two")]


@every_format
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("src", "tgt"), ("source", "target"), ("Source", "Target"), ("sentence1", "sentence2"),
        ("source_text", "target_text"), ("text_source", "text_target"), ("src_text", "tgt_text"),
        ("text1", "text2"), ("sentence_1", "sentence_2"), ("source sentence", "target sentence"),
        ("text_sw", "text_en"), ("sw_text", "en_text"), ("sentence_swh_Latn", "sentence_eng_Latn"),
        ("sw_sentence", "en_sentence"), ("src_sw", "tgt_en"), ("Swahili", "English"), ("sw-KE", "en-GB"),
        ("non_english", "english"),
    ],
)  # fmt: skip
def test_names_of_columns(tmp_path: Path, write: Write, source: str, target: str) -> None:
    path = write(
        tmp_path, rows((source, target, f"{target}_len", "sw_score"), ("moja mbili", "one two", 7, 0.5))
    )
    assert read(path, "sw") == [("moja mbili", "one two")]


def test_source_may_say_where_a_pair_is_from(tmp_path: Path) -> None:
    names = ("source", "source_text", "target_text")
    assert read(jsonl(tmp_path, rows(names, ("BBC", "moja", "one"))), "sw") == [("moja", "one")]


def test_the_order_in_the_name_of_the_file_decides_for_roles(tmp_path: Path) -> None:
    path = tmp_path / "news.en-sw.tsv"
    path.write_text("src\ttgt\none\tmoja\n", "utf-8")
    assert read(path, "sw") == [("moja", "one")]
    assert read(path, "en", target_language="sw") == [("one", "moja")]


def test_a_header_without_the_requested_language_is_not_a_pair(tmp_path: Path) -> None:
    path = tsv(tmp_path, rows(("en", "fr"), ("one", "un")))
    with pytest.raises(InputError, match=r"pairs\.tsv, line 1: no columns for 'sw' and 'en'; .*: en, fr$"):
        read(path, "sw")


@every_format
def test_variants(tmp_path: Path, write: Write) -> None:
    names = ("eng_Latn", "knc_Arab", "knc_Latn", "pt", "pt_BR", "sr-Cyrl", "sr-Latn", "zho_Hans", "zho_Hant")
    path = write(tmp_path, rows(names, ("one", "a", "b", "c", "d", "e", "f", "g", "h")))
    asked = {
        "knc_Latn": "b", "knc-Arab": "a", "pt": "c", "pt-BR": "d", "sr-Latn": "f", "sr@latin": "f",
        "sr-Cyrl": "e", "zh-Hant": "h", "zh_TW": "h", "zh-CN": "g",
    }  # fmt: skip
    for language, text in asked.items():
        assert read(path, language) == [(text, "one")], language
    for language, listed in (
        ("kr", "knc_Arab, knc_Latn"),
        ("sr", "sr-Cyrl, sr-Latn"),
        ("zh", "zho_Hans, zho_Hant"),
    ):
        with pytest.raises(
            InputError, match=rf"{listed} all match the language '{language}'; give one of them"
        ):
            read(path, language)


@every_format
def test_the_only_variant_is_taken_and_another_script_is_not(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path, rows(("en", "pt-BR", "sr-Latn"), ("one", "um", "jedan")))
    assert read(path, "pt") == read(path, "pt-BR") == [("um", "one")]
    assert read(path, "sr") == [("jedan", "one")]
    with pytest.raises(InputError, match=r"en, pt-BR, sr-Latn"):
        read(path, "sr-Cyrl")


@every_format
def test_two_columns_of_one_language_are_a_question(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path, rows(("en", "swh", "text_sw"), ("one", "moja", "MOJA")))
    with pytest.raises(InputError, match=r"swh, text_sw all hold sentences in 'sw'"):
        read(path, "sw")
    assert read(path, "swh") == [("moja", "one")]


def test_records_that_differ_in_script_or_region(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [{"en": "one", "sr-Latn": "a"}, {"en": "two", "sr-Cyrl": "b"}])
    with pytest.raises(InputError, match=r"line 2: sr-Latn and sr-Cyrl both match the language 'sr'"):
        read(path, "sr")
    assert read(path, "sr-Cyrl") == [("b", "two")]
    path = jsonl(tmp_path, [{"en": "one", "pt-PT": "a"}, {"en": "two", "pt-BR": "b"}])
    assert read(path, "pt-BR") == [("b", "two")]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["17\tmoja\tone", "18\tmbili\ttwo"], [("moja", "one", None), ("mbili", "two", None)]),
        (["moja\tone\t17", "mbili\ttwo\t18"], [("moja", "one", None), ("mbili", "two", None)]),
        (["n-1\tmoja\tone", "n-2\tmbili\ttwo"], [("moja", "one", None), ("mbili", "two", None)]),
        (["moja\tone\tn-1", "mbili\ttwo\tn-2"], [("moja", "one", None), ("mbili", "two", None)]),
        (["1.5\tmoja\tone", "1.2\tmbili\ttwo"], [("moja", "one", 1.5), ("mbili", "two", 1.2)]),
        (["5\tmoja\tone", "5\tmbili\ttwo"], [("moja", "one", 5.0), ("mbili", "two", 5.0)]),
        (["moja\tone\tnan", "mbili\ttwo\t1.2"], [("moja", "one", None), ("mbili", "two", 1.2)]),
    ],
)
def test_ids_without_a_header_are_not_scores(tmp_path: Path, lines: list[str], expected: list[Any]) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    assert [(pair.source, pair.target, pair.score) for pair in open_bitext(path, language="sw")] == expected


@pytest.mark.parametrize("write", [tsv, jsonl, parquet])
def test_nan_is_no_score_and_infinity_is_compared(tmp_path: Path, write: Write) -> None:
    scores = (math.nan, 1.5, 1.0, math.inf, -math.inf)
    path = write(
        tmp_path, rows(("sw", "en", "Score"), *((f"a{n}", f"b{n}", s) for n, s in enumerate(scores)))
    )
    drops = Drops()
    found = list(open_bitext(path, language="sw", min_score=1.04, drops=drops))
    assert [pair.score for pair in found] == [None, 1.5, math.inf]
    assert drops == Drops(read=5, kept=3, low_score=2)


def test_a_null_is_an_empty_sentence(tmp_path: Path) -> None:
    drops = Drops()
    path = jsonl(
        tmp_path, [{"en": "one", "sw": None}, {"en": None, "sw": "moja"}, {"en": "two", "sw": "mbili"}]
    )
    assert read(path, "sw", drops=drops) == [("mbili", "two")]
    assert drops == Drops(read=3, kept=1, empty=2)
    path = jsonl(tmp_path, [{"source": None, "target": "one"}, {"source": "moja", "target": "one"}])
    assert read(path, "sw") == [("moja", "one")]


@every_format
def test_the_languages_of_named_columns_are_recognised(tmp_path: Path, write: Write) -> None:
    path = write(
        tmp_path,
        rows(("id", "text_en", "text_ind", "zho_Hans", "zho_Hant"), *[("n1", "a", "b", "c", "d")] * 2),
    )
    assert set(recognise(path).languages) == {"id", "zh-Hans", "zh-Hant"}
