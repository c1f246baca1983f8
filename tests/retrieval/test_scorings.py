"""Every registered scoring searches as its declaration says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engine.config import EvaluationConfig, LexicalConfig
from engine.extensions.scorings import (
    ENCODER_SCORINGS,
    LEXICAL_SCORINGS,
    SCORINGS,
    SHARED_SCORINGS,
    TRAINED_SCORINGS,
)
from engine.retrieval.tokens import TokenStore

DOCUMENTS, QUERIES = 12, 4


def encoded(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Unit token vectors, their mask, and unit sentence vectors."""
    generator = torch.Generator().manual_seed(seed)
    tokens, sentences = (
        torch.randn(count, 5, 8, generator=generator),
        torch.randn(count, 6, generator=generator),
    )
    mask = torch.arange(5) < torch.randint(1, 6, (count, 1), generator=generator)
    normalize = torch.nn.functional.normalize
    return normalize(tokens, dim=-1), mask, normalize(sentences, dim=-1)


def best(scores: np.ndarray) -> list[list[int]]:
    order: list[list[int]] = np.argsort(-scores, axis=1, kind="stable").tolist()
    return order


@pytest.mark.parametrize("name", list(ENCODER_SCORINGS))
def test_scorings_of_encoders_search_the_vectors_that_they_declare(name: str) -> None:
    scoring = SCORINGS[name]
    (tokens, mask, sentences), (others, other_mask, other_sentences) = (
        encoded(QUERIES, 1),
        encoded(DOCUMENTS, 2),
    )
    sides: dict[str, tuple[Any, Any]] = {
        "tokens": (TokenStore.from_padded(tokens, mask), TokenStore.from_padded(others, other_mask)),
        "sentences": (sentences, other_sentences),
    }
    late = np.array(
        [
            [float((q[m] @ d[n].T).amax(1).mean()) for d, n in zip(others, other_mask, strict=True)]
            for q, m in zip(tokens, mask, strict=True)
        ]
    )
    expected = {"tokens": late, "sentences": (sentences @ other_sentences.T).numpy()}[scoring.compares]
    settings: dict[str, Any] = dict.fromkeys(
        scoring.settings, DOCUMENTS
    )  # all inverted lists, all candidates
    if scoring.first_stage is not None:
        settings["first"] = sides[scoring.first_stage]
    wanted = torch.tensor([[0]] * QUERIES)
    found = scoring.resolve_search()(*sides[scoring.compares], 5, wanted, **settings)
    assert found.indices.tolist() == [row[:5] for row in best(expected)]
    np.testing.assert_allclose(found.scores, -np.sort(-expected, axis=1)[:, :5], atol=1e-5)
    places = [row.index(0) + 1 for row in best(expected)]
    assert all(rank in (0, place) for rank, place in zip(found.ranks[:, 0].tolist(), places, strict=True))


@pytest.mark.parametrize("name", list(TRAINED_SCORINGS))
def test_a_retriever_learns_with_the_scores_that_are_searched(name: str) -> None:
    (tokens, mask, sentences), (others, other_mask, other_sentences) = (
        encoded(QUERIES, 1),
        encoded(DOCUMENTS, 2),
    )
    queries: Any = SimpleNamespace(
        tokens=tokens.requires_grad_(), mask=mask, sentences=sentences.requires_grad_()
    )
    documents: Any = SimpleNamespace(tokens=others, mask=other_mask, sentences=other_sentences)
    scores = SCORINGS[name].resolve_batch_scores()(queries, documents)
    sides: dict[str, tuple[Any, Any]] = {
        "tokens": (TokenStore.from_padded(tokens, mask), TokenStore.from_padded(others, other_mask)),
        "sentences": (sentences, other_sentences),
    }
    nothing = torch.empty(QUERIES, 0, dtype=torch.int64)
    found = SCORINGS[name].resolve_search()(*sides[SCORINGS[name].compares], DOCUMENTS, nothing)
    torch.testing.assert_close(scores.gather(1, found.indices), found.scores, atol=1e-5, rtol=0.0)
    scores.sum().backward()
    assert any(side.grad is not None and side.grad.any() for side in (tokens, sentences))


@pytest.mark.parametrize("name", list(LEXICAL_SCORINGS))
def test_lexical_scorings_find_the_text_that_shares_words(name: str) -> None:
    scoring = SCORINGS[name]
    config = LexicalConfig.model_construct()
    texts = ["the river is wide", "a stone bridge", "bread and salt"]
    settings = {setting: getattr(config, setting) for setting in scoring.settings}
    if scoring.translations:
        settings["translations"] = [None, None]
    found = scoring.resolve_search()(
        ["bridges of stone", "zzz"], texts, 3, torch.tensor([[1], [1]]), **settings
    )
    assert found.indices[0, 0] == 1 and found.ranks.tolist() == [[1], [0]]
    assert (found.scores[1] == -torch.inf).all()


def test_scorings_of_encoders_and_scorings_of_other_runs_are_apart() -> None:
    assert not set(ENCODER_SCORINGS) & set(SHARED_SCORINGS)
    assert {*ENCODER_SCORINGS, *SHARED_SCORINGS} == set(SCORINGS)
    assert set(TRAINED_SCORINGS) <= set(ENCODER_SCORINGS) and set(LEXICAL_SCORINGS) <= set(SHARED_SCORINGS)
    for name in SHARED_SCORINGS:
        with pytest.raises(ValueError, match=f"not '{name}'|Input should be"):
            EvaluationConfig(scoring=[name])
    assert EvaluationConfig(scoring=list(ENCODER_SCORINGS)).scoring == list(ENCODER_SCORINGS)
