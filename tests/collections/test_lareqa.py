"""LAReQA's reader on small files of its format, and its published counts on the real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.collections.lareqa import load_lareqa, load_lareqa_monolingual
from engine.collections.load import load_collections
from engine.config import CollectionConfig
from engine.errors import InputError

CONTEXT = {"en": "Ann ran. Bob sat.", "de": "Ann lief. Bob saß."}
BREAKS = {"en": [[0, 8], [9, 17]], "de": [[0, 9], [10, 18]]}


def paragraph(language: str) -> dict[str, Any]:
    context, (first, second) = CONTEXT[language], BREAKS[language]
    return {
        "context": context,
        "sentences": [context[slice(*first)], context[slice(*second)]],
        "sentence_breaks": BREAKS[language],
        "qas": [
            {
                "id": "q1",
                "question": f"who ran ({language})",
                "answers": [{"answer_start": 0, "text": "Ann"}],
            },
            {
                "id": "q2",
                "question": f"who sat ({language})",
                "answers": [{"answer_start": second[0], "text": "Bob"}],
            },
        ],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for language in CONTEXT:
        content = {"data": [{"title": "t", "paragraphs": [paragraph(language)]}], "version": "1"}
        (tmp_path / f"{language}.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_the_sentence_with_the_answer_is_relevant_in_every_language(folder: Path) -> None:
    collection = load_lareqa(folder)
    texts = {document.id: document.text for document in collection.documents}
    assert sorted(texts.values()) == ["Ann lief.", "Ann ran.", "Bob sat.", "Bob saß."]
    assert {texts[document] for document in collection.judgements["de:q1"]} == {"Ann lief.", "Ann ran."}
    assert {texts[document] for document in collection.judgements["en:q2"]} == {"Bob sat.", "Bob saß."}
    assert all(document.context == CONTEXT[document.language] for document in collection.documents)
    assert "1/2 = 0.5000" in collection.reference
    assert collection.document_language == "all" and collection.document_languages == ("de", "en")


def test_a_pool_of_chosen_languages_has_only_their_answers(folder: Path) -> None:
    collection = load_lareqa(folder, ["de"], ["en"])
    texts = {document.id: document.text for document in collection.documents}
    assert sorted(texts.values()) == ["Ann ran.", "Bob sat."]
    assert {query.language for query in collection.queries} == {"de"}
    assert [texts[document] for document in collection.judgements["de:q2"]] == ["Bob sat."]
    assert collection.protocol == "pool-en"  # not XTREME-R's protocol, whose pool has all languages
    assert load_lareqa(folder, document_languages=["en", "de"]).protocol == "sentence"


def test_sentences_with_their_paragraph_are_another_protocol_than_sentences_alone(folder: Path) -> None:
    names = {}
    for context in (False, True):
        every: tuple[dict[str, Any], ...] = ({}, {"document_languages": ["en"]}, {"pool": "own"})
        for settings in every:
            config = CollectionConfig(name="lareqa", path=str(folder), context=context, **settings)
            names[context, str(settings)] = load_collections(config)[0].protocol
    assert [*names.values()] == [
        *("sentence", "pool-en", "monolingual"),
        *("xtreme-r", "pool-en-context", "monolingual-context"),
    ]


def test_an_answer_at_a_break_belongs_to_the_sentence_that_starts_there(folder: Path) -> None:
    content = json.loads((folder / "en.json").read_text(encoding="utf-8"))
    entry = content["data"][0]["paragraphs"][0]
    entry["sentence_breaks"] = [[0, 9], [9, 17]]
    (folder / "en.json").write_text(json.dumps(content), encoding="utf-8")
    collection = load_lareqa_monolingual(folder, ["en"])[0]
    assert list(collection.judgements["en:q2"]) == ["en:0.1"]


def test_fewer_query_languages_do_not_change_the_pool(folder: Path) -> None:
    whole, part = load_lareqa(folder), load_lareqa(folder, ["deu"])
    assert part.query_languages == ("de",)
    assert part.documents == whole.documents and part.revision == whole.revision


def test_a_monolingual_pool_has_only_its_own_language(folder: Path) -> None:
    for collection in load_lareqa_monolingual(folder):
        assert collection.document_languages == collection.query_languages
        assert all(len(grades) == 1 for grades in collection.judgements.values())


def test_the_revision_follows_the_contents(folder: Path) -> None:
    before = load_lareqa(folder).revision
    path = folder / "en.json"
    path.write_text(path.read_text(encoding="utf-8").replace("Ann ran", "Ann RAN"), encoding="utf-8")
    assert load_lareqa(folder).revision != before


def test_the_first_queries_of_each_language_are_another_revision(folder: Path) -> None:
    whole = load_lareqa(folder)
    part = whole.first(1)
    assert [query.id for query in part.queries] == ["de:q1", "en:q1"]
    assert part.revision == f"{whole.revision}, first 1" and part.documents == whole.documents


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON in LAReQA's format"),
        ('{"data": [{"paragraphs": [{"context": "a"}]}]}', "paragraph 0 .*sentence_breaks"),
        (
            '{"data": [{"paragraphs": [{"context": "a", "sentence_breaks": [[0, 1]], "qas": '
            '[{"id": "x", "question": "?", "answers": [{"answer_start": 5}]}]}]}]}',
            "answer of question x is in no sentence",
        ),
    ],
)
def test_broken_files_are_refused_by_name(folder: Path, content: str, words: str) -> None:
    (folder / "en.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=rf"en\.json(, line 1)?: .*{words}"):
        load_lareqa(folder)


def test_a_missing_folder_or_language_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: .*folder"):
        load_lareqa(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no sw\.json; the languages here are de, en"):
        load_lareqa(folder, ["sw"])


@pytest.mark.data
def test_published_counts(data_home: Path) -> None:
    """Roy et al. 2020, table 1: 13,090 questions, 13,014 candidates; 11 positives each."""
    collection = load_lareqa(data_home / "xquad-r")
    assert len(collection.queries) == 13_090 and len(collection.documents) == 13_014
    assert {len(grades) for grades in collection.judgements.values()} == {11}
    assert collection.query_languages == ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
    assert "1/11 = 0.0909" in collection.reference
    ids = {document.id for document in collection.documents}
    assert len(ids) == 13_014 and all(ids >= grades.keys() for grades in collection.judgements.values())
    assert sum(len(c.documents) for c in load_lareqa_monolingual(data_home / "xquad-r")) == 13_014
