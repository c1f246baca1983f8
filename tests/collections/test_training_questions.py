"""Readers of training questions: every format, and messages about broken files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from engine.collections.lareqa import load_lareqa_monolingual
from engine.collections.training_questions.read import read_questions
from engine.collections.training_questions.squad import across
from engine.config import QuestionSource
from engine.errors import InputError

QUERIES = "7\twhere is it\n8\twho was that\n"
COLLECTION = "1\tIt is here.\n2\tIt was her.\n3\tNobody knows.\n4\tnever asked for\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "queries.tsv").write_text(QUERIES)
    with gzip.open(tmp_path / "collection.tsv.gz", "wt") as stream:
        stream.write(COLLECTION)
    rows = [line.split("\t") for line in QUERIES.splitlines()]
    lines = (json.dumps({"query_id": int(name), "text": text}) + "\n" for name, text in rows)
    (tmp_path / "queries.jsonl").write_text("".join(lines))
    return tmp_path


def source(folder: Path, form: str, content: str, **settings: Any) -> QuestionSource:
    path = folder / "examples"
    path.write_text(content, "utf-8")
    if form in ("triples", "colbert", "pylate"):
        settings.setdefault("queries", str(folder / "queries.tsv"))
        settings.setdefault("collection", str(folder / "collection.tsv.gz"))
    return QuestionSource(path=str(path), format=form, **settings)


@pytest.mark.parametrize(
    ("form", "content", "passages", "scores"),
    [
        ("triples", "8\t2\t3\n", ("It was her.", "Nobody knows."), None),
        ("colbert", "[8, 2, 3]\n", ("It was her.", "Nobody knows."), None),
        ("colbert", "[8, [2, 4.5], [3, -1]]\n", ("It was her.", "Nobody knows."), (4.5, -1.0)),
        (
            "pylate",
            '{"query_id": "8", "document_ids": ["3", "2"], "scores": [0.1, 0.9]}\n',
            ("It was her.", "Nobody knows."),
            (0.9, 0.1),
        ),
        (
            "pylate",
            '{"query_id": 8, "document_ids": "[3, 2]", "scores": "[0.1, 0.9]"}\n',
            ("It was her.", "Nobody knows."),
            (0.9, 0.1),
        ),
        (
            "text-triples",
            "who was that\tIt was her.\tNobody knows.\n",
            ("It was her.", "Nobody knows."),
            None,
        ),
        (
            "tevatron",
            json.dumps(
                {
                    "query_id": "8",
                    "query": "who was that",
                    "positive_passages": [{"docid": "2", "title": "", "text": "It was her."}],
                    "negative_passages": [{"docid": "3", "title": "Nobody", "text": "knows."}],
                }
            ),
            ("It was her.", "Nobody knows."),
            None,
        ),
    ],
)
def test_formats(
    files: Path, form: str, content: str, passages: tuple[str, ...], scores: tuple[float, ...] | None
) -> None:
    (question,) = read_questions(source(files, form, content))
    assert question.text == "who was that"
    assert (question.passages, question.answers, question.scores) == (passages, 1, scores)
    assert question.languages == ("en", "en")


def test_texts_as_json_lines_and_a_part_of_the_examples(files: Path) -> None:
    made = source(files, "triples", "7\t1\t3\n8\t2\t3\n7\t1\t2\n", start=1, stop=2)
    made.queries = str(files / "queries.jsonl")
    assert [question.text for question in read_questions(made)] == ["who was that"]


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ("triples", "7\t1\t3\n8\t2\t99\n", r"examples, line 2: id '99' is not in .*collection\.tsv\.gz"),
        ("triples", "9\t1\t3\n", r"examples, line 1: id '9' is not in .*queries\.tsv"),
        ("triples", "7\t1\n", r"examples, line 1: 2 columns where 3 are expected"),
        ("colbert", "[7, 1, 3]\n[7, [1, 2], 3]\n", r"line 2: either all passages should be \[pid, score\]"),
        ("colbert", '[7, [1, "x"]]\n', r"line 1: 'x' is not a score"),
        ("colbert", "[7\n", r"line 1: this line is not JSON"),
        ("pylate", '{"query_id": 7, "document_ids": [1, 2], "scores": [1]}', r"2 document_ids and 1 scores"),
        ("pylate", '{"query_id": 7, "document_ids": [1], "scores": [NaN]}', r"'nan' is not a score"),
        (
            "tevatron",
            '{"query": "a", "positive_passages": []}',
            r"the query or the positive passages are missing",
        ),
        ("tevatron", '{"query": "a", "positive_passages": ["b"]}', r"should be a list of objects"),
        ("text-triples", "a\t\tb\n", r"line 1: one of the three texts is empty"),
        ("text-triples", "", r"contains no question"),
        ("squad", "{}", r"not JSON in SQuAD's format"),
        (
            "squad",
            '{"data": [{"paragraphs": [{"context": "Ab. Cd.", "qas": [{"id": 1}]}]}]}',
            r"paragraph 0 is not in SQuAD's format \(KeyError: 'question'\)",
        ),
    ],
)
def test_errors_are_one_sentence(files: Path, form: str, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_questions(source(files, form, content))
    assert "\n" not in str(caught.value)


def squad(path: Path, language: str, contexts: list[tuple[str, list[tuple[str, str, int]]]]) -> Path:
    paragraphs = [
        {
            "context": context,
            "qas": [
                {"id": name, "question": text, "answers": [{"answer_start": start, "text": "x"}]}
                for name, text, start in asked
            ],
        }
        for context, asked in contexts
    ]
    file = path / f"{language}.json"
    file.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}, ensure_ascii=False), "utf-8")
    return file


def test_squad_takes_the_sentence_of_the_answer_and_its_neighbours_as_negatives(tmp_path: Path) -> None:
    context = "One is here. Two is there! Three is not?"
    file = squad(tmp_path, "en", [(context, [("a", "where is two", 13), ("b", "where is one", 0)])])
    made = QuestionSource(path=str(file), format="squad")
    first, second = read_questions(made)
    assert first.passages == ("Two is there!", "One is here.", "Three is not?")
    assert second.passages[0] == "One is here."
    made.passage = "paragraph"
    assert [question.passages for question in read_questions(made)] == [(context,), (context,)]
    chinese = squad(tmp_path, "zh", [("一在这里。二在那里。", [("a", "二在哪里", 5)])])
    made = QuestionSource(path=str(chinese), format="squad", question_language="zh", passage_language="zh")
    assert read_questions(made)[0].passages == ("二在那里。", "一在这里。")


def test_shared_questions_are_combined_across_languages(tmp_path: Path) -> None:
    english = squad(tmp_path, "en", [("It is one.", [("a", "one?", 0), ("b", "alone?", 0)])])
    german = squad(tmp_path, "de", [("Es ist eins.", [("a", "eins?", 0)])])
    read = [
        question
        for file, code in ((english, "en"), (german, "de"))
        for question in read_questions(
            QuestionSource(path=str(file), format="squad", question_language=code, passage_language=code)
        )
    ]
    crossed = [(q.topic, q.text, q.languages, q.passages[0]) for q in across(read)]
    assert crossed == [
        ("a", "one?", ("en", "de"), "Es ist eins."),
        ("a", "eins?", ("de", "en"), "It is one."),
    ]


@pytest.mark.data
def test_answers_of_xquad_r_are_those_of_the_benchmark(data_home: Path) -> None:
    (collection,) = load_lareqa_monolingual(data_home / "xquad-r", ["th"])
    texts = {document.id: " ".join(document.text.split()) for document in collection.documents}
    gold = {
        query.text.strip(): texts[next(iter(collection.judgements[query.id]))] for query in collection.queries
    }
    made = QuestionSource(
        path=str(data_home / "xquad-r/th.json"),
        format="squad",
        question_language="th",
        passage_language="th",
    )
    read = read_questions(made)
    assert len(read) == len(collection.queries) == 1190
    assert (
        sum(gold[question.text] == question.passages[0] for question in read) > 1180
    )  # one text occurs twice
