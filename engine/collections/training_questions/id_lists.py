r"""Training questions in files with ids: MS MARCO's triples, ColBERT's and PyLate's n-way lists.

- **triples**: a line ``qid\tpid\tpid``, with the relevant passage first, as ``qidpidtriples.train.*.tsv`` of
  MS MARCO passage ranking; ColBERT's ``[qid, pid, pid]`` has a format of its own.
- **colbert**: a JSON list a line, ``[qid, pid, pid, ...]`` or ``[qid, [pid, score], [pid, score], ...]``
  (stanford-futuredata/ColBERT, `colbert.data.examples`; ColBERTv2's ``examples.64.json``). The first passage
  is the relevant one, as its loss with in-batch negatives takes it.
- **pylate**: an object a line, ``{"query_id", "document_ids", "scores"}`` (PyLate's data for distillation,
  lightonai/ms-marco-en-bge), with lists or with texts that contain lists as JSON. The passage with the
  highest score counts as relevant; of equal ones, the first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from engine.bitext.files import find, numbered_lines, numbered_objects
from engine.collections.text_files import read_rows, text_of
from engine.collections.training_questions.question import TrainingQuestion
from engine.collections.training_questions.text_tables import read_texts
from engine.config.teacher import QuestionSource
from engine.errors import InputError


@dataclass(frozen=True, slots=True)
class _Example:
    line: int
    question: str
    passages: tuple[str, ...]
    scores: tuple[float, ...] | None = None


def read_by_id(source: QuestionSource) -> list[TrainingQuestion]:
    """Read a source in one of the formats `engine.config.teacher.BY_ID`.

    Raises
    ------
    InputError
        If a file is missing or broken, or an id has no text.
    """
    assert source.queries is not None and source.collection is not None  # the configuration checks it
    path = find(source.path)
    examples = list(islice(_READERS[source.format](path), source.start, source.stop))
    questions = read_texts(source.queries, ((e.question, e.line) for e in examples), path)
    wanted = ((name, e.line) for e in examples for name in e.passages)
    passages = read_texts(source.collection, wanted, path)
    return [
        TrainingQuestion(
            topic=example.question,
            text=questions[example.question],
            language=source.question_language,
            passage_language=source.passage_language,
            passages=tuple(passages[name] for name in example.passages),
            scores=example.scores,
        )
        for example in examples
    ]


def _triples(path: Path) -> Iterator[_Example]:
    for number, (question, positive, negative) in read_rows(path, 3, "question, passage, other passage"):
        yield _Example(number, question.strip(), (positive.strip(), negative.strip()))


def _colbert(path: Path) -> Iterator[_Example]:
    for number, line in numbered_lines(path, blank=False):
        entry = _json(line, path, number)
        if not isinstance(entry, list) or len(entry) < 2:
            raise InputError("every line should be a list [qid, pid, ...]", path=path, line=number)
        question, *ranked = entry
        with_scores = [isinstance(item, list) for item in ranked]
        if any(with_scores) and not (all(with_scores) and all(len(item) == 2 for item in ranked)):
            raise InputError("either all passages should be [pid, score] or none", path=path, line=number)
        names = [item[0] for item in ranked] if any(with_scores) else ranked
        scores = _scores([item[1] for item in ranked], path, number) if any(with_scores) else None
        yield _Example(
            number, _id(question, path, number), tuple(_id(name, path, number) for name in names), scores
        )


def _pylate(path: Path) -> Iterator[_Example]:
    for number, record in numbered_objects(path):
        question = text_of(record, ("query_id",), path, number)
        names = _listed(record, "document_ids", path, number)
        scores = _scores(_listed(record, "scores", path, number), path, number)
        if len(names) != len(scores) or not names:
            raise InputError(
                f"{len(names)} document_ids and {len(scores)} scores; both need one entry for each passage",
                path=path,
                line=number,
            )
        order = sorted(range(len(names)), key=lambda place: -scores[place])
        yield _Example(
            number,
            question,
            tuple(_id(names[place], path, number) for place in order),
            tuple(scores[place] for place in order),
        )


_READERS: dict[str, Callable[[Path], Iterator[_Example]]] = {
    "triples": _triples,
    "colbert": _colbert,
    "pylate": _pylate,
}


def _json(text: str, path: Path, number: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply or a number too long")
        raise InputError(
            f"this line is not JSON ({reason}); fetch the file again", path=path, line=number
        ) from error


def _id(value: Any, path: Path, number: int) -> str:
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise InputError(f"{str(value)[:40]!r} is not an id; ids are numbers or texts", path=path, line=number)


def _listed(record: dict[str, Any], name: str, path: Path, number: int) -> list[Any]:
    value = record.get(name)
    if isinstance(value, str):
        value = _json(value, path, number)
    if not isinstance(value, list):
        raise InputError(f"{name!r} should be a list", path=path, line=number)
    return value


def _scores(values: list[Any], path: Path, number: int) -> tuple[float, ...]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(
                f"{str(value)[:40]!r} is not a score; scores are numbers", path=path, line=number
            )
    return tuple(float(value) for value in values)
