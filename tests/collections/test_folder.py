"""Folders in BEIR's and TREC's formats, with several languages, against the rules of trec_eval."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.collections.folder import load_folder
from engine.collections.load import load_collections
from engine.config import CollectionConfig
from engine.errors import InputError


def objects(path: Path, *records: dict[str, object]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    objects(
        tmp_path / "corpus.jsonl",
        {"_id": "d1", "title": "Fever", "text": "is high"},
        {"_id": "d2", "title": "", "text": "cough"},
        {"_id": "d3", "text": "river"},
    )
    objects(
        tmp_path / "queries.jsonl",
        {"_id": "q1", "text": "homa"},
        {"_id": "q2", "text": "kikohozi"},
        {"_id": "q3", "text": "mto"},
        {"_id": "q4", "text": "jiwe"},
    )
    (tmp_path / "qrels").mkdir()
    head = "query-id\tcorpus-id\tscore\n"
    (tmp_path / "qrels" / "test.tsv").write_text(f"{head}q1\td1\t2\nq1\td2\t0\nq2\td2\t1\nq4\td3\t0\n")
    (tmp_path / "qrels" / "dev.tsv").write_text(f"{head}q3\td3\t1\n")
    return tmp_path


def test_beir_format_field_by_field(beir: Path) -> None:
    config = CollectionConfig(
        name="folder", path=str(beir), languages=["sw"], document_languages=["en"], label="own"
    )
    (collection,) = load_collections(config)
    assert (collection.name, collection.direction, collection.protocol) == ("own", "xx-en", "trec")
    assert [(d.id, d.text, d.language) for d in collection.documents] == [
        ("en:d1", "Fever is high", "en"),
        ("en:d2", "cough", "en"),
        ("en:d3", "river", "en"),
    ]
    assert collection.judgements == {
        "sw:q1": {"en:d1": 2, "en:d2": 0},
        "sw:q2": {"en:d2": 1},
        "sw:q4": {"en:d3": 0},
    }
    assert collection.notes == (
        "folder: 1 of 4 topics have no judgement and are left out, as in trec_eval",
        "folder: 1 topics have no relevant document and score 0, as in trec_eval",
    )
    dev = load_folder(beir, "dev", ["sw"], ["en"])
    assert list(dev.judgements) == ["sw:q3"] and dev.revision != collection.revision


def test_trec_format_in_several_languages_is_one_multilingual_pool(tmp_path: Path) -> None:
    (tmp_path / "documents.sw.tsv").write_text("1\tmoja\n2\tmbili\n")
    (tmp_path / "documents.so.tsv").write_text("1\tkow\n9\tsagaal\n")
    (tmp_path / "topics.en.tsv").write_text("t1\tone\n")
    (tmp_path / "topics.de.tsv").write_text("t1\teins\nt2\tzwei\n")
    (tmp_path / "qrels.txt").write_text("t1 0 1 1\nt2 0 2 1\nt2 0 9 0\n")
    collection = load_folder(tmp_path)
    assert collection.document_languages == ("so", "sw") and collection.direction == "xx-xx"
    # document 1 exists in both languages, as a translation
    assert collection.judgements == {
        "de:t1": {"so:1": 1, "sw:1": 1},
        "de:t2": {"sw:2": 1, "so:9": 0},
        "en:t1": {"so:1": 1, "sw:1": 1},
    }
    part = load_folder(tmp_path, languages=["en"], document_languages=["sw"])
    assert part.judgements == {"en:t1": {"sw:1": 1}} and part.direction == "en-xx"
    assert [document.id for document in part.documents] == ["sw:1", "sw:2"]


def test_every_record_may_give_its_language(tmp_path: Path) -> None:
    objects(
        tmp_path / "corpus.jsonl",
        {"_id": "1", "text": "moja", "language": "swa"},
        {"_id": "2", "text": "kow", "language": "som"},
    )
    objects(tmp_path / "queries.jsonl", {"_id": "q", "text": "one", "language": "en"})
    (tmp_path / "qrels.tsv").write_text("q\t1\t1\n")
    assert load_folder(tmp_path).document_languages == ("sw", "so")


def test_a_smaller_pool_keeps_the_judged_documents_and_is_noted(beir: Path) -> None:
    full = load_folder(beir, None, ["sw"], ["en"])
    small = load_folder(beir, "dev", ["sw"], ["en"], pool_limit=1)
    assert len(small.documents) == 2 and "en:d3" in {document.id for document in small.documents}
    assert small.revision.endswith("-pool1") and "reduced to 2 of 3 documents" in small.notes[-1]
    assert load_folder(beir, None, ["sw"], ["en"], pool_limit=5).revision == full.revision


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("qrels/test.tsv", "q1\td9\t1\n", "line 1: document 'd9' is judged and not among the documents"),
        ("qrels/test.tsv", "q1\td1\t1\nq9\td1\t1\n", "line 2: topic 'q9' is judged and not among the topics"),
        (
            "corpus.jsonl",
            '{"_id": "d1", "text": "x", "language": "xx"}\n',
            "line 1: unknown language code 'xx'",
        ),
        ("queries.jsonl", "", "queries.jsonl: it contains no topic"),
    ],
)
def test_inconsistent_files_are_refused(beir: Path, name: str, content: str, words: str) -> None:
    (beir / name).write_text(content)
    with pytest.raises(InputError) as caught:
        load_folder(beir, None, ["sw"], ["en"])
    assert str(beir / name) in str(caught.value) and words in str(caught.value)


def test_missing_files_and_languages_are_named(beir: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"corpus\.jsonl, line 1: its language is not given"):
        load_folder(beir, None, ["sw"])
    with pytest.raises(InputError, match="no 'train'; set split to one of dev, test"):
        load_folder(beir, "train", ["sw"], ["en"])
    with pytest.raises(InputError, match="no topics"):
        (beir / "queries.jsonl").unlink()
        load_folder(beir, None, ["sw"], ["en"])
    with pytest.raises(InputError, match="not a folder"):
        load_folder(tmp_path / "nowhere")
