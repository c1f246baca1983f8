"""CIRAL and AfriCLIRMatrix: files in their published layout, and the real topics and judgements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.collections.african import load_african
from engine.collections.africlirmatrix import AFRICLIRMATRIX
from engine.collections.ciral import CIRAL
from engine.collections.load import load_collections
from engine.collections.trec import read_judgements, read_topics
from engine.config import CollectionConfig
from engine.errors import InputError


@pytest.fixture
def ciral(tmp_path: Path) -> Path:
    for name, code in (("somali", "so"), ("swahili", "sw")):
        for folder in ("topics", "qrels"):
            (tmp_path / f"ciral-{name}" / folder).mkdir(parents=True)
        for split in ("dev", "test-a"):
            (tmp_path / f"ciral-{name}/topics/topics.ciral-v1.0-{code}-{split}.tsv").write_text(
                f"1\tWhat is {name} {split}?\n2\tWho?\n"
            )
            (tmp_path / f"ciral-{name}/qrels/qrels.ciral-v1.0-{code}-{split}.tsv").write_text(
                "1 Q0 12#0 1\n1 Q0 12#1 0\n2 Q0 13#0 1\n"
            )
        passages = tmp_path / "passages-v1.0"
        passages.mkdir(exist_ok=True)
        (passages / f"{name}_passages.jsonl").write_text(
            "".join(
                json.dumps({"docid": docid, "title": "Habari", "text": text, "url": "u"}) + "\n"
                for docid, text in (("12#0", "kwanza"), ("12#1", "pili"), ("13#0", "tatu"))
            )
        )
    return tmp_path


def test_ciral_field_by_field(ciral: Path) -> None:
    config = CollectionConfig(name="ciral", path=str(ciral), document_languages=["swa"], split="dev")
    (collection,) = load_collections(config)
    assert [(q.id, q.text, q.language) for q in collection.queries] == [
        ("en:sw-1", "What is swahili dev?", "en"),
        ("en:sw-2", "Who?", "en"),
    ]
    assert [(d.id, d.text) for d in collection.documents] == [
        ("sw:12#0", "Habari kwanza"),
        ("sw:12#1", "Habari pili"),
        ("sw:13#0", "Habari tatu"),
    ]
    assert collection.judgements == {"en:sw-1": {"sw:12#0": 1, "sw:12#1": 0}, "en:sw-2": {"sw:13#0": 1}}
    assert (collection.direction, collection.document_language) == ("en-xx", "sw")
    assert collection.measures == ("nDCG@20", "R@100", "Judged@20") and "Apache" in collection.source


def test_all_local_languages_are_read_each_with_its_own_pool(ciral: Path) -> None:
    found = load_african(CIRAL, ciral)
    assert [collection.document_language for collection in found] == ["so", "sw"]
    assert len({query.id for collection in found for query in collection.queries}) == 4
    assert found[0].queries[0].text == "What is somali test-a?"


def test_missing_languages_splits_and_files_are_refused(ciral: Path) -> None:
    with pytest.raises(InputError, match=r"no split 'train'.*it has test-a, test-b, dev"):
        load_african(CIRAL, ciral, split="train")
    with pytest.raises(InputError, match="no documents in 'mr'; it has ha, so, sw, yo"):
        load_african(CIRAL, ciral, ["mr"])
    with pytest.raises(InputError, match=r"file topics\.ciral-v1\.0-ha-test-a\.tsv is not here"):
        load_african(CIRAL, ciral, ["ha"])
    with pytest.raises(InputError, match="has English queries"):
        load_collections(CollectionConfig(name="ciral", path=str(ciral), languages=["sw"]))
    with pytest.raises(InputError, match="no topics of AfriCLIRMatrix"):
        load_african(AFRICLIRMATRIX, ciral)
    judged = ciral / "ciral-somali/qrels/qrels.ciral-v1.0-so-dev.tsv"
    judged.write_text("1 Q0 12#0 1\n9 Q0 12#0 1\n")
    with pytest.raises(InputError, match=r"so-dev\.tsv, line 2: topic '9' is judged and not in topics"):
        load_african(CIRAL, ciral, ["so"], "dev")
    judged.write_text("1 Q0 99#9 1\n")
    with pytest.raises(InputError, match=r"so-dev\.tsv, line 1: document '99#9' is judged and not among"):
        load_african(CIRAL, ciral, ["so"], "dev")


@pytest.mark.data
def test_africlirmatrix_real_topics_and_judgements(data_home: Path, tmp_path: Path) -> None:
    """The real topics and judgements with a corpus made of the ids of the judged documents."""
    expected = {"ha": (1500, 1876), "so": (1000, 1049), "sw": (1500, 1891)}
    folder = data_home / "africlirmatrix"
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    for code, (topics, judgements) in expected.items():
        short, name = AFRICLIRMATRIX.languages[code]
        judged = read_judgements(folder / f"qrels.africlirmatrix-v1.0.en.{short}.txt")
        assert len(judged) == judgements
        assert len(list(read_topics(folder / f"topics.africlirmatrix-v1.0.en.{short}.tsv"))) == topics
        corpus = tmp_path / f"africlirmatrix-v1.0-{name}"
        corpus.mkdir()
        ids = dict.fromkeys(judgement.document for judgement in judged)
        (corpus / "corpus.jsonl").write_text(
            "".join(json.dumps({"id": one, "contents": f"makala {one}"}) + "\n" for one in ids)
        )
    found = load_african(AFRICLIRMATRIX, tmp_path)
    assert [collection.document_language for collection in found] == ["ha", "so", "sw"]
    for collection in found:
        topics, judgements = expected[collection.document_language]
        assert len(collection.queries) == topics and not collection.notes
        assert sum(map(len, collection.judgements.values())) == judgements
        assert {grade for grades in collection.judgements.values() for grade in grades.values()} <= set(
            range(1, 7)
        )
    slice_preparation = next(q for q in found[1].queries if q.id == "en:so-29765867")
    assert slice_preparation.text == "Slice preparation"
    assert found[1].judgements["en:so-1632100"] == {"so:18092": 4}
