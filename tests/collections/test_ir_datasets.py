"""Collections through ir_datasets: files in their published formats in a separate home, without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.collections import folder
from engine.collections.africlirmatrix import AFRICLIRMATRIX
from engine.collections.ciral import CIRAL
from engine.collections.ir_datasets_families import FAMILIES
from engine.collections.ir_datasets_reader import load_dataset, load_family
from engine.collections.load import load_collections
from engine.config import CollectionConfig
from engine.errors import InputError
from engine.extensions.collections import COLLECTIONS, protocol_measures

#: Writes the collections into ``IR_DATASETS_HOME`` and prints what the readers return. ir_datasets reads its
#: home when it is first imported, so this needs a separate process.
_SCRIPT = r"""
import gzip, json, os, socket
from pathlib import Path

def offline(*arguments):
    raise OSError("no network in a test")

socket.socket.connect = socket.getaddrinfo = offline
home = Path(os.environ["IR_DATASETS_HOME"])

def put(name, text):
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

def lines(*records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)

# MIRACL: gzipped objects, topics between tabs, TREC's judgements
put("miracl/v1.0/sw/docs/docs-0.jsonl.gz", lines(
    {"docid": "1#0", "title": "Mto", "text": "maji yanayotiririka"},
    {"docid": "1#1", "title": "Mto", "text": "bahari"}))
put("miracl/v1.0/sw/dev/topics.tsv", "0\tMto ni nini?\n2\tNani?\n")
put("miracl/v1.0/sw/dev/qrels.tsv", "0\tQ0\t1#0\t1\n0\tQ0\t1#1\t0\n")

# mMARCO: collection and queries between tabs, one file of judgements for all languages
for language, text in (("arabic", "مرحبا"), ("dutch", "hallo")):
    put(f"mmarco/v2/{language}_collection.tsv", f"0\t{text} 0\n1\t{text} 1\n")
    put(f"mmarco/v2/{language}.queries.dev.tsv", f"9\t{text}?\n8\tniet\n")
put("mmarco/qrels.dev.small.tsv", "9\t0\t1\t1\n")

# CLIRMatrix: a list of files first, then documents and queries with their results
listed = {"clirmatrix_docs": {}, "clirmatrix_bi139_base": {}, "clirmatrix_multi8": {}}
for language in ("de", "en", "sw"):
    listed["clirmatrix_docs"][f"docs/{language}"] = {
        "url": "http://localhost:9/none", "expected_md5": "0", "cache_path": f"docs/{language}.tsv.gz"}
    put(f"clirmatrix/docs/{language}.tsv.gz", f"10\tzehn {language}\n11\telf {language}\n")
for part, queries, documents in (
    ("bi139_base", "de", "sw"), ("multi8", "de", "en"), ("multi8", "en", "de"), ("multi8", "en", "en")):
    name = f"queries/{part}/{queries}_{documents}.jsonl.gz"
    listed[f"clirmatrix_{part}"][f"queries/{queries}_{documents}/test1"] = {
        "url": "http://localhost:9/none", "expected_md5": "0", "cache_path": name}
    put(f"clirmatrix/{name}", lines(
        {"src_id": "77", "src_query": f"frage {queries}", "tgt_results": [["10", 6], ["11", 1]]},
        {"src_id": "78", "src_query": "lost", "tgt_results": [["404", 3]]}))
put("clirmatrix/clirmatrix_downloads.json.gz", json.dumps(listed))

# WikiCLIR: title and first sentence, title and text, three columns of judgements
source = "wikiclir/source/wiki-clir"
put(f"{source}/english/wiki_en.queries", "1\triver\tA river is water.\n2\tstone\tA stone is hard.\n")
put(f"{source}/swahili/wiki_sw.documents", "5\tMto\tmaji\n6\tJiwe\tgumu\n")
put(f"{source}/swahili/en2sw.rel", "1\t5\t2\n1\t6\t1\n")

# HC4: Common Crawl's documents as objects, topics in several languages
def topic(number, languages):
    return {"topic_id": number, "languages_with_qrels": languages, "topics": [
        {"lang": "eng", "source": "original", "topic_title": f"title {number}", "topic_description": "d",
         "topic_narrative": "n"},
        *({"lang": code, "source": source, "topic_title": f"{source} {code}", "topic_description": "d",
           "topic_narrative": "n"}
          for code in ("fas", "rus", "zho") for source in ("human translation", "google translation"))],
        "narratives": {"fas": {}, "rus": {}, "zho": {}}, "report": {"text": "r", "url": "u", "date": "2020"}}
put("hc4/zho/test.qrels.v1-0.txt", "1001 0 zho-1 3\n")
for code3, text in (("fas", "خبر"), ("rus", "новость")):
    put(f"hc4/{code3}/hc4_docs.jsonl", lines(
        {"id": f"{code3}-1", "cc_file": "f", "time": "t", "title": text, "text": "x", "url": "u"}))
    put(f"hc4/{code3}/test.qrels.v1-0.txt", f"1001 0 {code3}-1 3\n")
put("hc4/test.topics.v1-0.jsonl", lines(topic("1001", ["fas", "rus", "zho"])))

# NeuCLIR: one file of topics and one of judgements, which give the language of the documents
put("neuclir/trec-2022/topics.jsonl", lines(topic("5", ["fas", "rus"]), topic("6", ["fas"])))
put("neuclir/trec-2022/qrels", "5 fas fas-1 3\n5 rus rus-1 1\n6 fas fas-2 0\n")
for code3, count in (("fas", 2), ("rus", 1)):
    put(f"neuclir/1/{code3}/docs.jsonl.gz", lines(*(
        {"id": f"{code3}-{n}", "cc_file": "f", "time": "t", "title": "A", "text": "b", "url": "u"}
        for n in range(1, count + 1))))

from engine.collections.ir_datasets_families import FAMILIES
from engine.collections.ir_datasets_reader import load_dataset, load_family
from engine.errors import InputError

families = {family.name: family for family in FAMILIES}

def described(collections):
    return [{
        "name": c.name, "direction": c.direction, "measures": c.measures, "notes": c.notes,
        "queries": [[q.id, q.text] for q in c.queries],
        "documents": [[d.id, d.text, d.language] for d in c.documents],
        "judgements": c.judgements,
    } for c in collections]

def error_of(call):
    try:
        call()
    except InputError as error:
        return str(error)

put("miracl/v1.0/yo/docs/docs-1.jsonl.gz", '{"docid": "1", "title": "t", "text": "x"}\n{"docid": ')
put("miracl/v1.0/yo/dev/topics.tsv", "0\tt\n")
put("miracl/v1.0/yo/dev/qrels.tsv", "0\tQ0\t1\t1\n")
put("miracl/v1.0/te/dev/topics.tsv", "0\tt\textra\n")
print(json.dumps({
    "miracl": described(load_family(families["miracl"], ["sw"])),
    "mmarco": described(load_family(families["mmarco"], ["ar", "nl"])),
    "mmarco across": described(load_family(families["mmarco"], ["ar"], ["nl"])),
    "bi-139": described(load_family(families["bi-139"], ["de"], ["sw"])),
    "multi-8": described(load_family(families["multi-8"], ["de"], ["de", "en"])),
    "multi-8 own": described(load_family(families["multi-8"], ["en"], ["de", "en"], pool="own")),
    "multi-8 both": described(load_family(families["multi-8"], ["en"], ["de", "en"])),
    "wikiclir": described(load_family(families["wikiclir"], (), ["sw"])),
    "hc4": described(load_family(families["hc4"], (), ["fa", "ru"])),
    "hc4 translated": described(load_family(families["hc4"], ["fa"], ["fa"])),
    "neuclir": described(load_family(families["neuclir"], (), ["fa", "ru"])),
    "by id": described([load_dataset("miracl/sw/dev")]),
    "truncated": error_of(lambda: load_family(families["miracl"], ["yo"])),
    "columns": error_of(lambda: load_family(families["miracl"], ["te"])),
    "missing": error_of(lambda: load_family(families["hc4"], (), ["zh"])),
    "unreachable": error_of(lambda: load_family(families["miracl"], ["bn"])),
}, ensure_ascii=False))
"""


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("irds")
    script = home / "script.py"
    script.write_text(_SCRIPT, "utf-8")
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "IR_DATASETS_HOME": str(home),
        "IR_DATASETS_DL_TRIES": "1",
        "PYTHONPATH": str(root),
        "PYTHONIOENCODING": "utf-8",
    }
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_miracl_searches_each_wikipedia_in_its_language(read: dict[str, Any]) -> None:
    (collection,) = read["miracl"]
    assert collection["queries"] == [["sw:sw-0", "Mto ni nini?"]]
    assert collection["documents"] == [
        ["sw:1#0", "Mto maji yanayotiririka", "sw"],
        ["sw:1#1", "Mto bahari", "sw"],
    ]
    assert collection["judgements"] == {"sw:sw-0": {"sw:1#0": 1, "sw:1#1": 0}}
    assert collection["measures"] == ["nDCG@10", "R@100"]
    assert collection["notes"] == [
        "miracl: 1 of 2 topics has no judgement and is left out, as in trec_eval",
        "miracl/sw: 2 documents where 131,924 were published; fetch it again",
    ]


def test_mmarco_has_one_pool_for_each_language_or_pair(read: dict[str, Any]) -> None:
    arabic, dutch = read["mmarco"]
    assert arabic["queries"] == [["ar:9", "مرحبا?"]] and dutch["queries"] == [["nl:9", "hallo?"]]
    assert dutch["documents"] == [["nl:0", "hallo 0", "nl"], ["nl:1", "hallo 1", "nl"]]
    assert dutch["measures"] == ["RR@10", "R@1000"] and dutch["name"] == "mmarco"
    (across,) = read["mmarco across"]
    assert across["judgements"] == {"ar:9": {"nl:1": 1}} and across["name"] == "mmarco-nl"


def test_clirmatrix_by_pairs_and_in_one_pool(read: dict[str, Any]) -> None:
    (pair,) = read["bi-139"]
    assert pair["name"] == "bi-139-sw" and pair["direction"] == "xx-xx"
    assert pair["queries"] == [["de:de-sw-77", "frage de"], ["de:de-sw-78", "lost"]]
    assert pair["judgements"]["de:de-sw-77"] == {"sw:10": 6, "sw:11": 1}
    assert any("1 judged document is not in the pool" in note for note in pair["notes"])
    (pool,) = read["multi-8"]  # German documents have no judgements for German queries
    assert [document[2] for document in pool["documents"]] == ["en", "en"]
    assert any("no judgements of documents in de" in note for note in pool["notes"])
    (both,) = read["multi-8 both"]
    assert [document[0] for document in both["documents"]] == ["de:10", "de:11", "en:10", "en:11"]
    assert both["judgements"]["en:en-all-77"] == {"de:10": 6, "de:11": 1, "en:10": 6, "en:11": 1}
    assert [(own["name"], own["direction"]) for own in read["multi-8 own"]] == [
        ("multi-8", "en-xx"),
        ("multi-8", "xx-en"),
    ]


def test_english_queries_search_other_languages(read: dict[str, Any]) -> None:
    (wiki,) = read["wikiclir"]
    assert wiki["queries"] == [["en:sw-1", "river"]] and wiki["direction"] == "en-xx"
    assert wiki["judgements"] == {"en:sw-1": {"sw:5": 2, "sw:6": 1}}
    assert wiki["documents"][0] == ["sw:5", "Mto maji", "sw"]
    persian, russian = read["hc4"]
    assert persian["queries"] == [["en:fa-1001", "title 1001"]] and russian["judgements"] == {
        "en:ru-1001": {"ru:rus-1": 3}
    }
    (translated,) = read["hc4 translated"]
    assert translated["queries"] == [["fa:1001", "human translation fas"]]


def test_neuclirs_news_are_one_multilingual_pool(read: dict[str, Any]) -> None:
    (pool,) = read["neuclir"]
    assert [document[::2] for document in pool["documents"]] == [
        ["fa:fas-1", "fa"],
        ["fa:fas-2", "fa"],
        ["ru:rus-1", "ru"],
    ]
    assert pool["judgements"] == {"en:5": {"fa:fas-1": 3, "ru:rus-1": 1}, "en:6": {"fa:fas-2": 0}}
    assert pool["direction"] == "xx-xx" and "Judged@20" in pool["measures"]


def test_any_dataset_is_read_by_its_id(read: dict[str, Any]) -> None:
    (collection,) = read["by id"]
    assert collection["judgements"] == {"sw:0": {"sw:1#0": 1, "sw:1#1": 0}}
    assert collection["name"] == "ir-datasets"


def test_errors_of_ir_datasets_are_one_sentence(read: dict[str, Any]) -> None:
    assert read["truncated"].startswith("ir_datasets cannot read miracl/yo after 1 docs (JSONDecodeError")
    assert read["columns"].startswith(
        "ir_datasets cannot read miracl/te/dev (RuntimeError: expected 2 fields, got 3)"
    )
    assert "hc4/zh" in read["missing"] and "must be put there" in read["missing"]
    assert "(it gets nothing from https://huggingface.co/" in read["unreachable"]
    assert all("\n" not in read[name] for name in ("truncated", "columns", "missing", "unreachable"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("miracl", ["sw"], (), "test"), "no split 'test'; it has dev, train"),
        (("bi-139", ["de"]), "all pairs of languages; name some in document_languages"),
        (("miracl", ["so"]), "ir_datasets has no 'miracl/so/dev'"),
        (("mmarco", ["sw"]), "ir_datasets has no 'mmarco/v2/sw/dev/small'"),
    ],
)
def test_unknown_languages_and_splits_are_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        name, *others = arguments
        load_family(next(family for family in FAMILIES if family.name == name), *others)


def test_unknown_ids_and_ids_without_judgements_are_refused() -> None:
    with pytest.raises(InputError, match=r"no 'beir/scifct'.*did you mean 'beir/scifact'"):
        load_dataset("beir/scifct")
    with pytest.raises(InputError, match="has no documents, queries or judgements"):
        load_dataset("miracl/sw")
    with pytest.raises(InputError, match="name the one language of beir/scifact/test in languages"):
        load_dataset("beir/scifact/test", ["en", "de"])


def test_settings_that_a_collection_does_not_have_are_refused() -> None:
    for setting, value in (
        ("split", "dev"),
        ("pool_limit", 5),
        ("mining", True),
        ("dataset", "x"),
    ):
        with pytest.raises(ValueError, match=f"'lareqa' has no {setting}"):
            CollectionConfig(name="lareqa", **{setting: value})  # type: ignore[arg-type]
        families = (COLLECTIONS[family.name] for family in FAMILIES)
        for name in (reader.name for reader in families if setting in reader.optional_settings):
            CollectionConfig(name=name, **{setting: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs the id of a data set"):
        CollectionConfig(name="ir-datasets")
    with pytest.raises(ValueError, match="needs its path"):
        CollectionConfig(name="folder")
    with pytest.raises(InputError, match="no 'nonsense/id'"):
        load_collections(CollectionConfig(name="ir-datasets", dataset="nonsense/id"))


def test_tables_show_the_measures_of_a_protocol_in_its_order() -> None:
    readers = {family.name: family.measures for family in FAMILIES}
    readers |= {one.facts.protocol: one.facts.measures for one in (CIRAL, AFRICLIRMATRIX)}
    readers["trec"] = folder.MEASURES
    for protocol, measures in readers.items():
        if len(measures) > 1:
            assert protocol_measures(protocol) == measures
