"""The questions of a run: read them, remove overlap with the evaluation, cross languages, hold out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.bitext.overlap import Match, Sentences
from engine.bitext.split import sentence_key
from engine.collections.load import load_collections
from engine.collections.training_questions.question import TrainingQuestion
from engine.collections.training_questions.read import read_questions
from engine.collections.training_questions.squad import across
from engine.config.teacher import TeacherConfig
from engine.counted import counted
from engine.errors import InputError
from engine.reporting import Reporter
from engine.training.data.overlap import evaluation_sentences


@dataclass(frozen=True)
class Questions:
    """The questions that a run trains on, and those that it holds out.

    Attributes
    ----------
    training, held_out : list of TrainingQuestion
        Questions, disjoint in their topics.
    known : dict of topic to texts
        All passages that answer a topic, in any language.
    rows : list of dict
        Rows of table ``bitext``, one for each source.
    """

    training: list[TrainingQuestion]
    held_out: list[TrainingQuestion]
    known: dict[str, frozenset[str]]
    rows: list[dict[str, Any]]


def load_questions(config: TeacherConfig, reporter: Reporter) -> Questions:
    """Read all sources, drop questions that the run is evaluated on, and hold out questions.

    Raises
    ------
    InputError
        If a source is missing, broken or empty, has no scores although the loss needs them, or nothing of it
        is left to train on.
    """
    sources = [read_questions(source) for source in config.sources]
    for source, found in zip(config.sources, sources, strict=True):
        if config.loss.score_kl and any(question.scores is None for question in found):
            raise InputError(
                "loss.score_kl needs a score for each passage, and some examples have none; add scores or "
                "set loss.score_kl to 0",
                path=source.path,
            )
    kept, rows = _without_evaluation(config, sources, reporter)
    if config.sampling.cross_lingual_share:
        kept += list(_crossed(config, kept))
    every = [question for found in kept for question in found]
    known: dict[str, set[str]] = {}
    for question in every:
        known.setdefault(question.topic, set()).update(question.passages[: question.answers])
    training, held_out = _set_aside(every, config.training.held_out)
    reporter.say(f"{counted(len(training), 'training question')} with passages, {len(held_out):,} held out")
    return Questions(training, held_out, {topic: frozenset(texts) for topic, texts in known.items()}, rows)


def _without_evaluation(
    config: TeacherConfig, sources: Sequence[Sequence[TrainingQuestion]], reporter: Reporter
) -> tuple[list[list[TrainingQuestion]], list[dict[str, Any]]]:
    """Return each source's questions that are not in the evaluation, and the rows of table ``bitext``."""
    evaluated = Sentences(
        sentence
        for collection_config in (config.collections if config.training.overlap == "drop" else [])
        for collection in load_collections(collection_config, config.seed)
        for sentence in evaluation_sentences(collection)
    )
    found: dict[tuple[str, str], Match] = {}
    if len(evaluated):
        sides: dict[str, dict[str, None]] = {}
        for question in (question for some in sources for question in some):
            for code, text in _sides(question):
                sides.setdefault(code, {})[text] = None
        reporter.stage("overlap with the evaluation", sum(map(len, sides.values())))
        for code, texts in sides.items():
            for text, match in zip(texts, evaluated.matches(code, texts), strict=True):
                if match is not None:
                    found[code, text] = match
                reporter.advance()
    kept, rows = [], []
    for source, questions in zip(config.sources, sources, strict=True):
        matches = [{found.get(side) for side in _sides(question)} - {None} for question in questions]
        left = [question for question, match in zip(questions, matches, strict=True) if not match]
        if not left:
            raise InputError(
                "every question, or the passage that answers it, is in what the run is evaluated on; choose "
                "other questions (start, stop), or set training.overlap = 'keep'",
                path=source.path,
            )
        dropped = Counter("in_evaluation" if "exact" in m else "near_evaluation" for m in matches if m)
        kept.append(left)
        rows.append(
            {
                "name": source.path,
                "source_language": left[0].language,
                "target_language": left[0].passage_language,
                "pairs": len(left),
                "dropped": json.dumps(dropped),
                "hash": _hash(left),
            }
        )
    total, gone = sum(map(len, sources)), sum(map(len, sources)) - sum(map(len, kept))
    if len(evaluated):
        reporter.say(
            f"{gone:,} of {total:,} questions dropped because they or their passages are in what the run is "
            "evaluated on (training.overlap)"
        )
    return kept, rows


def _crossed(
    config: TeacherConfig, kept: Sequence[Sequence[TrainingQuestion]]
) -> Iterable[list[TrainingQuestion]]:
    """Yield the questions of SQuAD-shaped sources with their answers in other languages."""
    monolingual = [
        question
        for source, found in zip(config.sources, kept, strict=True)
        if source.format == "squad" and not source.cross_lingual
        for question in found
    ]
    crossed = list(across(monolingual))
    if len({question.language for question in monolingual}) > 1 and not crossed:
        raise InputError(
            "no id is in the SQuAD-shaped files of two languages, so there are no cross-lingual pairs; leave "
            "sampling.cross_lingual_share out"
        )
    yield crossed


def _set_aside(
    questions: Sequence[TrainingQuestion], count: int
) -> tuple[list[TrainingQuestion], list[TrainingQuestion]]:
    """Hold out `count` topics, those with the smallest hash, with their questions in all languages.

    One question of each topic and pair of languages is held out; other questions of the topic are dropped.
    """
    topics = sorted(
        {question.topic for question in questions}, key=lambda topic: (sentence_key(topic), topic)
    )
    if count >= len(topics):
        raise InputError(
            f"cannot hold out {count:,} of {len(topics):,} questions and keep some to train on; lower "
            "training.held_out"
        )
    chosen = set(topics[:count])
    training = [question for question in questions if question.topic not in chosen]
    held = {(q.topic, *q.languages): q for q in reversed(questions) if q.topic in chosen}
    lost = {question.languages for question in questions} - {question.languages for question in training}
    if lost:
        pair = " to ".join(sorted(lost)[0])
        raise InputError(f"no question of {pair} is left to train on; lower training.held_out")
    return training, list(held.values())[::-1]


def _sides(question: TrainingQuestion) -> list[tuple[str, str]]:
    answers = [(question.passage_language, text) for text in question.passages[: question.answers]]
    return [(question.language, question.text), *answers]


def _hash(questions: Sequence[TrainingQuestion]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for question in questions:
        digest.update(f"{question.text}\t{question.passages}\t{question.scores}\n".encode())
    return digest.hexdigest()
