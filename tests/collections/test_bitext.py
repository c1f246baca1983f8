"""Bitext as a collection, and collections from configurations."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bitext import SentencePair
from engine.collections.bitext import make_bitext_collection
from engine.collections.load import load_collections
from engine.config import BitextConfig, CollectionConfig
from engine.errors import InputError


def pair(source: str, target: str, language: str = "sw", id: str = "") -> SentencePair:
    return SentencePair(source, target, language, "en", id or source)


def relevant_texts(collection: object) -> dict[str, set[str]]:
    texts = {document.id: document.text for document in collection.documents}  # type: ignore[attr-defined]
    return {query: {texts[d] for d in grades} for query, grades in collection.judgements.items()}  # type: ignore[attr-defined]


def test_translations_are_relevant_and_distractors_are_not() -> None:
    collection = make_bitext_collection(
        "b", [pair("moja", "one"), pair("mbili", "two")], distractors=["three", "one"]
    )
    assert [document.text for document in collection.documents] == ["one", "two", "three"]
    assert relevant_texts(collection) == {"sw:moja": {"one"}, "sw:mbili": {"two"}}
    assert (collection.direction, collection.query_languages, collection.document_language) == (
        "xx-en",
        ("sw",),
        "en",
    )


def test_all_translations_of_the_same_text_are_relevant() -> None:
    pairs = [pair("sawa", "fine", id="1"), pair("sawa", "right", id="2"), pair("sawa", "right", "ny", id="2")]
    assert relevant_texts(make_bitext_collection("b", pairs)) == {
        "sw:1": {"fine", "right"},
        "sw:2": {"fine", "right"},
        "ny:2": {"right"},
    }


def test_spellings_of_one_sentence_are_one_document() -> None:
    pairs = [pair("a", "cause it hurts", "so"), pair("b", "'Cause it hurts!", "tl")]
    collection = make_bitext_collection("b", pairs, distractors=["CAUSE it hurts", "it hurts"])
    assert [document.text for document in collection.documents] == ["cause it hurts", "it hurts"]
    assert relevant_texts(collection) == {"so:a": {"cause it hurts"}, "tl:b": {"cause it hurts"}}


def test_the_other_direction_has_english_queries() -> None:
    collection = make_bitext_collection("b", [pair("moja", "one"), pair("mosi", "one", id="x")], "en-xx")
    assert relevant_texts(collection) == {"en:sw-moja": {"moja", "mosi"}, "en:sw-x": {"moja", "mosi"}}
    with pytest.raises(InputError, match="mix documents in sw, so"):
        make_bitext_collection("b", [pair("moja", "one"), pair("kow", "one", "so")], "en-xx")


def test_pairs_of_two_files_may_share_their_ids() -> None:
    collection = make_bitext_collection("b", [pair("moja", "one", id="1"), pair("mbili", "two", id="1")])
    assert [query.id for query in collection.queries] == ["sw:1", "sw:1#2"]


def test_no_pairs_are_refused() -> None:
    with pytest.raises(InputError, match="no sentence pair"):
        make_bitext_collection("b", [])


words = st.text("abcAB !", min_size=1, max_size=4)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=8), st.lists(words, max_size=6))
def test_every_query_has_a_relevant_document_and_more_distractors_change_no_id(
    texts: list[tuple[str, str]], distractors: list[str]
) -> None:
    pairs = [pair(source, target, id=str(index)) for index, (source, target) in enumerate(texts)]
    small, large = (make_bitext_collection("b", pairs, distractors=extra) for extra in ((), distractors))
    assert len(small.queries) == len(pairs) and small.judgements == large.judgements
    assert large.documents[: len(small.documents)] == small.documents
    ids = {document.id for document in small.documents}
    assert all(grades and ids >= grades.keys() for grades in small.judgements.values())
    assert len({document.text for document in large.documents}) == len(large.documents)
    assert (small.revision == large.revision) == (len(small.documents) == len(large.documents))


# -- from configurations -------------------------------------------------------------------------------


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "sw.tsv").write_text("moja\tone\nmbili\ttwo\ntatu\tthree\n", encoding="utf-8")
    (tmp_path / "so.tsv").write_text("kow\tone\nlaba\ttwo\n", encoding="utf-8")
    (tmp_path / "more.txt").write_text("four \nfive\n\nfour\n", encoding="utf-8")
    return tmp_path


def source(folder: Path, language: str, **options: object) -> BitextConfig:
    return BitextConfig(path=str(folder / f"{language}.tsv"), format="tsv", language=language, **options)  # type: ignore[arg-type]


def test_a_configuration_gives_one_english_pool_and_one_pool_for_each_language(sources: Path) -> None:
    config = CollectionConfig(
        name="bitext",
        label="numbers",
        bitext=[source(sources, "sw", stop=2), source(sources, "so")],
        distractor_bitext=[source(sources, "sw", start=2)],
        distractors=[str(sources / "more.txt")],
        directions=["xx-en", "en-xx"],
    )
    english, *others = load_collections(config)
    assert sorted(d.text for d in english.documents) == ["five", "four", "one", "three", "two"]
    assert english.query_languages == ("sw", "so") and english.name == "numbers"
    assert [(c.direction, c.document_language, len(c.documents)) for c in others] == [
        ("en-xx", "sw", 2),
        ("en-xx", "so", 2),
    ]


def test_languages_and_limit_choose_queries(sources: Path) -> None:
    config = CollectionConfig(
        name="bitext", bitext=[source(sources, "sw"), source(sources, "so")], languages=["som"], limit=1
    )
    (collection,) = load_collections(config)
    assert [query.language for query in collection.queries] == ["so"]
    with pytest.raises(InputError, match="source in hi"):
        load_collections(CollectionConfig(name="bitext", bitext=[source(sources, "sw")], languages=["hi"]))


def test_a_missing_distractor_file_is_named(sources: Path) -> None:
    config = CollectionConfig(name="bitext", bitext=[source(sources, "sw")], distractors=["no-such-file"])
    with pytest.raises(InputError, match="no-such-file"):
        load_collections(config)


@pytest.mark.data
def test_pools_of_tico_19(data_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """971 evaluation sentences; with 2,092 others of the training part and 69,241 of Tatoeba, 72,304."""
    monkeypatch.setenv("OPTICAL_DATA", str(data_home))
    sources = [
        BitextConfig(path=f"tico-19/all.en-{code}.tmx.zip", language=code, stop=971)
        for code in ("so", "sw", "tl", "mr")
    ]
    training = BitextConfig(path="tico-19/all.en-so.tmx.zip", language="so", start=971)
    (small,) = load_collections(CollectionConfig(name="bitext", bitext=sources))
    (large,) = load_collections(
        CollectionConfig(name="bitext", bitext=sources, distractors=["tatoeba"], distractor_bitext=[training])
    )
    assert len(small.documents) == 971 and len(small.queries) == 4 * 971
    assert len(large.documents) == 72_304
    assert large.documents[:971] == small.documents and large.judgements == small.judgements


@pytest.mark.data
def test_lareqa_and_tatoeba_are_found_in_the_data_home(
    data_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTICAL_DATA", str(data_home))
    (pooled,) = load_collections(CollectionConfig(name="lareqa", languages=["de"], limit=5))
    (own,) = load_collections(CollectionConfig(name="lareqa", languages=["de"], pool="own", limit=5))
    assert (len(pooled.queries), len(pooled.documents), len(own.documents)) == (5, 13_014, 1_276)
    tatoeba = load_collections(
        CollectionConfig(name="tatoeba", languages=["sw"], directions=["xx-en", "en-xx"])
    )
    assert [(c.direction, len(c.queries)) for c in tatoeba] == [("xx-en", 390), ("en-xx", 390)]
