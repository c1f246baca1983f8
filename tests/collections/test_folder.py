"""Folders in BEIR's and TREC's formats, with several languages, against the rules of trec_eval."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from engine.collections.folder import FolderSettings, load_folder
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
        "folder: 1 of 4 topics has no judgement and is left out, as in trec_eval",
        "folder: 1 topic has no relevant document and scores 0, as in trec_eval",
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
        ("qrels/test.tsv", "q1\td9\t1\n", "none of the 1 judged documents is among the documents"),
        ("qrels/test.tsv", "q8\td1\t1\nq9\td1\t1\n", "none of its 2 topics is among the topics"),
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


def test_judgements_of_unknown_documents_and_topics_are_counted_or_refused(beir: Path) -> None:
    qrels = beir / "qrels" / "test.tsv"
    qrels.write_text("q1\td1\t2\nq1\td9\t1\nq2\td8\t1\nq8\td1\t1\nq8\td2\t1\n")
    settings = {"name": "folder", "path": str(beir), "languages": ["sw"], "document_languages": ["en"]}
    (collection,) = load_collections(CollectionConfig(**settings))
    assert collection.judgements == {"sw:q1": {"en:d1": 2, "en:d9": 1}, "sw:q2": {"en:d8": 1}}
    assert collection.notes == (
        "folder: 2 judgements of 1 topic that is not among the topics are left out",
        "folder: 2 of 4 topics have no judgement and are left out, as in trec_eval",
        "folder: 2 judged documents are not in the pool; relevant ones count as not found",
    )
    refusing = CollectionConfig(**settings, unknown_judgements="refuse")
    with pytest.raises(InputError, match="line 2: document 'd9' is judged and not among the documents"):
        load_collections(refusing)
    qrels.write_text("q1\td1\t1\nq9\td1\t1\n")
    with pytest.raises(InputError, match="line 2: topic 'q9' is judged and not among the topics"):
        load_collections(refusing)


def test_unknown_documents_of_a_pool_in_several_languages_stay_unknown(tmp_path: Path) -> None:
    (tmp_path / "documents.sw.tsv").write_text("1\tmoja\n2\tmbili\n")
    (tmp_path / "documents.so.tsv").write_text("1\tkow\n")
    (tmp_path / "topics.en.tsv").write_text("t1\tone\n")
    (tmp_path / "qrels").write_text("t1 0 1 1\nt1 0 7 1\n")
    assert load_folder(tmp_path).judgements == {"en:t1": {"so:1": 1, "sw:1": 1, "und:7": 1}}
    part = load_folder(tmp_path, document_languages=["sw"])
    assert part.judgements == {"en:t1": {"sw:1": 1, "und:7": 1}}


@pytest.mark.parametrize(
    "name", ["qrels", "qrels.txt", "qrels.tsv", "qrels.gz", "qrels.dev.txt", "qrels.a.b.tsv"]
)
def test_names_of_the_judgements_of_trec(tmp_path: Path, name: str) -> None:
    (tmp_path / "documents.sw.tsv").write_text("1\tmoja\n")
    (tmp_path / "topics.en.tsv").write_text("t1\tone\n")
    content = b"t1 0\t1 1\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert load_folder(tmp_path).judgements == {"en:t1": {"sw:1": 1}}


def test_splits_of_judgements_in_files_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "documents.sw.tsv").write_text("1\tmoja\n2\tmbili\n")
    (tmp_path / "topics.en.tsv").write_text("t1\tone\nt2\ttwo\n")
    (tmp_path / "qrels.train.txt").write_text("t1 0 1 1\n")
    (tmp_path / "qrels.test.txt").write_text("t2 0 2 1\n")
    assert list(load_folder(tmp_path).judgements) == ["en:t2"]
    assert list(load_folder(tmp_path, "train").judgements) == ["en:t1"]
    with pytest.raises(InputError, match="no 'dev'; set split to one of test, train"):
        load_folder(tmp_path, "dev")


def test_files_of_the_operating_system_are_no_judgements(beir: Path) -> None:
    (beir / "qrels" / "test.tsv").unlink()
    for name in (".DS_Store", "._dev.tsv", "Thumbs.db", "desktop.ini"):
        (beir / "qrels" / name).write_bytes(b"\0\1")
    (beir / "._corpus.jsonl").write_bytes(b"\0\1")
    assert list(load_folder(beir, None, ["sw"], ["en"]).judgements) == ["sw:q3"]
    (beir / "qrels" / "dev.tsv").rename(beir / "qrels" / "dev")
    assert list(load_folder(beir, "dev", ["sw"], ["en"]).judgements) == ["sw:q3"]


# -- queries that are in the pool --------------------------------------------------------------------


@pytest.fixture
def arguments(tmp_path: Path) -> Path:
    """Return a collection in the shape of ArguAna: the queries are documents too."""
    texts = ["power for towns", "power and farms", "school far away", "school far away from home"]
    documents = [{"_id": f"a{number}", "text": text} for number, text in enumerate(texts)]
    objects(tmp_path / "corpus.jsonl", *documents)
    objects(tmp_path / "queries.jsonl", documents[0], documents[2])
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\na0\ta1\t1\na2\ta3\t1\n")
    return tmp_path


def test_a_query_in_the_pool_is_taken_out_of_its_ranking_in_beirs_format(arguments: Path) -> None:
    collection = load_folder(arguments, None, ["en"], ["en"])
    assert collection.ignored == {"en:a0": ("en:a0",), "en:a2": ("en:a2",)}
    assert collection.revision.endswith("-without-identical-ids") and len(collection.documents) == 4
    assert "2 queries have a document with their own id in the pool" in collection.notes[-1]
    kept = load_folder(arguments, None, ["en"], ["en"], settings=FolderSettings(ignore_identical_ids=False))
    assert not kept.ignored and kept.revision == collection.revision.partition("-")[0]
    assert "2 queries are in the pool themselves" in kept.notes[-1]
    # The same files in TREC's format.
    (arguments / "qrels" / "test.tsv").rename(arguments / "qrels.tsv")
    (arguments / "qrels").rmdir()
    assert not load_folder(arguments, None, ["en"], ["en"]).ignored


def test_a_document_that_has_the_id_of_a_query_and_is_relevant_to_it_stays(arguments: Path) -> None:
    (arguments / "qrels" / "test.tsv").write_text("a0\ta0\t1\na2\ta3\t1\n")
    collection = load_folder(arguments, None, ["sw"], ["en"])
    assert collection.ignored == {"sw:a2": ("en:a2",)}
    assert "1 query has the id of a document that is judged relevant to it" in collection.notes[-1]
    always = FolderSettings(ignore_identical_ids=True)
    collection = load_folder(arguments, None, ["sw"], ["en"], settings=always)
    assert collection.ignored == {"sw:a0": ("en:a0",), "sw:a2": ("en:a2",)}
    assert "those of 1 query are judged relevant and count as not found" in collection.notes[-1]


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
