"""Runs that translate queries: what they search, store and return."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from engine.config import CollectionConfig, TranslationConfig, parse_config
from engine.errors import InputError
from engine.evaluation.scores import Scores
from engine.inspect.search import Searcher
from engine.results.run_folder import RunFolder
from engine.runs.execute import execute

Executed = tuple[RunFolder, list[Scores]]
Evaluate = Callable[..., Executed]


@pytest.fixture
def evaluate(tiny: Any, tmp_path: Path) -> Evaluate:
    """A function that searches with the tiny checkpoint."""

    def run(collection: dict[str, Any], **changes: Any) -> Executed:
        encoder = tiny.encoder(centring=False)
        settings = {"kind": "evaluate", "encoder": encoder, "collections": [collection], **changes}
        return execute(parse_config(settings), tmp_path / "runs", ["test"])

    return run


@pytest.fixture
def collection(tiny: Any) -> dict[str, Any]:
    """Bitext retrieval from the ciphers of two languages to English."""
    sources = [{"path": str(tiny.test[code]), "language": code} for code in ("sw", "mr")]
    return {"name": "bitext", "bitext": sources}


def texts(run: RunFolder, role: str) -> dict[str, str]:
    return {
        row["id"]: row["text"]
        for file in run.path.glob("texts*.parquet")
        for row in pq.read_table(file).to_pylist()
        if row["role"] == role
    }


def values(scores: Scores, measure: str) -> list[float]:
    return [value for language in scores.values[measure].values() for value in language.values()]


def test_gold_translations_of_bitext_are_the_documents(
    evaluate: Evaluate, collection: dict[str, Any], tiny: Any
) -> None:
    run, (gold,) = evaluate(collection, translation={"checkpoint": "gold"})
    lines = [line.split("\t")[1] for line in tiny.test["sw"].read_text("utf-8").splitlines()]
    _, (plain,) = evaluate(collection)
    assert values(gold, "RR") == [1.0] * 50  # the query is the document
    assert values(plain, "RR") != values(gold, "RR")
    asked = texts(run, "translation")
    assert list(asked.values()) == [*lines, *lines]
    assert texts(run, "query").keys() == asked.keys()
    assert all(asked[name] != text for name, text in texts(run, "query").items())


def test_gold_translations_of_parallel_questions_are_the_english_ones(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    folder = tmp_path / "parallel"
    folder.mkdir()
    words = {"en": "river stone cloud horse", "de": "revir enots duolc esroh", "sw": "bread garden mother"}
    for code, said in words.items():
        first, second, third = said.split()[:3]
        context = f"{first} {second}. {third} {first}."
        cut = context.index(".") + 1
        paragraph = {
            "context": context,
            "sentences": [context[:cut], context[cut + 1 :]],
            "sentence_breaks": [[0, cut], [cut + 1, len(context)]],
            "qas": [
                {"id": "q1", "question": f"{first} {second}", "answers": [{"answer_start": 0}]},
                {"id": "q2", "question": f"{third} {first}", "answers": [{"answer_start": cut + 2}]},
            ],
        }
        (folder / f"{code}.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    lareqa = {"name": "lareqa", "path": str(folder)}
    _, (english,) = evaluate({**lareqa, "languages": ["en"]})
    run, (gold,) = evaluate({**lareqa, "languages": ["de", "sw"]}, translation={"checkpoint": "gold"})
    for measure in ("mAP@20", "AP"):
        assert values(gold, measure) == values(english, measure) * 2
    for language in (0, 1):  # also the rankings and their scores
        rows = slice(2 * language, 2 * language + 2)
        assert gold.ranking.document_ids[rows] == english.ranking.document_ids
        assert gold.ranking.scores[rows] == english.ranking.scores
    assert texts(run, "translation")["sw:q2"] == "cloud river"
    with pytest.raises(InputError, match=r"has query 'q2' in 'sw' but not in 'de'"):
        data = json.loads((folder / "de.json").read_text())
        del data["data"][0]["paragraphs"][0]["qas"][1]
        (folder / "de.json").write_text(json.dumps(data))
        german = {"checkpoint": "gold", "target_language": "de"}
        evaluate({**lareqa, "languages": ["sw"]}, translation=german)


def test_the_translation_is_the_query_that_is_searched(
    evaluate: Evaluate, collection: dict[str, Any], tiny: Any, m2m: Path
) -> None:
    """The stored scores are MaxSim, by its formula, of the checkpoint's translation of each query."""
    from engine.config import EncoderConfig
    from engine.encoders.encoder import Encoder
    from engine.translation.translator import Translator

    settings = {"checkpoint": str(m2m), "beams": 2, "max_length": 16}
    run, (scores,) = evaluate(collection, translation=settings)
    # Documents of bitext are texts of the same kind as the queries, and so have their prefix.
    encoder = Encoder.load(EncoderConfig(**tiny.encoder(centring=False, passage_prefix="query: ")))
    translator = Translator(TranslationConfig(**settings))
    stored = texts(run, "translation")
    documents = encoder(encoder.tokenize([d.text for d in scores.collection.documents], "passage"), "passage")
    for code in ("sw", "mr"):
        asked = [query for query in scores.collection.queries if query.language == code]
        said = translator.translate([query.text for query in asked], code)
        assert [stored[query.id] for query in asked] == said
        for query, text in list(zip(asked, said, strict=True))[:5]:
            own = encoder(encoder.tokenize([text], "query"), "query")
            products = own.tokens[0][own.mask[0]] @ documents.tokens.transpose(1, 2)
            products[~documents.mask[:, None, :].expand_as(products)] = -1.0
            expected = products.max(2).values.mean(1).sort(descending=True).values.tolist()
            found = scores.ranking.scores[scores.ranking.query_ids.index(query.id)]
            assert list(found) == pytest.approx(expected, abs=2e-3)


def test_a_typed_query_is_translated_before_the_search(
    evaluate: Evaluate, collection: dict[str, Any], m2m: Path
) -> None:
    import torch

    run, (scores,) = evaluate(collection, translation={"checkpoint": str(m2m), "max_length": 16})
    searcher = Searcher(run, "mr", precision=torch.float32)
    query = next(query for query in scores.collection.queries if query.language == "mr")
    place = scores.ranking.query_ids.index(query.id)
    hits = searcher.search(query.text, 5)
    assert [hit.document for hit in hits] == list(scores.ranking.document_ids[place])[:5]
    assert searcher.translated(query.text) == texts(run, "translation")[query.id]
    assert not Searcher(run, "en", precision=torch.float32).translates

    gold, _ = evaluate(collection, translation={"checkpoint": "gold"})
    searcher = Searcher(gold, "mr", precision=torch.float32)
    best = searcher.search(query.text, 1)[0]
    assert best.grade == 1 and best.text == searcher.translated(query.text)
    with pytest.raises(InputError, match="only for the collection's own queries"):
        searcher.search("enots", 1)


def test_a_collection_without_human_translations_is_refused_before_the_search(
    evaluate: Evaluate, collection: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no human translations of its queries into 'fr'"):
        evaluate(collection, translation={"checkpoint": "gold", "target_language": "fr"})
    (run,) = (tmp_path / "runs").iterdir()
    assert not list(run.glob("*.parquet"))


def test_settings_of_a_checkpoint_are_refused_with_gold() -> None:
    with pytest.raises(ValueError, match=r"translation\.beams belongs to a checkpoint"):
        TranslationConfig(checkpoint="gold", beams=2)


@pytest.mark.data
def test_tatoeba_and_xquad_have_gold(data_home: Path) -> None:
    from engine.collections.human_translations import human_translations
    from engine.collections.load import load_collections

    tatoeba = CollectionConfig(name="tatoeba", languages=["sw"], directions=["xx-en"], first=3)
    (loaded,) = load_collections(tatoeba)
    english = (data_home / "tatoeba" / "tatoeba.swh-eng.eng").read_text("utf-8").splitlines()[:3]
    assert human_translations(loaded, tatoeba, "en", 0) == [line.strip() for line in english]
    xquad = CollectionConfig(name="lareqa", languages=["hi", "en"], first=2)
    (loaded,) = load_collections(xquad)
    known = {
        question["id"]: question["question"]
        for article in json.loads((data_home / "xquad-r" / "en.json").read_text("utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    }
    expected = [known[query.id.partition(":")[2]] for query in loaded.queries]
    assert human_translations(loaded, xquad, "en", 0) == expected and len(expected) == 4
