"""Validation: a collection that is searched during training and decides which weights are best.

Its questions are searched as those of an evaluation are: encoded by the student, against passages that the
teacher encoded once. They must not be asked again when the run is evaluated, because the best of several
measurements is too good for the questions that it was chosen on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.config import DistilConfig
from engine.counted import counted
from engine.encoders.encoder import Encoder
from engine.errors import InputError
from engine.evaluation.held_out_queries import held_out_queries, restricted
from engine.evaluation.runner import document_texts, vector_kind
from engine.evaluation.scores import checked_measures, evaluate_collection
from engine.extensions.scorings import SCORINGS
from engine.reporting import Reporter
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import vectors, vectors_folder
from engine.training.data.overlap import without_distractors
from engine.training.distillation.languages import LanguageSpaces

#: The figure that decides, and the beginning of the names of those of its languages.
FIGURE = "validation"


@dataclass(frozen=True)
class Validation:
    """Collections with the teacher's vectors of their documents.

    Attributes
    ----------
    collections : sequence of Collection
        What is searched; the first measure of the first one is the figure.
    documents : sequence of TokenStore or Tensor
        The vectors of the documents of each.
    scoring : str
        How documents are scored.
    depth : int
        Number of ranks that are kept for each query.
    precision : torch.dtype
        Number format of the student's matrix products.
    spaces : LanguageSpaces, optional
        What is removed from the student's vectors; it is removed from those of the documents already.
    """

    collections: Sequence[Collection]
    documents: Sequence[TokenStore | Tensor]
    scoring: str
    depth: int
    precision: torch.dtype
    spaces: LanguageSpaces | None = None

    @property
    def measure(self) -> str:
        """The measure that decides."""
        return self.collections[0].measures[0]

    @property
    def texts(self) -> list[str]:
        """The questions."""
        return [query.text for collection in self.collections for query in collection.queries]

    @property
    def hashes(self) -> list[str]:
        """What is searched, by which the saved state of another validation is refused."""
        return [f"validation {one.name} {one.revision} {self.scoring}" for one in self.collections]

    def describe(self) -> str:
        """Return what is measured in a line."""
        named = ", ".join(
            f"{one.name} ({one.revision}, {counted(len(one.queries), 'question')} in "
            f"{' '.join(one.query_languages)}, {counted(len(one.documents), 'document')})"
            for one in self.collections
        )
        return f"{self.measure} by {self.scoring} on {named}"

    def search(self, student: Encoder) -> dict[str, float]:
        """Return the mean of the measure over languages, and that of each language."""
        found: dict[str, list[float]] = {}
        kind = vector_kind(self.scoring)
        for collection, documents in zip(self.collections, self.documents, strict=True):
            texts = [query.text for query in collection.queries]
            asked = vectors(student, texts, "query", [kind], precision=self.precision)[kind]
            if self.spaces is not None:
                asked = self.spaces.of_queries(kind, asked, [query.language for query in collection.queries])
            scores = evaluate_collection(collection, asked, documents, scoring=self.scoring, depth=self.depth)
            for code, values in scores.values[self.measure].items():
                found.setdefault(code, []).append(sum(values.values()) / len(values))
        figures = {f"{FIGURE}_{code}": sum(values) / len(values) for code, values in found.items()}
        return {**figures, FIGURE: sum(figures.values()) / len(figures)}


def read_validation(
    config: DistilConfig,
    chosen: Sequence[Collection],
    teacher: Encoder,
    precision: torch.dtype,
    reporter: Reporter,
    spaces: LanguageSpaces | None = None,
) -> Validation | None:
    """Encode the documents of `chosen`, as `check_validation` returns them; None if there is no validation.

    The vectors of documents are those of the cache that evaluations and losses use, without what `spaces`
    removes.
    """
    if config.validation is None:
        return None
    for note in dict.fromkeys(note for one in chosen for note in one.notes if "left out" in note):
        reporter.say(note)
    scoring = config.evaluation.scoring[0]
    scoring = SCORINGS[scoring].exact or scoring
    kind = vector_kind(scoring)
    reporter.stage("validation: documents", sum(len(one.documents) for one in chosen))
    role = teacher.document_role(symmetric=config.validation.reader.symmetric)
    documents = [
        vectors(
            teacher,
            document_texts(one, context=config.validation.context),
            role,
            [kind],
            precision=precision,
            cache=vectors_folder(),
            progress=reporter.advance,
        )[kind]
        for one in chosen
    ]
    if spaces is not None:
        documents = [
            spaces.of_documents(kind, role, found, [document.language for document in one.documents])
            for one, found in zip(chosen, documents, strict=True)
        ]
    validation = Validation(chosen, documents, scoring, config.evaluation.depth, precision, spaces)
    reporter.say(f"the best step is chosen by {validation.describe()}")
    return validation


def check_validation(config: DistilConfig) -> list[Collection]:
    """Return the collections of `config.validation` without the questions whose topics are evaluated, too.

    Raises
    ------
    InputError
        If no question is left, or a collection is missing or broken.
    """
    assert config.validation is not None
    chosen = load_collections(config.validation, config.seed)
    for one in chosen:
        checked_measures(one, (), config.evaluation.depth)
        if one.measures[0] != chosen[0].measures[0]:
            raise InputError(
                f"the collections of [validation] have different measures ({chosen[0].measures[0]} and "
                f"{one.measures[0]}); choose one of them"
            )
    reported = [
        one
        for entry in config.collections
        for one in load_collections(without_distractors(entry), config.seed)
    ]
    return [restricted(one, held_out_queries(one, reported)) for one in chosen]
