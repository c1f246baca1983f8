r"""Training questions in files that contain the texts: MS MARCO's triples, and Tevatron's JSON Lines.

- **text-triples**: a line ``question\tpassage\tother passage``, as ``triples.train.small.tsv`` of MS MARCO
  passage ranking.
- **tevatron**: an object a line, ``{"query_id", "query", "positive_passages": [{"docid", "title", "text"}],
  "negative_passages": [...]}`` (Gao et al. 2022, arXiv 2203.05765; the data sets Tevatron/msmarco-passage,
  Tevatron/bge-ir). The passage is the title, a space and the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from engine.bitext.files import find, numbered_objects
from engine.collections.text_files import read_rows, text_of
from engine.collections.training_questions.question import TrainingQuestion
from engine.config.teacher import QuestionSource
from engine.errors import InputError


def read_inline_texts(source: QuestionSource) -> list[TrainingQuestion]:
    """Read a source in the format ``text-triples`` or ``tevatron``.

    Raises
    ------
    InputError
        If the file is missing or broken.
    """
    found = _READERS[source.format](find(source.path))
    return [
        TrainingQuestion(
            topic=topic,
            text=text,
            language=source.question_language,
            passage_language=source.passage_language,
            passages=(*answers, *others),
            answers=len(answers),
        )
        for topic, text, answers, others in islice(found, source.start, source.stop)
    ]


_Parts = tuple[str, str, tuple[str, ...], tuple[str, ...]]


def _triples(path: Path) -> Iterator[_Parts]:
    for number, cells in read_rows(path, 3, "question, passage, other passage"):
        question, positive, negative = (cell.strip() for cell in cells)
        if not (question and positive and negative):
            raise InputError("one of the three texts is empty", path=path, line=number)
        yield question, question, (positive,), (negative,)


def _tevatron(path: Path) -> Iterator[_Parts]:
    for number, record in numbered_objects(path):
        text = text_of(record, ("query",), path, number).strip()
        topic = text_of(record, ("query_id", "query"), path, number)
        answers = _passages(record, "positive_passages", path, number)
        if not text or not answers:
            raise InputError(
                "the query or the positive passages are missing; every line needs both",
                path=path,
                line=number,
            )
        yield topic, text, answers, _passages(record, "negative_passages", path, number)


def _passages(record: dict[str, Any], name: str, path: Path, number: int) -> tuple[str, ...]:
    entries = record.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{name!r} should be a list of objects with title and text", path=path, line=number)
    texts = []
    for entry in entries:
        title = text_of(entry, ("title",), path, number) if entry.get("title") else ""
        text = f"{title} {text_of(entry, ('text',), path, number)}".strip()
        if not text:
            raise InputError(f"a passage of {name!r} is empty", path=path, line=number)
        texts.append(text)
    return tuple(texts)


_READERS: dict[str, Callable[[Path], Iterator[_Parts]]] = {"text-triples": _triples, "tevatron": _tevatron}
