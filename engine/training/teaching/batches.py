"""Draw batches of questions with their passages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from engine.bitext.split import sample
from engine.collections.training_questions.question import TrainingQuestion
from engine.config.teacher import QuestionSampling
from engine.training.distillation.batches import endless
from engine.training.teaching.losses import Scored

Languages = tuple[str, str]


def shares(counts: Mapping[Languages, int], sampling: QuestionSampling) -> dict[Languages, float]:
    """Return the probability of each pair of languages: p ∝ n^α, with the configured cross-lingual share.

    Hybrid batches (Elmahdy et al. 2024, arXiv 2408.10536) mix monolingual and cross-lingual pairs in
    proportion to the size of their data; here the share is a setting.
    """
    share = sampling.cross_lingual_share
    if share is None:
        return _sample(counts, sampling.alpha)
    crossing = {pair: count for pair, count in counts.items() if pair[0] != pair[1]}
    monolingual = {pair: count for pair, count in counts.items() if pair[0] == pair[1]}
    found: dict[Languages, float] = {}
    for part, weight in ((monolingual, 1 - share), (crossing, share)):
        if weight:
            found |= {pair: weight * value for pair, value in _sample(part, sampling.alpha).items()}
    return found


def _sample(counts: Mapping[Languages, int], alpha: float) -> dict[Languages, float]:
    drawn = sample({"\t".join(pair): count for pair, count in counts.items()}, alpha)
    return {pair: drawn["\t".join(pair)] for pair in counts}


def draw_questions(
    questions: Mapping[Languages, Sequence[TrainingQuestion]],
    sampling: QuestionSampling,
    batch_size: int,
    seed: int,
) -> Iterator[list[TrainingQuestion]]:
    """Yield batches without end; within a pair of languages each question is used once before any again."""
    generator = np.random.default_rng(seed)
    probability = shares({pair: len(found) for pair, found in questions.items()}, sampling)
    pairs = list(probability)
    weights = np.array([probability[pair] for pair in pairs])
    orders = {pair: endless(len(questions[pair]), generator) for pair in pairs}
    while True:
        if sampling.batches == "one_pair":
            drawn = np.repeat(generator.choice(len(pairs), p=weights / weights.sum()), batch_size)
        else:
            drawn = generator.choice(len(pairs), size=batch_size, p=weights / weights.sum())
        yield [questions[pairs[place]][next(orders[pairs[place]])] for place in drawn]


def with_passages(
    batch: Sequence[TrainingQuestion],
    known: Mapping[str, frozenset[str]],
    negatives: int,
    generator: np.random.Generator,
) -> tuple[list[str], Scored]:
    """Return the distinct passages of a batch of questions, and which belong to which question.

    Parameters
    ----------
    batch : sequence of TrainingQuestion
    known : mapping of topic to texts
        All passages that answer a topic, in any language; they are no negatives of its questions.
    negatives : int
        Number of further passages of each question, if it has as many.
    generator : numpy Generator
        Draws the further passages, and one of several answers.
    """
    columns: dict[str, int] = {}
    chosen: list[list[int]] = []
    for question in batch:
        answer = int(generator.integers(question.answers)) if question.answers > 1 else 0
        others = np.arange(question.answers, len(question.passages))
        if len(others) > negatives:
            others = generator.choice(others, size=negatives, replace=False)
        chosen.append([answer, *others.tolist()])
        for place in chosen[-1]:
            columns.setdefault(question.passages[place], len(columns))
    width = max(map(len, chosen))
    own = torch.full((len(batch), width), -1)
    given = torch.zeros(len(batch), width) if all(q.scores is not None for q in batch) else None
    excluded = torch.zeros(len(batch), len(columns), dtype=torch.bool)
    for row, (question, places) in enumerate(zip(batch, chosen, strict=True)):
        own[row, : len(places)] = torch.tensor([columns[question.passages[place]] for place in places])
        if given is not None and question.scores is not None:
            given[row, : len(places)] = torch.tensor([question.scores[place] for place in places])
        for text in known[question.topic]:
            if text in columns:
                excluded[row, columns[text]] = True
    labels = own[:, 0].clone()
    excluded[torch.arange(len(batch)), labels] = False
    return list(columns), Scored(labels, excluded, own, given)
