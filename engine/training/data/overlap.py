"""Keep the sentences that a run is evaluated on out of its training data.

Evaluation sentences are the queries of the run's collections and the documents that are relevant to any of
them, each in its own language. Documents that are relevant to no query are not among them: they are
distractors, and pools are filled up with training sentences on purpose.

A pair of a question set is also dropped if its passage answers a question that the run is evaluated on, or if
its English question asks nearly the same as one (`engine.training.data.asked`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from engine.bitext.drops import Drops
from engine.bitext.overlap import Match, Sentences
from engine.bitext.pairs import Pairs
from engine.bitext.seen import Seen
from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.config import BitextConfig, CollectionConfig
from engine.errors import InputError
from engine.extensions.bitext import SentencePair
from engine.reporting import Reporter
from engine.training.data.asked import AskedQuestions
from engine.training.data.looked_up import look_up, places_of


class Overlap:
    """Which pairs have a sentence that the run is evaluated on, in the same spelling or nearly the same.

    Parameters
    ----------
    configs : sequence of BitextConfig
        The sources.
    sources : sequence of Pairs
        The pairs of each source.
    collections : sequence of CollectionConfig
        What the run is evaluated on.
    seed : int
        The run's seed, by which collections are drawn.
    reporter : Reporter
        Receives progress.
    asked : sequence of CollectionConfig, optional
        Collections whose questions `marks` marks, if they are not `collections`: their overlap is not
        dropped.
    setting : str or None
        The setting that keeps such pairs, for messages; None if there is none.

    Raises
    ------
    InputError
        If a collection is missing or broken, or no pair of a source would be left.
    """

    def __init__(
        self,
        configs: Sequence[BitextConfig],
        sources: Sequence[Pairs],
        collections: Sequence[CollectionConfig],
        seed: int,
        reporter: Reporter,
        asked: Sequence[CollectionConfig] | None = None,
        setting: str | None = "training.overlap",
    ) -> None:
        self._setting = setting
        self._configs, self._reporter = configs, reporter
        loaded = [
            collection
            for evaluated in collections
            for collection in load_collections(without_distractors(evaluated), seed)
        ]
        self._evaluated = Sentences(
            sentence for collection in loaded for sentence in evaluation_sentences(collection)
        )
        self._asked = AskedQuestions(loaded, sources, reporter)
        self._marked = self._asked
        if asked is not None:
            questions = [one for one in asked if one.reader.translations == "queries"]
            self._marked = AskedQuestions(
                [collection for one in questions for collection in load_collections(one, seed)],
                sources,
                reporter,
            )
        self._found = self._look_up(sources) if len(self._evaluated) else {}
        for config, pairs in zip(configs, sources, strict=True):
            self._some_left(config, any(self.match(pair) is None for pair in pairs))

    def match(self, pair: SentencePair) -> Match | None:
        """Return how a side of `pair`, or its passage, matches the evaluation; None if neither does."""
        found = [*(self._found.get(side) for side in _sides(pair)), self._asked.match(pair)]
        return "exact" if "exact" in found else "near" if "near" in found else None

    def matches(self, pairs: Pairs) -> dict[int, Match]:
        """Return how pairs match the evaluation, by their places; those that do not are left out."""
        texts = {text for _, text in self._found}.union(self._asked.texts)
        places = places_of(pairs, texts, passages=bool(self._asked))
        found = ((place, self.match(pairs[place])) for place in places)
        return {place: match for place, match in found if match is not None}

    def without(self, pairs: Pairs) -> Pairs:
        """Return the pairs that do not overlap."""
        return _without(pairs, self.matches(pairs))

    def drop(self, sources: Sequence[Pairs], drops: Sequence[Drops]) -> list[Pairs]:
        """Return the pairs of each source that do not overlap; count and report the others.

        Raises
        ------
        InputError
            If none of a source is left.
        """
        left = []
        for config, pairs, counts in zip(self._configs, sources, drops, strict=True):
            matches = self.matches(pairs)
            left.append(_without(pairs, matches))
            self._some_left(config, bool(len(left[-1])))
            for match in matches.values():
                counts.withdraw("in_evaluation" if match == "exact" else "near_evaluation")
        if len(self._evaluated):
            asked = self._asked.counts(sources)
            total = sum(map(len, sources))
            same = sum(counts.in_evaluation for counts in drops)
            near = sum(counts.near_evaluation for counts in drops)
            self._reporter.say(
                f"{same + near:,} of {total:,} pairs dropped because of a sentence that the run is evaluated "
                f"on: {same:,} with the same, {near:,} with nearly the same"
                + (f" ({self._setting})" if self._setting else "")
            )
            if asked:
                self._reporter.say(
                    f"{asked.total():,} are training questions: {asked['exact']:,} with the passage of "
                    f"an evaluation question, {asked['near']:,} that ask nearly the same as one"
                )
        return left

    def marks(self, sources: Iterable[Pairs]) -> list[dict[str, str]]:
        """Return rows of table ``topics``: which evaluation questions share nothing with the training pairs.

        The value of kind ``clean`` is ``yes`` if no pair has the passage or the title of the passage that
        answers the question, or asks nearly the same, otherwise ``no``.
        """
        return self._marked.marks(sources)

    def _look_up(self, sources: Sequence[Pairs]) -> dict[tuple[str, str], Match]:
        """Return the sentences of both sides that match, each looked up once in a language."""
        self._reporter.stage("overlap with the evaluation", 2 * sum(map(len, sources)))
        found: dict[tuple[str, str], Match] = {}
        seen: dict[str, Seen] = {}
        evaluated = self._evaluated.hash
        for pairs in sources:
            first = pairs[0]
            for column, code in (("source", first.source_language), ("target", first.target_language)):
                matches: Iterator[tuple[str, Match]] = look_up(
                    pairs,
                    column,
                    partial(self._evaluated.matches, code),
                    key=["sentences", code, evaluated],
                    seen=seen.setdefault(code, Seen()),
                    reporter=self._reporter,
                )
                found.update(((code, text), match) for text, match in matches)
        return found

    def _some_left(self, config: BitextConfig, some: bool) -> None:
        if not some:
            raise InputError(
                f"every pair in {config.language!r} has a sentence that the run is evaluated on; choose "
                "other pairs (start, stop, part)"
                + (f", or set {self._setting} = 'keep'" if self._setting else ""),
                path=config.path,
            )


def evaluation_sentences(collection: Collection) -> Iterator[tuple[str, str]]:
    """Yield language and text of a collection's queries, and of the documents relevant to any of them."""
    for query in collection.queries:
        yield query.language, query.text
    relevant = {
        name for grades in collection.judgements.values() for name, grade in grades.items() if grade > 0
    }
    for document in collection.documents:
        if document.id in relevant:
            yield document.language, document.text


def _without(pairs: Pairs, matches: Mapping[int, Match]) -> Pairs:
    if not matches:
        return pairs
    left = np.ones(len(pairs), dtype=bool)
    left[list(matches)] = False
    return pairs.select(left)


def _sides(pair: SentencePair) -> tuple[tuple[str, str], tuple[str, str]]:
    return (pair.source_language, pair.source), (pair.target_language, pair.target)


def without_distractors(config: CollectionConfig) -> CollectionConfig:
    """Return the collection without its distractors and upper line, which add no topic."""
    return config.model_copy(update={"distractors": [], "distractor_bitext": [], "upper_line": False})
