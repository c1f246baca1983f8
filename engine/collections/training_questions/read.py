"""Reading the training questions of a configured source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.collections.training_questions.id_lists import read_by_id
from engine.collections.training_questions.inline_texts import read_inline_texts
from engine.collections.training_questions.question import TrainingQuestion
from engine.collections.training_questions.squad import read_squad
from engine.config.teacher import QuestionSource
from engine.errors import InputError
from engine.languages import language

_READERS: dict[str, Callable[[QuestionSource], list[TrainingQuestion]]] = {
    "triples": read_by_id,
    "colbert": read_by_id,
    "pylate": read_by_id,
    "text-triples": read_inline_texts,
    "tevatron": read_inline_texts,
    "squad": read_squad,
}


def read_questions(source: QuestionSource) -> list[TrainingQuestion]:
    """Read the training questions of `source`, in their order.

    Raises
    ------
    InputError
        If a file is missing, broken or empty, an id has no text, or a language is unknown.
    """
    question_code, passage_code = (
        language(code).code for code in (source.question_language, source.passage_language)
    )
    questions = [
        replace(question, language=question_code, passage_language=passage_code)
        for question in _READERS[source.format](source)
    ]
    if not questions:
        raise InputError(
            "it contains no question, or none from start to stop; give another source", path=source.path
        )
    return questions
