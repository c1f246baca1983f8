"""Every reader on randomly damaged files: a collection, or one sentence that names the file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.collections.african import load_african
from engine.collections.base import Collection
from engine.collections.ciral import CIRAL
from engine.collections.folder import load_folder
from engine.collections.lareqa import load_lareqa, load_lareqa_monolingual
from engine.collections.mewsli_x import load_mewsli_x
from engine.collections.tatoeba import load_tatoeba
from engine.errors import InputError

Files = dict[str, str]


def objects(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _lareqa_file() -> str:
    paragraph = {
        "context": "Ann ran. Bob sat.",
        "sentences": ["Ann ran.", "Bob sat."],
        "sentence_breaks": [[0, 8], [9, 17]],
        "qas": [
            {"id": "q1", "question": "who ran", "answers": [{"answer_start": 0, "text": "Ann"}]},
            {"id": "q2", "question": "who sat", "answers": [{"answer_start": 9, "text": "Bob"}]},
        ],
    }
    return json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}], "version": "1"}, indent=1)


_ENTITY = {
    "entity_id": "Q1",
    "title": "Helsinki",
    "description": "Helsinki on pääkaupunki.",
    "description_language": "fi",
    "description_url": "u",
    "sentence_spans": [{"start": 0, "end": 24}],
}
_ARTICLE = {
    "context": {
        "document_title": "t",
        "document_id": "en-1",
        "document_url": "u",
        "language": "en",
        "text": "In Helsinki.",
        "sentence_spans": [{"start": 0, "end": 12}],
    },
    "mentions": [
        {"example_id": "m", "mention_span": {"start": 3, "end": 11, "text": "Helsinki"}, "entity_id": "Q1"}
    ],
}

#: For every reader: the files of a small collection that it reads, and the reader.
READERS: dict[str, tuple[Files, Callable[[Path], Collection]]] = {
    "lareqa": ({"en.json": _lareqa_file(), "de.json": _lareqa_file()}, load_lareqa),
    "lareqa monolingual": ({"en.json": _lareqa_file()}, lambda folder: load_lareqa_monolingual(folder)[0]),
    "tatoeba": (
        {"tatoeba.swh-eng.swh": "moja\nmbili\n", "tatoeba.swh-eng.eng": "one\ntwo\n"},
        lambda folder: load_tatoeba(folder, ["sw"])[0],
    ),
    "mewsli-x": (
        {
            "candidate_set_entities.jsonl": objects(_ENTITY, {**_ENTITY, "entity_id": "Q2"}),
            "wikinews_mentions-test.jsonl": objects(_ARTICLE),
        },
        load_mewsli_x,
    ),
    "ciral": (
        {
            "topics.ciral-v1.0-so-test-a.tsv": "1\tWhat?\n2\tWho?\n",
            "qrels.ciral-v1.0-so-test-a.tsv": "1 Q0 1#0 1\n2 Q0 1#1 0\n",
            "somali_passages.jsonl": objects(
                {"docid": "1#0", "title": "Wax", "text": "hal", "url": "u"},
                {"docid": "1#1", "title": "", "text": "laba", "url": "u"},
            ),
        },
        lambda folder: load_african(CIRAL, folder)[0],
    ),
    "beir": (
        {
            "corpus.jsonl": objects({"_id": "d1", "title": "a", "text": "b"}, {"_id": "d2", "text": "c"}),
            "queries.jsonl": objects({"_id": "q1", "text": "x"}, {"_id": "q2", "text": "y"}),
            "qrels.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\n",
        },
        lambda folder: load_folder(folder, None, ["sw"], ["en"]),
    ),
    "trec": (
        {
            "documents.en.trec": "<DOC>\n<DOCNO>d1</DOCNO>\n<TEXT>\none\n</TEXT>\n</DOC>\n",
            "topics.sw.txt": "<top>\n<num> Number: 1\n<title> moja\n<desc> n\n</top>\n",
            "qrels.txt": "1 0 d1 1\n",
        },
        load_folder,
    ),
}


@st.composite
def damage(draw: st.DrawFn, content: bytes) -> bytes:
    """Return `content` truncated, with bytes inserted, removed or replaced, or with other line ends."""
    place = draw(st.integers(0, len(content)))
    end = draw(st.integers(place, min(len(content), place + 12)))
    kind = draw(st.integers(0, 6))
    if kind == 0:
        return content[:place]
    if kind == 1:
        return (
            content[:place]
            + draw(
                st.sampled_from(
                    [b"\0", b"\xff", b"\xed\xa0\x80", b"\t", b"\n", b'"', b"\\", b"{", b"-", b"9" * 30]
                )
            )
            + content[place:]
        )
    if kind == 2:
        return content[:place] + content[end:]
    if kind == 3:
        return content[:place] + draw(st.binary(min_size=1, max_size=6)) + content[end:]
    if kind == 4:
        return content.replace(b"\n", b"\r\n")
    if kind == 5:
        return b"\xef\xbb\xbf" + content
    lines = content.splitlines(keepends=True)
    line = lines[draw(st.integers(0, len(lines) - 1))]
    return content + line  # the same line again


def check_consistent(collection: Collection) -> None:
    """Check that all ids in a collection refer to something."""
    queries = [query.id for query in collection.queries]
    documents = {document.id for document in collection.documents}
    assert queries and len(set(queries)) == len(queries)
    assert len(documents) == len(collection.documents)
    assert set(collection.judgements) >= set(queries)
    for query in queries:
        judged = collection.judgements[query]
        said = any("not in the pool; relevant" in note for note in collection.notes)
        assert judged and (judged.keys() <= documents or said)
        assert all(type(grade) is int for grade in collection.judgements[query].values())
    for text in (*collection.queries, *collection.documents):
        text.text.encode()  # no halves of surrogate pairs
        assert "\0" not in text.text


def read(name: str, files: dict[str, bytes]) -> Collection:
    with tempfile.TemporaryDirectory() as folder:
        for file, content in files.items():
            (Path(folder) / file).write_bytes(content)
        try:
            return READERS[name][1](Path(folder))
        except InputError as error:
            message = str(error)
            assert "\n" not in message and folder in message, message
            raise


@pytest.fixture(params=READERS)
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def test_each_small_collection_is_read_completely(name: str) -> None:
    check_consistent(read(name, {file: content.encode() for file, content in READERS[name][0].items()}))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_a_collection_or_a_sentence(name: str, data: st.DataObject) -> None:
    files = {file: content.encode() for file, content in READERS[name][0].items()}
    chosen = data.draw(st.sampled_from(sorted(files)))
    files[chosen] = data.draw(damage(files[chosen]))
    try:
        found = read(name, files)
    except InputError:
        return
    check_consistent(found)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    content=st.one_of(
        st.binary(max_size=40), st.text(max_size=40).map(lambda text: text.encode("utf-8", "ignore"))
    ),
)
def test_files_with_any_content_give_a_collection_or_a_sentence(
    name: str, data: st.DataObject, content: bytes
) -> None:
    files = {file: text.encode() for file, text in READERS[name][0].items()}
    files[data.draw(st.sampled_from(sorted(files)))] = content
    try:
        found = read(name, files)
    except InputError:
        return
    check_consistent(found)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*path, key))
    elif isinstance(value, list):
        for key, inner in enumerate(value):
            yield from _places(inner, (*path, key))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_json_with_other_values_is_refused_or_read(data: st.DataObject) -> None:
    """Any value of a JSON file is replaced by any other one."""
    name = data.draw(st.sampled_from(["lareqa", "mewsli-x", "ciral", "beir"]))
    files = {file: content.encode() for file, content in READERS[name][0].items()}
    chosen = data.draw(st.sampled_from(sorted(file for file in files if "json" in file)))
    lined = chosen.endswith("l")
    records = (
        [json.loads(line) for line in files[chosen].splitlines()] if lined else json.loads(files[chosen])
    )
    path = data.draw(st.sampled_from([path for path in _places(records) if path]))
    holder = records
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = data.draw(values)
    texts = map(json.dumps, records) if lined else [json.dumps(records)]
    files[chosen] = "\n".join(texts).encode()
    try:
        found = read(name, files)
    except InputError:
        return
    check_consistent(found)
