"""Building a collection of questions that search passages, as MTEB makes them of question answering data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.collections.base import Collection, Direction, Document, Query, contents_revision, revision_of
from engine.collections.build import CollectionFacts


@dataclass(frozen=True, slots=True)
class Answered:
    """A question and the passage that answers it.

    Attributes
    ----------
    id : str
        Its id, the same in every language.
    question, passage : str
        The texts.
    title : str
        The article that the passage is from.
    translation : str
        The question in English; empty if it is not known.
    """

    id: str
    question: str
    passage: str
    title: str
    translation: str = ""


def passage_collection(
    facts: CollectionFacts, query_language: str, document_language: str, answered: Iterable[Answered]
) -> Collection:
    """Build a collection of which every distinct passage is a document, and every distinct question a query.

    Questions of the same text are one query, and the passages of all of them are relevant.

    Parameters
    ----------
    facts : CollectionFacts
        Its direction is not used; it follows from the languages.
    query_language, document_language : str
        Codes of the languages.
    answered : iterable of Answered
    """
    documents: dict[str, Document] = {}
    queries: dict[str, Query] = {}
    judgements: dict[str, dict[str, int]] = {}
    for one in answered:
        document = documents.setdefault(
            one.passage,
            Document(
                f"{document_language}:{revision_of([one.passage.encode()])}",
                one.passage,
                document_language,
                title=one.title,
            ),
        )
        # The ids of English queries have the language of the documents, because other collections have the
        # same queries.
        topic = (
            one.id if query_language != "en" or document_language == "en" else f"{document_language}-{one.id}"
        )
        query = queries.setdefault(
            one.question,
            Query(f"{query_language}:{topic}", one.question, query_language, document.id, one.translation),
        )
        judgements.setdefault(query.id, {})[document.id] = 1
    direction: Direction = "xx-xx"
    if document_language == "en" != query_language:
        direction = "xx-en"
    elif query_language == "en" != document_language:
        direction = "en-xx"
    return Collection(
        name=facts.name,
        revision=contents_revision(queries.values(), documents.values(), judgements),
        protocol=facts.protocol,
        direction=direction,
        queries=tuple(queries.values()),
        documents=tuple(documents.values()),
        judgements=judgements,
        measures=facts.measures,
        source=facts.source,
    )
