"""Mewsli-X: files in the format of the release, with and without the text of the articles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.collections.load import load_collections
from engine.collections.mewsli_x import load_mewsli_x, read_pairs
from engine.config import CollectionConfig
from engine.errors import InputError

ARTICLE = "Strike in Helsinki\n\nIn Helsinki, buses stood still. Trains ran to Espoo."
SPANS = [
    (start, start + len(sentence))
    for sentence in ("Strike in Helsinki", "In Helsinki, buses stood still.", "Trains ran to Espoo.")
    for start in [ARTICLE.index(sentence)]
]
ESPOO = ARTICLE.index("Espoo")


def entity(identifier: str, description: str, language: str) -> dict[str, Any]:
    return {
        "entity_id": identifier,
        "title": description.split()[0],
        "description": description,
        "description_language": language,
        "description_url": f"https://{language}.wikipedia.org/wiki?curid=1",
        "sentence_spans": [{"start": 0, "end": len(description)}],
    }


def mention(name: str, surface: str, start: int, identifier: str) -> dict[str, Any]:
    return {
        "example_id": name,
        "mention_span": {"start": start, "end": start + len(surface), "text": surface},
        "entity_id": identifier,
        "metadata": {"curid": "34985", "bin_name": "bin04_1000-inf"},
    }


def context(language: str, text: str = ARTICLE) -> dict[str, Any]:
    return {
        "document_title": "Strike in Helsinki",
        "document_url": f"https://{language}.wikinews.org/wiki?curid=34985",
        "document_id": f"{language}-34985",
        "language": language,
        "text": text,
        "sentence_spans": [{"start": start, "end": end} for start, end in SPANS],
    }


def write(path: Path, *records: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(
        tmp_path / "candidate_set_entities.jsonl",
        entity("Q1757", "Helsinki on Suomen pääkaupunki.", "fi"),
        entity("Q47034", "Espoo är en stad i Finland.", "de"),
        entity("Q33", "Finland is a country.", "en"),
    )
    mentions = [mention("m1", "Helsinki", 23, "Q1757"), mention("m2", "Espoo", ESPOO, "Q47034")]
    write(
        tmp_path / "wikinews_mentions-dev.jsonl",
        {"context": context("en"), "mentions": mentions},
        {"context": context("de"), "mentions": [mention("m3", "Helsinki", 10, "Q1757")]},
    )
    return tmp_path


def test_mentions_and_candidates_field_by_field(folder: Path) -> None:
    config = CollectionConfig(name="mewsli-x", path=str(folder), split="dev")
    (collection,) = load_collections(config)
    assert [(q.id, q.text, q.language) for q in collection.queries] == [
        ("en:m1", "Helsinki: In Helsinki, buses stood still.", "en"),
        ("en:m2", "Espoo: Trains ran to Espoo.", "en"),
        ("de:m3", "Helsinki: Strike in Helsinki", "de"),
    ]
    assert [(d.id, d.language) for d in collection.documents] == [
        ("Q1757", "fi"),
        ("Q47034", "de"),
        ("Q33", "en"),
    ]
    assert collection.judgements == {"en:m1": {"Q1757": 1}, "en:m2": {"Q47034": 1}, "de:m3": {"Q1757": 1}}
    assert collection.measures[0] == "mAP@20" and collection.protocol == "xtreme-r"
    assert "cannot be compared with the paper's" in collection.notes[0]


def test_languages_of_mentions_and_of_descriptions_can_be_chosen(folder: Path) -> None:
    assert [q.id for q in load_mewsli_x(folder, ["deu"], split="dev").queries] == ["de:m3"]
    part = load_mewsli_x(folder, (), ["fi", "en"], "dev")
    assert [q.id for q in part.queries] == ["en:m1", "de:m3"] and len(part.documents) == 2
    with pytest.raises(InputError, match="no mention in sw"):
        load_mewsli_x(folder, ["sw"], split="dev")


def test_files_without_text_are_refused_with_the_script_to_run(folder: Path) -> None:
    bare = {"context": context("en", ""), "mentions": [mention("m1", "Helsinki", 23, "Q1757")]}
    write(folder / "wikinews_mentions-dev.jsonl", bare)
    with pytest.raises(InputError, match=r"dev\.jsonl, line 1: .*not restored; run get-mewsli-x\.sh"):
        load_mewsli_x(folder, split="dev")
    write(folder / "wikinews_mentions_no_text-test.jsonl", bare)
    with pytest.raises(InputError, match=r"no_text-test\.jsonl: .*not restored; run get-mewsli-x\.sh"):
        load_mewsli_x(folder)
    with pytest.raises(InputError, match=r"wikipedia_pairs-dev\.jsonl is missing; run get-mewsli-x\.sh"):
        load_mewsli_x(folder, split="wikipedia-dev")
    with pytest.raises(InputError, match="no split 'train'; it has test, dev, wikipedia-dev"):
        load_mewsli_x(folder, split="train")


def test_wikipedia_pairs_are_read_and_their_dev_part_searches_the_same_candidates(folder: Path) -> None:
    pair = {
        "contextual_mention": {"context": context("en"), "mention": mention("w1", "Espoo", ESPOO, "Q47034")},
        "entity": entity("Q47034", "Espoo is a city.", "en"),
    }
    path = folder / "wikipedia_pairs-dev.jsonl"
    write(path, pair)
    ((found, description),) = read_pairs(path)
    assert (found.text, description.text) == ("Espoo: Trains ran to Espoo.", "Espoo is a city.")
    assert load_mewsli_x(folder, split="wikipedia-dev").judgements == {"en:w1": {"Q47034": 1}}
    write(path, {**pair, "entity": entity("Q33", "Finland is a country.", "en")})
    with pytest.raises(InputError, match="line 1: the mention is of 'Q47034' and the description of 'Q33'"):
        list(read_pairs(path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"entity_id": "Q999"}, "line 1: document 'Q999' is judged and not among"),
        (
            {"mention_span": {"start": 24, "end": 32, "text": "Helsinki"}},
            "is 'Helsinki' and its article has 'elsinki,'",
        ),
        ({"mention_span": {"start": 24, "end": 999, "text": "Helsinki"}}, "not a start and an end within"),
        ({"mention_span": {"start": -8, "end": -1, "text": "Helsinki"}}, "not a start and an end within"),
        ({"mention_span": {"start": True, "end": 3, "text": "tri"}}, "not a start and an end within"),
        ({"mention_span": None}, "not a start and an end within"),
        ({"mention_span": {"start": 18, "end": 20, "text": "\n\n"}}, "a mention is in no sentence"),
        ({"example_id": None}, "'example_id' should be a text"),
    ],
)
def test_an_inconsistent_mention_is_refused(folder: Path, change: dict[str, Any], words: str) -> None:
    record = {**mention("m1", "Helsinki", 23, "Q1757"), **change}
    write(folder / "wikinews_mentions-dev.jsonl", {"context": context("en"), "mentions": [record]})
    with pytest.raises(InputError) as caught:
        load_mewsli_x(folder, split="dev")
    assert "wikinews_mentions-dev.jsonl, line 1: " in str(caught.value) and words in str(caught.value)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([entity("Q1", "Eins", "de"), entity("Q1", "Zwei", "de")], "line 2: entity 'Q1' occurs twice"),
        ([entity("Q1", "Eins", "qqq")], "line 1: unknown language code 'qqq'"),
        ([entity("Q1", " x", "de") | {"description": " "}], "line 1: entity 'Q1' has an empty description"),
        ([{"entity_id": "Q1"}], "line 1: this line has no 'description'"),
    ],
)
def test_broken_candidates_are_refused_with_their_line(
    folder: Path, records: list[dict[str, Any]], words: str
) -> None:
    write(folder / "candidate_set_entities.jsonl", *records)
    with pytest.raises(InputError) as caught:
        load_mewsli_x(folder, split="dev")
    assert "candidate_set_entities.jsonl, " in str(caught.value) and words in str(caught.value)
