"""NTREX-128 as a collection: the published protocol, and parts of its documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.bitext.source import read_source
from engine.collections.load import load_collections
from engine.config import BitextConfig, CollectionConfig
from engine.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "DOCUMENT_IDS.tsv").write_text("".join(f"bbc.{n // 2}\n" for n in range(20)), "utf-8")
    place = tmp_path / "NTREX-128"
    place.mkdir()
    for tag in ("src.eng", "ref.hau", "ref.fra", "ref.fra-CA"):
        text = "".join(f"{tag} {n}\n" for n in range(20))
        (place / f"newstest2019-{tag}.txt").write_text(text, "utf-8")
    return tmp_path


def load(folder: Path, **settings: Any) -> list[Any]:
    return load_collections(CollectionConfig(name="ntrex", path=str(folder), **settings))


def test_every_line_is_a_query_and_the_same_line_is_relevant(folder: Path) -> None:
    (collection,) = load(folder, languages=["hau"])
    assert (len(collection.queries), len(collection.documents)) == (20, 20)
    query = collection.queries[3]
    assert (query.id, query.text, query.group) == ("ha:4", "ref.hau 3", "bbc.1")
    assert collection.judgements["ha:4"] == {"en:4": 1} and collection.documents[3].text == "src.eng 3"
    assert (collection.protocol, collection.measures[0]) == ("ntrex-128", "Success@1")
    (other,) = load(folder, languages=["hau"], directions=["en-xx"])
    assert other.queries[3].id == "en:ha-4" and other.judgements["en:ha-4"] == {"ha:4": 1}


def test_variants_have_collections_of_their_own(folder: Path) -> None:
    names = [(one.name, one.query_languages) for one in load(folder)]
    assert names == [("ntrex-fra-CA", ("fr",)), ("ntrex", ("fr",)), ("ntrex", ("ha",))] or sorted(names) == [
        ("ntrex", ("fr",)),
        ("ntrex", ("ha",)),
        ("ntrex-fra-CA", ("fr",)),
    ]
    assert load(folder, languages=["fr"])[0].queries[0].text == "ref.fra 0"
    assert load(folder, languages=["fr-CA"])[0].queries[0].text == "ref.fra-CA 0"


def test_a_part_has_whole_documents_the_same_as_the_bitext_source(folder: Path) -> None:
    (collection,) = load(folder, languages=["ha"], part="test", test_share=0.5)
    pairs = read_source(BitextConfig(path=str(folder), language="ha", part="train", test_share=0.5))
    assert {query.group for query in collection.queries}.isdisjoint(pair.document for pair in pairs)
    assert len(collection.queries) + len(pairs) == 20 and collection.protocol == "ntrex-128-test"
    assert f"the test part is {len(collection.queries)} of 20 lines" in collection.notes[0]
    assert "(test_share = 0.5)" in collection.notes[0]


def test_a_sample_takes_from_all_documents_and_says_so(folder: Path) -> None:
    (collection,) = load(folder, languages=["ha"], limit=10)
    assert len({query.group for query in collection.queries}) == 10
    assert collection.revision == load(folder, languages=["ha"])[0].revision + ", sample of 10"
    assert "a sample of 10 queries of each language, 10 of 20, from 10 groups" in collection.notes[-1]
    (first,) = load(folder, languages=["ha"], first=4)
    assert [query.id for query in first.queries] == ["ha:1", "ha:2", "ha:3", "ha:4"]
    assert first.revision.endswith(", first 4")
    assert len(load(folder, languages=["fr"], limit=10)[0].queries) == 10
    topics = {query.id.partition(":")[2] for query in load(folder, languages=["fr"], limit=10)[0].queries}
    assert topics == {query.id.partition(":")[2] for query in collection.queries}
    with pytest.raises(ValueError, match="limit draws a sample and first takes the first queries"):
        CollectionConfig(name="ntrex", limit=1, first=1)


def test_mistakes_are_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"newstest2019-ref.….txt in 'sw'; the languages here are"):
        load(folder, languages=["sw"])
    (folder / "NTREX-128" / "newstest2019-ref.hau.txt").write_text("a\n\nb\n", "utf-8")
    with pytest.raises(InputError, match=r"ref.hau.txt, line 2: a sentence is missing here"):
        load(folder, languages=["ha"])
    (folder / "DOCUMENT_IDS.tsv").unlink()
    with pytest.raises(InputError, match=r"DOCUMENT_IDS.tsv is missing, which a part of the documents needs"):
        load(folder, languages=["fr"], part="test")
    (folder / "NTREX-128" / "newstest2019-src.eng.txt").unlink()
    with pytest.raises(InputError, match=r"newstest2019-src.eng.txt, the English sentences, is missing"):
        load(folder)


@pytest.mark.data
def test_the_published_files() -> None:
    (collection,) = load_collections(CollectionConfig(name="ntrex", languages=["sn"]))
    assert len(collection.queries) == 1997 and len({query.group for query in collection.queries}) == 123
