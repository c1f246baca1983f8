"""`TrainingQuestion`, which all readers of training questions return."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainingQuestion:
    """A question for training, with passages that answer it and passages that do not.

    Attributes
    ----------
    topic : str
        Identifies the question: the same in every language and with all passages.
    text : str
        The question.
    language, passage_language : str
        Codes of `engine.languages.Language.code`.
    passages : tuple of str
        The first `answers` of them answer the question.
    answers : int
        At least one.
    scores : tuple of float, optional
        A score for each passage, if the format has them.
    """

    topic: str
    text: str
    language: str
    passage_language: str
    passages: tuple[str, ...]
    answers: int = 1
    scores: tuple[float, ...] | None = None

    @property
    def languages(self) -> tuple[str, str]:
        """Language of the question, then of its passages."""
        return self.language, self.passage_language
