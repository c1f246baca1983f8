"""Readers of TREC's, MS MARCO's and BEIR's files: fields, unusual lines, and refused files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import pytrec_eval

from engine.bitext import files
from engine.collections.trec import Text, read_documents, read_judgements, read_topics
from engine.errors import InputError


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def test_tab_separated_topics_with_a_byte_order_mark_windows_line_ends_and_blank_lines(
    tmp_path: Path,
) -> None:
    content = '\ufeff1\tfaye hudson\r\n\r\n27\tslice "preparation\n'
    for name in ("topics.tsv", "topics.tsv.gz"):
        assert list(read_topics(written(tmp_path, name, content))) == [
            Text("1", "faye hudson", None, 1),
            Text("27", 'slice "preparation', None, 3),
        ]


def test_objects_with_the_field_names_of_beir_pyserini_and_ciral(tmp_path: Path) -> None:
    content = "".join(
        json.dumps(record) + "\n"
        for record in (
            {"_id": "a", "title": "Albedo", "text": "is a measure", "metadata": {}},
            {"id": 7, "contents": "Magaalo"},
            {"docid": "x#1", "title": "", "text": "habari", "url": "u", "language": "sw"},
        )
    )
    assert list(read_documents(written(tmp_path, "corpus.jsonl", content))) == [
        Text("a", "Albedo is a measure", None, 1),
        Text("7", "Magaalo", None, 2),
        Text("x#1", "habari", "sw", 3),
    ]


def test_trecs_topics_and_documents(tmp_path: Path) -> None:
    topics = (
        "<top>\n\n<num> Number: 401\n<title> Topic: foreign minorities,\nGermany\n\n<desc> Description:\n"
        "What?\n</top>\n<top><num>402</num><title>behavioral genetics</title></top>\n"
    )
    assert list(read_topics(written(tmp_path, "topics.txt", topics))) == [
        Text("401", "foreign minorities, Germany", None, 1),
        Text("402", "behavioral genetics", None, 10),
    ]
    documents = (
        "<DOC>\n<DOCNO> FT-1 </DOCNO>\n<HEADLINE>A head</HEADLINE>\n<TEXT>\n"
        "<P>One</P> of 3 < 4\n</TEXT>\n</DOC>\n"
    )
    assert [(d.id, d.text) for d in read_documents(written(tmp_path, "docs.trec", documents))] == [
        ("FT-1", "A head One of 3 < 4")
    ]


@pytest.mark.parametrize(
    "content",
    [
        "1632100 Q0 18092 4\n27 Q0 33405 -1\n",
        "1632100\tQ0\t18092\t4\n27\tQ0\t33405\t-1\n",
        "query-id\tcorpus-id\tscore\n1632100\t18092\t4\n27\t33405\t-1\n",
        "1632100\t18092\t4\r\n27\t33405\t-1",
    ],
)
def test_judgements_in_every_format(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, "qrels.txt", content)
    assert [(j.topic, j.document, j.grade) for j in read_judgements(path)] == [
        ("1632100", "18092", 4),
        ("27", "33405", -1),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "q1 0\td1 1\nq2\t0 d2\t1\nq3 0 d3 2\n",
        " q1\t 0  d1\t\t1 \n\nq2 0 d2 1\nq3\x0b0\x0cd3 2\r\n",
        "q1 0 d1 1\nq2 1 d2 1\nq3 Q0 d3 +2\n",
        "q1 0 d\u00a01 1\nq2 0 d2 1\n",
    ],
)
def test_mixed_white_space_is_read_as_trec_eval_reads_it(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, "qrels", content)
    with path.open(encoding="utf-8", newline="\n") as file:
        lines = [line.replace("\u00a0", "_") for line in file if line.strip()]
    expected = pytrec_eval.parse_qrel(lines)
    found: dict[str, dict[str, int]] = {}
    for judgement in read_judgements(path):
        found.setdefault(judgement.topic, {})[judgement.document.replace("\u00a0", "_")] = judgement.grade
    assert found == expected


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("query-id\tcorpus-id\tscore\nq 1\td 1\t1\n", [("q 1", "d 1", 1)]),
        ("query-id\tcorpus-id\tscore\nq 1\td1\t1\nq2 d2\t0\n", [("q 1", "d1", 1), ("q2", "d2", 0)]),
        ("query-id corpus-id score\nq1\td1 2.0\n", [("q1", "d1", 2)]),
        ("qid 0 docid grade\nq1 0\td1 1\n", [("q1", "d1", 1)]),
        ("query-id\tcorpus-id\tscore\nq1\t0 d1\t1\n", [("q1", "d1", 1)]),
    ],
)
def test_judgements_with_a_header(tmp_path: Path, content: str, found: list[tuple[str, str, int]]) -> None:
    judgements = read_judgements(written(tmp_path, "qrels.tsv", content))
    assert [(j.topic, j.document, j.grade) for j in judgements] == found


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("qrels", "1 d\n", "line 1: 2 columns"),
        ("qrels", "1 0 d\tx\n", "line 1: 'x' is not a grade"),
        ("qrels", "1 0 d high\n", "line 1: 'high' is not a grade"),
        ("qrels", "1 0 d 1.5\n", "line 1: '1.5' is not a grade"),
        (
            "qrels",
            "1 0 d 1\n2 0 d 1\n1 0 d 0\n",
            "line 3: document 'd' is judged twice for topic '1', first in line 1",
        ),
        ("qrels", "", "contains no judgement"),
        ("topics.tsv", "1\tone\n1\tagain\n", "line 2: topic '1' occurs twice, first in line 1"),
        ("topics.tsv", "1\tone\textra\n", "line 1: 3 columns where 2"),
        ("topics.tsv", "one\n", "line 1: 1 column where 2"),
        ("topics.tsv", "\tone\n", "line 1: this topic has no id"),
        ("topics.tsv", b"1\tone\n2\tt\xff\n", "line 2: byte 4 is not UTF-8"),
        ("topics.tsv", "1\tone\n2\tt\0\n", "line 2: there is a NUL character in it"),
        ("topics.tsv", "\n \n", "contains no topic"),
        ("topics.txt", "<top><num>1<title>x\n", "line 1: this <top> has no </top>"),
        ("topics.txt", "<top>\n<title>x</top>\n", "line 1: it has no number"),
        ("topics.txt", "<top><num>1<title>x</top>\n</top>\n", "line 2: </top> without <top>"),
        ("topics.txt", "<top><num>1\n<top><num>2</top>\n", "line 2: <top> again"),
        ("topics.jsonl", '{"_id": "1", "text": "one"}\n{"_id": "2", "te', "line 2: not JSON"),
        ("topics.jsonl", "[1]\n", "line 1: not a JSON object"),
        ("topics.jsonl", '{"text": "one"}\n', "line 1: this line has no '_id'"),
        ("topics.jsonl", '{"_id": "1"}\n', "line 1: this line has no 'text'"),
        ("topics.jsonl", '{"_id": "1", "text": ["one"]}\n', "line 1: 'text' should be a text"),
        ("topics.jsonl", '{"_id": "1", "text": "\\ud800"}\n', "line 1: 'text' has half a surrogate"),
        ("topics.jsonl", "[" * 100_000, "line 1: its JSON is nested too deeply"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, name: str, content: str | bytes, words: str) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(InputError) as caught:
        list(read_judgements(path) if name == "qrels" else read_topics(path))
    assert str(path) in str(caught.value) and words in str(caught.value)


def test_a_truncated_gzip_file_and_a_missing_file_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "docs.tsv.gz", "1\tone\n" * 1000)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"docs\.tsv\.gz: the archive is damaged or cut short"):
        list(read_documents(path))
    with pytest.raises(InputError, match=r"nowhere\.tsv"):
        list(read_documents(tmp_path / "nowhere.tsv"))


def test_a_line_without_an_end_is_refused_before_it_fills_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 1 << 10)
    path = written(tmp_path, "docs.tsv", "1\tone\n2\t" + "x" * 2000)
    with pytest.raises(InputError, match="line 2: a line of more than"):
        list(read_documents(path))
