"""Files in SQuAD's format. The passage is the sentence, or the paragraph, in which the answer begins.

``{"data": [{"paragraphs": [{"context", "qas": [{"id", "question", "answers": [{"answer_start"}]}]}]}]}``
(Rajpurkar et al. 2016, arXiv 1606.05250). The key ``sentence_breaks`` gives the sentences, as in XQuAD-R and
MLQA-R (Roy et al. 2020, arXiv 2004.05484); without it, a sentence ends at a Unicode sentence terminal before
a space. The other sentences of the paragraph are hard negatives of its questions. Questions without an answer
(SQuAD 2.0) are skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from engine.bitext.files import damage_named, find, open_bytes
from engine.collections.training_questions.question import TrainingQuestion
from engine.config.teacher import QuestionSource
from engine.errors import InputError

#: A sentence ends after these characters: before a space in scripts with spaces, at once in other scripts.
_END = re.compile(r"(?<=[.!?։؟۔।॥])\s+|(?<=[。！？])")


def read_squad(source: QuestionSource) -> list[TrainingQuestion]:
    """Read a source of the format ``squad``.

    Raises
    ------
    InputError
        If the file is missing or has another format.
    """
    path = find(source.path)
    questions = []
    for number, paragraph in enumerate(_paragraphs(path)):
        try:
            questions += list(_questions(paragraph, source))
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise InputError(
                f"paragraph {number} is not in SQuAD's format ({type(error).__name__}: {error}); "
                "fetch the file again",
                path=path,
            ) from error
    return list(islice(questions, source.start, source.stop))


def across(questions: Sequence[TrainingQuestion]) -> Iterator[TrainingQuestion]:
    """Yield each question with the passages of its topic in every other language.

    Parameters
    ----------
    questions : sequence of TrainingQuestion
        Each in the language of its passages. Of several questions with one topic and language, the first is
        used.
    """
    topics: dict[str, dict[str, TrainingQuestion]] = {}
    for question in questions:
        topics.setdefault(question.topic, {}).setdefault(question.language, question)
    for known in topics.values():
        for question in known.values():
            for other in known.values():
                if question.language != other.language:
                    yield TrainingQuestion(
                        topic=question.topic,
                        text=question.text,
                        language=question.language,
                        passage_language=other.language,
                        passages=other.passages,
                    )


def _questions(paragraph: dict[str, Any], source: QuestionSource) -> Iterator[TrainingQuestion]:
    context = paragraph["context"]
    bounds = [(0, len(context))]
    if source.passage == "sentence":
        bounds = [(int(a), int(b)) for a, b in paragraph.get("sentence_breaks") or _sentences(context)]
    passages = [" ".join(context[start:end].split()) for start, end in bounds]
    for entry in paragraph["qas"]:
        text = entry["question"].strip()
        if not entry["answers"]:
            continue
        begins = entry["answers"][0]["answer_start"]
        inside = [place for place, (start, end) in enumerate(bounds) if start <= begins < end]
        if not inside or not passages[inside[0]] or not text:
            raise ValueError(f"question {entry['id']} is empty, or its answer is in no sentence")
        answer = passages[inside[0]]
        others = tuple(dict.fromkeys(other for other in passages if other and other != answer))
        yield TrainingQuestion(
            topic=str(entry["id"]),
            text=text,
            language=source.question_language,
            passage_language=source.passage_language,
            passages=(answer, *others),
        )


def _sentences(context: str) -> list[tuple[int, int]]:
    starts = [0, *(match.end() for match in _END.finditer(context) if match.end() < len(context))]
    return list(zip(starts, [*starts[1:], len(context)], strict=True))


def _paragraphs(path: Path) -> list[dict[str, Any]]:
    with damage_named(path), open_bytes(path) as stream:
        content = stream.read()
    try:
        text = content.decode("utf-8-sig")
        return [paragraph for article in json.loads(text)["data"] for paragraph in article["paragraphs"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise InputError(
            "this is not JSON in SQuAD's format; fetch the file again", path=path, line=line
        ) from error
