"""Held-out retrieval of a teacher: held-out questions search the passages of each language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.bitext.split import sentence_key
from engine.collections.training_questions.question import TrainingQuestion
from engine.encoders.encoder import Encoder
from engine.extensions.scorings import SCORINGS
from engine.retrieval.blocks import dense_blocks, token_blocks
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import sentence_vectors, token_vectors
from engine.training.teaching.batches import Languages


@dataclass(frozen=True)
class HeldOutQuestions:
    """Held-out questions by pair of languages, and the passages of each language that they search.

    Attributes
    ----------
    questions : mapping of languages to questions
        Each topic is once in each pair.
    pools : mapping of language to texts
        Distinct passages.
    known : mapping of topic to texts
        All passages that answer a topic; other answers of a question do not lower its rank.
    scoring : str
        ``maxsim`` or ``dense``.
    precision : torch.dtype
        Number format of the encoder's matrix products.
    """

    questions: Mapping[Languages, Sequence[TrainingQuestion]]
    pools: Mapping[str, Sequence[str]]
    known: Mapping[str, frozenset[str]]
    scoring: str
    precision: torch.dtype

    def measure(self, encoder: Encoder) -> dict[str, float]:
        """Return the mean reciprocal rank of the answer for each pair of languages, and over the pairs.

        A passage with the same score as the answer counts as ranked above it.
        """
        figures: dict[str, float] = {}
        asked = {question.text: None for found in self.questions.values() for question in found}
        rows = {text: row for row, text in enumerate(asked)}
        queries = self._encode(encoder, list(asked), "query")
        for language, texts in self.pools.items():
            documents = self._encode(encoder, texts, "passage")
            places = {text: place for place, text in enumerate(texts)}
            for (asking, answering), found in self.questions.items():
                if answering != language:
                    continue
                scores = self._scores(queries, torch.tensor([rows[q.text] for q in found]), documents)
                name = asking if asking == answering else f"{asking}_{answering}"
                figures[f"held_out_rr_{name}"] = _reciprocal(scores, found, places, self.known)
        figures["held_out_rr"] = sum(figures.values()) / len(figures)
        return figures

    def _encode(self, encoder: Encoder, texts: Sequence[str], role: str) -> TokenStore | Tensor:
        tokens = SCORINGS[self.scoring].compares == "tokens"
        compute = token_vectors if tokens else sentence_vectors
        found: TokenStore | Tensor = compute(
            encoder, texts, "query" if role == "query" else "passage", batch_size=32, precision=self.precision
        )
        return found

    def _scores(self, queries: TokenStore | Tensor, rows: Tensor, documents: TokenStore | Tensor) -> Tensor:
        if isinstance(queries, Tensor) and isinstance(documents, Tensor):
            return torch.cat(list(dense_blocks(queries[rows], documents)))
        assert isinstance(queries, TokenStore) and isinstance(documents, TokenStore)
        return torch.cat(list(token_blocks(queries.select(rows), documents)))


def _reciprocal(
    scores: Tensor,
    questions: Sequence[TrainingQuestion],
    places: Mapping[str, int],
    known: Mapping[str, frozenset[str]],
) -> float:
    total = 0.0
    for row, question in zip(scores.cpu(), questions, strict=True):
        answers = [places[text] for text in known[question.topic] if text in places]
        best = float(row[answers].max())
        row[answers] = -torch.inf
        total += 1.0 / (1 + int((row >= best).sum()))
    return total / len(questions)


def make_pools(
    held: Sequence[TrainingQuestion], others: Sequence[TrainingQuestion], size: int
) -> dict[str, list[str]]:
    """Return, for each language of answers, the passages of held-out questions and others up to `size`.

    All languages together have `size` passages, the same number each, or those of the held-out questions if
    they are more. The others are drawn by hash, so that they depend only on the texts.
    """
    own: dict[str, dict[str, None]] = {}
    for question in held:
        own.setdefault(question.passage_language, {}).update(dict.fromkeys(question.passages))
    share = size // max(1, len(own))
    pools = {}
    for language, texts in own.items():
        more = {
            text
            for question in others
            if question.passage_language == language
            for text in question.passages
            if text not in texts
        }
        room = max(0, share - len(texts))
        pools[language] = [*texts, *sorted(more, key=lambda text: (sentence_key(text), text))[:room]]
    return pools
