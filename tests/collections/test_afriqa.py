"""AfriQA: questions in African languages, the gold passages of all of them as one pool."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.collections.human_translations import human_translations
from engine.collections.load import load_collections
from engine.config import CollectionConfig
from engine.errors import InputError


def gold(
    identifier: str, question: str | None, translation: str, title: str | None, context: Any
) -> dict[str, Any]:
    return {
        "answer_pivot": {"answer_start": [0], "text": ["x"]},
        "context": context,
        "id": identifier,
        "question_lang": question,
        "question_translated": translation,
        "title": title,
        "answer_lang": "x",
    }


def write(folder: Path, tag: str, split: str, *records: dict[str, Any], pivot: str = "en") -> Path:
    place = folder / "gold_passages" / tag
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"gold_span_passages.afriqa.{tag}.{pivot}.{split}.json"
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(
        tmp_path,
        "hau",
        "test",
        gold("0", "Menene babban birnin Kenya?", "What is the capital of Kenya?", "Kenya", "Nairobi is\nit."),
        gold("1", "Ina Ghana take?", "Where is Ghana?", "Ghana", "Ghana is in West Africa."),
        gold("2", "Babu?", "None?", None, None),
        gold("3", "Babu komai?", "Nothing?", "Kenya", "  "),
    )
    write(
        tmp_path,
        "ibo",
        "train",
        gold("0", "Kedu isi obodo Kenya?", "What is Kenya's capital?", None, "Nairobi is it."),
        gold("1", "Olee?", "Which one?", "Lagos", "Lagos is a city."),
    )
    write(
        tmp_path,
        "fon",
        "test",
        gold("0", "Etɛ?", "Quoi ?", "Mali", "Le Mali est un pays."),
        pivot="fr",
    )
    return tmp_path


def load(folder: Path, **settings: Any) -> list[Any]:
    return load_collections(CollectionConfig(name="afriqa", path=str(folder), **settings))


def test_questions_and_the_pool_of_all_passages_field_by_field(folder: Path) -> None:
    english, french = load(folder)
    assert [(query.id, query.text, query.language) for query in english.queries] == [
        ("ha:ha-test-0", "Menene babban birnin Kenya?", "ha"),
        ("ha:ha-test-1", "Ina Ghana take?", "ha"),
    ]
    # The passage with other white space and without its title is the same document.
    assert [document.text for document in english.documents] == [
        "Kenya Nairobi is it.",
        "Ghana Ghana is in West Africa.",
        "Lagos Lagos is a city.",
    ]
    first, second, _ = (document.id for document in english.documents)
    assert english.judgements == {"ha:ha-test-0": {first: 1}, "ha:ha-test-1": {second: 1}}
    assert [query.group for query in english.queries] == ["Kenya", "Ghana"]
    assert (english.direction, english.document_language, english.measures[0]) == ("xx-en", "en", "nDCG@10")
    assert any("the pool is 3 passages in English, those of ha test; ig train" in n for n in english.notes)
    assert any("2 test questions have no passage and are left out" in note for note in english.notes)
    assert (french.direction, french.document_language) == ("xx-xx", "fr")
    assert [query.id for query in french.queries] == ["fon:fon-test-0"]


def test_the_order_of_files_with_a_passage_without_title_makes_no_difference(folder: Path) -> None:
    (train,) = load(folder, split="train")
    assert [query.id for query in train.queries] == ["ig:ig-train-0", "ig:ig-train-1"]
    assert train.queries[0].group == "Kenya"  # known from the Hausa file
    assert train.revision != load(folder)[0].revision


def test_one_language_has_the_revision_of_all(folder: Path) -> None:
    (english,) = load(folder, languages=["hau"])
    assert english.revision == load(folder)[0].revision


def test_the_human_translations_are_a_language_and_translate_the_queries(folder: Path) -> None:
    (english,) = load(folder, languages=["ha", "en"])
    assert [query.id for query in english.queries] == [
        "ha:ha-test-0",
        "ha:ha-test-1",
        "en:ha-test-0",
        "en:ha-test-1",
    ]
    assert english.queries[2].text == "What is the capital of Kenya?"
    assert english.judgements["en:ha-test-0"] == english.judgements["ha:ha-test-0"]
    config = CollectionConfig(name="afriqa", path=str(folder), languages=["ha"])
    (plain,) = load_collections(config)
    assert human_translations(plain, config, "en", 0) == ["What is the capital of Kenya?", "Where is Ghana?"]
    with pytest.raises(InputError, match="no human translations of its queries into 'fr'"):
        human_translations(plain, config, "fr", 0)


def test_mistakes_are_named_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no split 'tets' \(did you mean 'test'\?\); it has train, dev, test"
    ):
        load(folder, split="tets")
    with pytest.raises(InputError, match=r"….test.json of Igbo \(ig\); .* here are fon, ha"):
        load(folder, languages=["ig"])
    path = write(folder, "hau", "dev", gold("0", "A?", "A?", "T", "t"), gold("0", "B?", "B?", "T", "t"))
    with pytest.raises(
        InputError, match=r"hau\.en\.dev\.json, line 2: question '0' occurs twice, first in line 1"
    ):
        load(folder)
    path.write_text('{"id": "0"}\n', "utf-8")
    with pytest.raises(InputError, match=r"dev\.json, line 1: this record has no 'question_lang'"):
        load(folder)
    path.write_text(json.dumps(gold("0", "A?", "A?", "T", ["t"])) + "\n", "utf-8")
    with pytest.raises(InputError, match=r"dev\.json, line 1: 'context' is not a text"):
        load(folder)
    path.unlink()
    for file in folder.rglob("*.json"):
        file.unlink()
    with pytest.raises(InputError, match="no file of AfriQA"):
        load(folder)


def test_a_question_that_is_nan_is_left_out_as_pandas_writes_it(folder: Path) -> None:
    record = {**gold("0", None, "Akwatia", "T", "A town."), "question_lang": float("nan")}
    write(folder, "twi", "test", record, gold("1", "Ɛhe?", "Where?", "T", "A town."))
    (english,) = load(folder, languages=["tw"])
    assert [query.id for query in english.queries] == ["tw:tw-test-1"]
    assert any("1 test question is empty or not translated" in note for note in english.notes)


@pytest.mark.data
def test_the_published_files() -> None:
    (collection,) = load_collections(CollectionConfig(name="afriqa"))
    assert Counter(query.language for query in collection.queries) == {"ha": 300, "ig": 409, "sw": 295}
    assert len(collection.documents) == 1811
