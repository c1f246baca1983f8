"""Question sets and NTREX-128 as bitext: AfriQA, Belebele, MKQA."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from engine.bitext.reader import open_bitext
from engine.bitext.source import read_source
from engine.config import BitextConfig
from engine.errors import InputError


def lines(path: Path, *records: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    return path


def asked(number: int, question: str, translation: str, split: str) -> dict[str, Any]:
    return {
        "id": number,
        "question": question,
        "translated_question": translation,
        "answers": "['x']",
        "lang": "hau",
        "split": split,
        "translated_answer": "['x']",
        "translation_type": "human_translation",
    }


def gold(number: int, question: str, translation: str, title: str, context: str) -> dict[str, Any]:
    return {
        "id": str(number),
        "question_lang": question,
        "question_translated": translation,
        "title": title,
        "context": context,
        "answer_pivot": {"answer_start": [0], "text": ["x"]},
        "answer_lang": "x",
    }


@pytest.fixture
def afriqa(tmp_path: Path) -> Path:
    queries, passages = tmp_path / "queries" / "hau", tmp_path / "gold_passages" / "hau"
    train = [asked(0, "A ina?", "Where is it?", "train"), asked(1, "Wane ne?", "Who is it?", "train")]
    lines(queries / "queries.afriqa.hau.en.train.json", *train)
    lines(queries / "queries.afriqa.hau.en.test.json", asked(0, "Yaushe?", "When was it?", "test"))
    lines(
        passages / "gold_span_passages.afriqa.hau.en.train.json",
        gold(0, "Wane ne?", "Who is it?", "Her", "It is her."),
        gold(1, "Me ya sa?", "Why is it so?", "Why", "Because."),
    )
    return tmp_path


def test_afriqa_has_the_questions_of_a_split_each_once_with_their_passages(afriqa: Path) -> None:
    pairs = [*open_bitext(afriqa, language="ha")]
    assert [(pair.id, pair.source, pair.target, pair.document, pair.passage) for pair in pairs] == [
        ("train-0", "A ina?", "Where is it?", "", ""),
        ("train-1", "Wane ne?", "Who is it?", "Her", "It is her."),
        ("train-passage-1", "Me ya sa?", "Why is it so?", "Why", "Because."),
    ]
    assert [pair.id for pair in open_bitext(afriqa, language="ha", split="test")] == ["test-0"]
    assert len([*open_bitext(afriqa, language="ha", split="all")]) == 4
    (swapped,) = open_bitext(afriqa, language="en", target_language="hau", split="test")
    assert (swapped.source, swapped.target) == ("When was it?", "Yaushe?")
    (one, *_) = open_bitext(
        afriqa / "queries" / "hau" / "queries.afriqa.hau.en.train.json", language="ha", format="afriqa"
    )
    assert one.source == "A ina?"


def test_splits_that_are_not_there_are_named(afriqa: Path) -> None:
    with pytest.raises(InputError, match=r"no split 'tran' \(did you mean 'train'\?\)"):
        open_bitext(afriqa, language="ha", split="tran")
    with pytest.raises(
        InputError, match="in 'ha' and 'en' of the split 'dev'; here are ha-en test, ha-en train"
    ):
        [*open_bitext(afriqa, language="ha", split="dev")]
    path = lines(afriqa / "a.jsonl", {"so": "a", "en": "b"})
    with pytest.raises(InputError, match=r"format 'jsonl' has no splits; leave out split"):
        open_bitext(path, language="so", split="train")
    config = BitextConfig(path=str(afriqa), language="ha", split="test")
    assert [pair.id for pair in read_source(config)] == ["test-0"]


def belebele(link: str, number: int, question: str, passage: str) -> dict[str, Any]:
    return {
        "link": link,
        "question_number": number,
        "flores_passage": passage,
        "question": question,
        **{f"mc_answer{n}": f"answer {n}" for n in range(1, 5)},
        "correct_answer_num": "2",
        "dialect": "x",
        "ds": "2023-06-15",
    }


def test_belebele_pairs_the_same_question_of_two_files(tmp_path: Path) -> None:
    lines(tmp_path / "eng_Latn.jsonl", belebele("w/1", 1, "Who?", "He."), belebele("w/1", 2, "When?", "He."))
    lines(
        tmp_path / "hau_Latn.jsonl",
        belebele("w/1", 2, "Yaushe?", "Shi."),
        belebele("w/1", 1, "Wane ne?", "Shi."),
        belebele("w/2", 1, "Ina?", "Can."),
    )
    pairs = [*open_bitext(tmp_path, language="ha")]
    assert [(pair.source, pair.target, pair.document, pair.passage) for pair in pairs] == [
        ("Yaushe?", "When?", "w/1", "He."),
        ("Wane ne?", "Who?", "w/1", "He."),
    ]
    assert pairs[0].id.endswith("-2")
    lines(tmp_path / "hau_Latn.jsonl", {"link": "w/1", "question_number": 1})
    with pytest.raises(InputError, match=r"hau_Latn.jsonl, line 1: this record has no 'flores_passage'"):
        [*open_bitext(tmp_path, language="ha")]


def test_mkqa_has_the_same_question_in_its_languages(tmp_path: Path) -> None:
    path = tmp_path / "mkqa.jsonl.gz"
    record = {
        "query": "how long did it take the twin towers to be built",
        "answers": {"en": [{"type": "number_with_unit", "text": "11.0 years"}]},
        "queries": {"en": "how long?", "sv": "hur länge?", "zh_cn": "多久?", "zh_tw": "多久呢?"},
        "example_id": -5449743345,
    }
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    (pair,) = open_bitext(path, language="sv", format="mkqa")
    assert (pair.source, pair.target, pair.id) == ("hur länge?", "how long?", "-5449743345")
    (pair,) = open_bitext(path, language="zh-TW", format="mkqa")
    assert pair.source == "多久呢?"
    with pytest.raises(InputError, match=r"zh_cn, zh_tw all match the language 'zh'"):
        [*open_bitext(path, language="zh", format="mkqa")]


@pytest.fixture
def ntrex(tmp_path: Path) -> Path:
    folder = tmp_path / "NTREX-128"
    folder.mkdir()
    documents = [f"bbc.{n // 2}" for n in range(20)]
    (tmp_path / "DOCUMENT_IDS.tsv").write_text("".join(f"{one}\n" for one in documents), "utf-8")
    for tag in ("src.eng", "ref.hau", "ref.fra", "ref.fra-CA", "ref.zho-CN", "ref-2.spa"):
        text = "".join(f"{tag} {n}\n" for n in range(20))
        (folder / f"newstest2019-{tag}.txt").write_text(text, "utf-8")
    return tmp_path


def test_ntrex_knows_the_document_of_every_line_and_splits_by_it(ntrex: Path) -> None:
    for place in (ntrex, ntrex / "NTREX-128"):
        pairs = [*open_bitext(place, language="ha")]
        assert len(pairs) == 20 and pairs[3].source == "ref.hau 3" and pairs[3].target == "src.eng 3"
        assert pairs[3].id == "bbc.1:4" and pairs[3].document == "bbc.1"
    parts = {
        part: {pair.document for pair in read_source(BitextConfig(path=str(ntrex), language="ha", part=part))}
        for part in ("train", "test")
    }
    assert not parts["train"] & parts["test"] and len(parts["train"] | parts["test"]) == 10
    (first, *_) = open_bitext(ntrex, language="fr-CA")
    assert first.source == "ref.fra-CA 0"
    (first, *_) = open_bitext(ntrex, language="zho")
    assert first.source == "ref.zho-CN 0"
    with pytest.raises(InputError, match=r"no file newstest2019-ref.….txt in 'sw'; the languages here are"):
        [*open_bitext(ntrex, language="sw")]
    (ntrex / "DOCUMENT_IDS.tsv").write_text("bbc.1\n", "utf-8")
    with pytest.raises(InputError, match=r"DOCUMENT_IDS.tsv: it names the documents of 1 line and"):
        [*open_bitext(ntrex, language="ha")]
