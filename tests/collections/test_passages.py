"""Belebele and MLQA as retrieval, on files in the published form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.collections.human_translations import human_translations
from engine.collections.load import load_collections
from engine.config import CollectionConfig
from engine.errors import InputError


def belebele(link: str, number: int, question: str, passage: str) -> dict[str, Any]:
    return {
        "link": f"https://en.wikivoyage.org/wiki/{link}",
        "question_number": number,
        "flores_passage": passage,
        "question": question,
        **{f"mc_answer{n}": f"answer {n}" for n in range(1, 5)},
        "correct_answer_num": "1",
        "dialect": "hau_Latn",
        "ds": "2023-05-03",
    }


def write(path: Path, *records: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")


@pytest.fixture
def belebele_folder(tmp_path: Path) -> Path:
    write(
        tmp_path / "eng_Latn.jsonl",
        belebele("A", 1, "Who came?", "He came."),
        belebele("A", 2, "Who saw it?", "He came."),
        belebele("B", 1, "Who came?", "She came."),
    )
    write(
        tmp_path / "hau_Latn.jsonl",
        belebele("B", 1, "Wa ya zo?", "Ta zo."),
        belebele("A", 1, "Wane ne ya zo?", "Ya zo."),
        belebele("A", 2, "Wa ya gani?", "Ya zo."),
    )
    write(tmp_path / "hin_Latn.jsonl", belebele("A", 1, "Kaun aaya?", "Woh aaya."))
    return tmp_path


def load(name: str, folder: Path, **settings: Any) -> list[Any]:
    return load_collections(CollectionConfig(name=name, path=str(folder), **settings))


def test_questions_of_a_language_search_the_english_passages(belebele_folder: Path) -> None:
    (collection,) = load("belebele", belebele_folder, languages=["ha"])
    texts = {document.id: document.text for document in collection.documents}
    assert sorted(texts.values()) == ["He came.", "She came."]
    found = {
        query.text: [texts[document] for document in collection.judgements[query.id]]
        for query in collection.queries
    }
    assert found == {"Wa ya zo?": ["She came."], "Wane ne ya zo?": ["He came."], "Wa ya gani?": ["He came."]}
    assert (collection.direction, collection.measures[0]) == ("xx-en", "nDCG@10")
    config = CollectionConfig(name="belebele", path=str(belebele_folder), languages=["ha"])
    assert human_translations(collection, config, "en", 0) == ["Who came?", "Who came?", "Who saw it?"]


def test_questions_of_the_same_text_are_one_query_with_all_their_passages(belebele_folder: Path) -> None:
    (collection,) = load("belebele", belebele_folder, languages=["ha"], directions=["en-xx"])
    assert [query.text for query in collection.queries] == ["Who came?", "Who saw it?"]
    assert [len(collection.judgements[query.id]) for query in collection.queries] == [2, 1]
    assert collection.direction == "en-xx" and collection.queries[0].id.startswith("en:ha-")


def test_own_passages_and_variants(belebele_folder: Path) -> None:
    own = load("belebele", belebele_folder, pool="own")
    assert [(one.name, one.direction, len(one.queries)) for one in own] == [
        ("belebele", "xx-xx", 2),
        ("belebele", "xx-xx", 3),
        ("belebele-hin_Latn", "xx-xx", 1),
    ]
    (variant,) = load("belebele", belebele_folder, languages=["hin_Latn"])
    assert variant.name == "belebele-hin_Latn" and variant.query_languages == ("hi",)
    with pytest.raises(InputError, match=r"no file <code>.jsonl in 'sw'; the languages here are"):
        load("belebele", belebele_folder, languages=["sw"])


def squad(*questions: tuple[str, str, str]) -> str:
    """Return a file in SQuAD's format; of each question the id, the text and the paragraph."""
    paragraphs: dict[str, list[dict[str, Any]]] = {}
    for name, text, context in questions:
        answers = [{"text": context[:3], "answer_start": 0}]
        paragraphs.setdefault(context, []).append({"question": text, "answers": answers, "id": name})
    data = [
        {
            "title": "T",
            "paragraphs": [{"context": context, "qas": qas} for context, qas in paragraphs.items()],
        }
    ]
    return json.dumps({"version": 1.0, "data": data})


def test_mlqa_reads_a_file_for_each_pair_of_languages(tmp_path: Path) -> None:
    folder = tmp_path / "MLQA_V1" / "test"
    folder.mkdir(parents=True)
    english = squad(("a", "Who?", "He did."), ("b", "When?", "He did."), ("c", "Where?", "There."))
    german = squad(("a", "Wer?", "He did."), ("c", "Wo?", "There."))
    (folder / "test-context-en-question-en.json").write_text(english, "utf-8")
    (folder / "test-context-en-question-de.json").write_text(german, "utf-8")
    (folder / "test-context-de-question-de.json").write_text(squad(("a", "Wer?", "Er war es.")), "utf-8")
    both = load("mlqa", tmp_path)
    assert [(one.query_languages, one.document_language, one.direction) for one in both] == [
        (("de",), "en", "xx-en"),
        (("en",), "en", "xx-xx"),
    ]
    assert [query.id for query in both[0].queries] == ["de:a", "de:c"] and len(both[0].documents) == 2
    config = CollectionConfig(name="mlqa", path=str(tmp_path), languages=["de"])
    assert human_translations(both[0], config, "en", 0) == ["Who?", "Where?"]
    (own,) = load("mlqa", tmp_path, languages=["de"], document_languages=["de"])
    assert [document.text for document in own.documents] == ["Er war es."] and own.direction == "xx-xx"


def test_mistakes_in_mlqa_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file test-context-….json of MLQA"):
        load("mlqa", tmp_path)
    path = tmp_path / "test-context-en-question-de.json"
    path.write_text("{", "utf-8")
    with pytest.raises(InputError, match=r"question-de.json, line 1: this is not JSON in SQuAD's format"):
        load("mlqa", tmp_path)
    path.write_text(squad(("a", "Wer?", "He."), ("a", "Wo?", "He.")), "utf-8")
    with pytest.raises(InputError, match=r"question 'a' occurs twice"):
        load("mlqa", tmp_path)
    with pytest.raises(InputError, match=r"test-context-en-question-ar.json is missing; add it"):
        load("mlqa", tmp_path, languages=["ar"])
    with pytest.raises(InputError, match="MLQA has no split 'train'; it has test, dev"):
        load("mlqa", tmp_path, split="train")
