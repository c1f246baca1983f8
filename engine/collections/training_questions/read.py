"""From a configured source to its questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.collections.training_questions.id_lists import read_by_id
from engine.collections.training_questions.inline_texts import read_texts_inside
from engine.collections.training_questions.question import TrainingQuestion
from engine.collections.training_questions.squad import read_squad
from engine.config.teacher import QuestionSource
from engine.errors import InputError
from engine.languages import language

_READERS: dict[str, Callable[[QuestionSource], list[TrainingQuestion]]] = {
    "triples": read_by_id,
    "colbert": read_by_id,
    "pylate": read_by_id,
    "text-triples": read_texts_inside,
    "tevatron": read_texts_inside,
    "squad": read_squad,
}


def read_questions(source: QuestionSource) -> list[TrainingQuestion]:
    """Read the examples of `source`, in their order.

    Raises
    ------
    InputError
        If a file is missing, broken or empty, an id has no text, or a language is unknown.
    """
    asked, answered = (language(code).code for code in (source.question_language, source.passage_language))
    questions = [
        replace(question, language=asked, passage_language=answered)
        for question in _READERS[source.format](source)
    ]
    if not questions:
        raise InputError("it holds no example, or none from start to stop; give another", path=source.path)
    return questions
