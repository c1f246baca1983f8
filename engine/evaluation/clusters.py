"""Clusters of topics that depend on each other, which are the units of significance tests.

Topics belong to one cluster if they are part of the same document, article or message (`Query.group`), if
the same documents answer both, or if the documents that answer them are of the same paragraphs. Topics of
which only some relevant documents are the same, as in pools of long documents, are not joined.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.collections.base import Collection, Query
from engine.evaluation.significance import topic_of


def topic_clusters(collection: Collection) -> dict[str, str]:
    """Return the cluster of each topic; empty if every topic is alone.

    A cluster has the name of its group, or of its first topic if it has none.
    """
    texts = {document.id: document for document in collection.documents}
    leader: dict[str, str] = {}

    def find(node: str) -> str:
        while leader[node] != node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    topics = list(dict.fromkeys(topic_of(query.id) for query in collection.queries))
    for topic in topics:
        leader[f"topic {topic}"] = f"topic {topic}"

    def marks(query: Query) -> Iterator[str]:
        if query.group:
            yield f"group {query.group}"
        judged = collection.judgements[query.id]
        relevant = sorted(document for document, grade in judged.items() if grade > 0)
        if relevant:
            yield f"documents {relevant}"
        contexts = {texts[document].context if document in texts else "" for document in relevant}
        if contexts and all(contexts):
            yield f"contexts {sorted(contexts)}"

    group = {topic_of(query.id): query.group for query in collection.queries if query.group}
    for query in collection.queries:
        topic = topic_of(query.id)
        for mark in marks(query):
            leader.setdefault(mark, mark)
            leader[find(mark)] = find(f"topic {topic}")
    members: dict[str, list[str]] = {}
    for topic in topics:
        members.setdefault(find(f"topic {topic}"), []).append(topic)
    if len(members) == len(topics):
        return {}
    return {
        topic: group.get(some[0], some[0]) if len(some) > 1 else topic
        for some in members.values()
        for topic in some
    }
