"""Questions that a run is evaluated on, and the training pairs that ask the same or have the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from engine.bitext.overlap import Match
from engine.bitext.pairs import Pairs
from engine.bitext.questions import Questions
from engine.bitext.seen import Seen
from engine.bitext.split import sentence_text
from engine.collections.base import Collection, Query
from engine.evaluation.significance import topic_of
from engine.extensions.bitext import SentencePair
from engine.languages import same_language
from engine.reporting import SILENT, Reporter
from engine.training.data.looked_up import look_up, places_of


class AskedQuestions:
    """The questions of collections that have human translations of them (`Query.translation`).

    Parameters
    ----------
    collections : sequence of Collection
        What the run is evaluated on.
    sources : sequence of Pairs
        All pairs that `match` and `marks` will be asked about, those of a source together.
    reporter : Reporter
        Receives progress.
    """

    def __init__(
        self, collections: Sequence[Collection], sources: Sequence[Pairs], reporter: Reporter = SILENT
    ) -> None:
        self._collections = [
            collection for collection in collections if any(query.translation for query in collection.queries)
        ]
        self._passages: set[str] = set()
        self._near: dict[str, frozenset[str]] = {}
        if not self._collections:
            return
        for collection in self._collections:
            for passages in _passages(collection).values():
                self._passages |= passages
        reporter.stage("questions of the evaluation", sum(map(len, sources)))
        known: dict[str, tuple[Questions, Seen]] = {}
        for pairs in sources:
            code = pairs[0].target_language
            if code not in known:
                known[code] = Questions(self._translations(code)), Seen()
            questions, seen = known[code]
            near = look_up(
                pairs,
                "target",
                partial(_matches, questions),
                key=["questions", *questions.texts],
                seen=seen,
                reporter=reporter,
            )
            self._near.update((text, frozenset(found)) for text, found in near)

    def _translations(self, code: str) -> Iterator[str]:
        """Yield the questions in a language."""
        for collection in self._collections:
            if same_language(collection.document_language, code):
                yield from (query.translation for query in collection.queries if query.translation)

    def __bool__(self) -> bool:
        """Return whether there are such questions."""
        return bool(self._collections)

    @property
    def texts(self) -> Iterable[str]:
        """The texts of the pairs that ask nearly the same as a question."""
        return self._near.keys()

    def match(self, pair: SentencePair) -> Match | None:
        """Return ``exact`` if a question has the passage of `pair`, ``near`` if one asks nearly the same."""
        if pair.passage and sentence_text(pair.passage) in self._passages:
            return "exact"
        return "near" if pair.target in self._near else None

    def marks(self, sources: Iterable[Pairs]) -> list[dict[str, str]]:
        """Return rows of table ``topics`` of kind ``clean`` for all questions, given the training pairs."""
        passages: set[str] = set()
        titles: set[str] = set()
        near: set[str] = set()
        for pair in self._concerned(sources):
            near |= self._near.get(pair.target, frozenset())
            if pair.passage:
                passages.add(sentence_text(pair.passage))
                titles.add(sentence_text(pair.document))
        rows = []
        for collection in self._collections:
            answers, of_documents = _passages(collection), _titles(collection)
            clean: dict[str, bool] = {}
            for query in collection.queries:
                own = _relevant(collection, query)
                shared = (
                    query.translation in near
                    or any(passages & answers[document] for document in own)
                    or any(of_documents[document] in titles for document in own)
                )
                topic = topic_of(query.id)
                clean[topic] = clean.get(topic, True) and not shared
            rows += [
                {
                    "collection": collection.name,
                    "revision": collection.revision,
                    "topic": topic,
                    "kind": "clean",
                    "value": "yes" if value else "no",
                }
                for topic, value in clean.items()
            ]
        return rows

    def counts(self, sources: Iterable[Pairs]) -> Counter[Match]:
        """Return how many pairs `match` a question in each way."""
        found = map(self.match, self._concerned(sources))
        return Counter(match for match in found if match is not None)

    def _concerned(self, sources: Iterable[Pairs]) -> Iterator[SentencePair]:
        """Yield the pairs that have a passage or ask nearly the same as a question."""
        for pairs in sources if self._collections else ():
            places = np.fromiter(places_of(pairs, self.texts, passages=True), np.int64)
            yield from pairs.select(places)


def _matches(questions: Questions, texts: Sequence[str]) -> list[list[str] | None]:
    return [found or None for found in questions.matches(texts)]


def _relevant(collection: Collection, query: Query) -> list[str]:
    return [document for document, grade in collection.judgements[query.id].items() if grade > 0]


def _passages(collection: Collection) -> dict[str, set[str]]:
    """Return the texts of each relevant document, with and without its title."""
    relevant = {document for query in collection.queries for document in _relevant(collection, query)}
    return {
        document.id: {
            sentence_text(document.text),
            sentence_text(document.text.removeprefix(document.title)),
        }
        for document in collection.documents
        if document.id in relevant
    }


def _titles(collection: Collection) -> dict[str, str]:
    """Return the title of each document; a document without one has its text."""
    return {document.id: sentence_text(document.title or document.text) for document in collection.documents}
