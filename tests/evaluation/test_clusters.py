"""Clusters of topics: shared groups, documents and paragraphs."""

from __future__ import annotations

from collections.abc import Mapping

from engine.collections.base import Collection, Document, Query
from engine.evaluation.clusters import topic_clusters


def collection(
    relevant: Mapping[str, list[str]],
    contexts: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
) -> Collection:
    documents = list(dict.fromkeys(d for ids in relevant.values() for d in ids))
    return Collection(
        name="c",
        revision="1",
        protocol="p",
        direction="xx-en",
        queries=tuple(
            Query(query, "text", query[:2], (groups or {}).get(query[3:], "")) for query in relevant
        ),
        documents=tuple(Document(d, d, "en", (contexts or {}).get(d, "")) for d in documents),
        judgements={query: dict.fromkeys(ids, 1) for query, ids in relevant.items()},
        measures=("RR",),
    )


def test_topics_without_anything_in_common_are_no_clusters() -> None:
    assert topic_clusters(collection({"so:1": ["en:1"], "sw:1": ["en:1"], "so:2": ["en:2"]})) == {}


def test_one_message_in_two_catalogues_is_one_cluster() -> None:
    """The English message is one document, which both topics have."""
    found = topic_clusters(collection({"so:django-7": ["en:1"], "so:kolibri-3": ["en:1"], "so:x": ["en:2"]}))
    assert found == {"django-7": "django-7", "kolibri-3": "django-7", "x": "x"}


def test_questions_about_one_paragraph_are_one_cluster() -> None:
    contexts = {"en:1": "Paris.", "en:2": "Paris.", "en:3": "Rome."}
    found = topic_clusters(collection({"so:a": ["en:1"], "so:b": ["en:2"], "so:c": ["en:3"]}, contexts))
    assert found["a"] == found["b"] != found["c"]


def test_topics_of_one_document_are_one_cluster_and_clusters_are_joined() -> None:
    groups = {"a": "PubMed_6", "b": "PubMed_6", "c": "wiki_1", "d": "wiki_1"}
    relevant = {"so:a": ["en:1"], "so:b": ["en:2"], "so:c": ["en:3"], "so:d": ["en:4"]}
    found = topic_clusters(collection(relevant, groups=groups))
    assert found == {"a": "PubMed_6", "b": "PubMed_6", "c": "wiki_1", "d": "wiki_1"}
    # A sentence of both documents joins them.
    joined = topic_clusters(collection({**relevant, "so:c": ["en:2"]}, groups=groups))
    assert len(set(joined.values())) == 1


def test_topics_that_share_some_of_their_documents_are_not_joined() -> None:
    """Otherwise a pool of long documents would be one cluster."""
    assert topic_clusters(collection({"so:a": ["en:1", "en:2"], "so:b": ["en:2", "en:3"]})) == {}


def test_documents_that_are_not_relevant_join_nothing() -> None:
    made = collection({"so:a": ["en:1"], "so:b": ["en:2"]})
    judged = {"so:a": {"en:1": 1, "en:2": 0}, "so:b": {"en:2": 1}}
    assert topic_clusters(Collection(**{**vars(made), "judgements": judged})) == {}
