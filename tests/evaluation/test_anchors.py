"""Figures that simple systems reach on the real collections: the protocols are right if these come out.

The systems are random vectors, and our TF-IDF of character n-grams; the figures are scikit-learn's alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.collections.base import Collection
from engine.collections.lareqa import load_lareqa, load_lareqa_monolingual
from engine.collections.tatoeba import load_tatoeba
from engine.evaluation.scores import Scores, evaluate_collection, score_found
from engine.evaluation.searching import relevant_documents
from engine.retrieval.lexical import sparse_blocks, tfidf
from engine.retrieval.topk import Found, find

pytestmark = pytest.mark.data


def lexical(
    collection: Collection, documents: Sequence[str], background: Sequence[str], **settings: Any
) -> Scores:
    """Search as a lexical run does, but that a document without a common n-gram stands where it stands."""
    queries = [query.text for query in collection.queries]
    texts = tfidf(queries, documents, background=background, **settings)
    relevant = relevant_documents(collection)
    parts, start = [], 0
    for scores in sparse_blocks(texts):
        parts.append(find(scores, 20, relevant[start : start + len(scores)]))
        start += len(scores)
    return score_found(collection, Found.join(parts), scoring="tfidf")


def tatoeba_accuracy(folder: Path, languages: Sequence[str]) -> dict[str, float]:
    """Accuracy in per cent of TF-IDF over character 2- to 4-grams, English to the other language."""
    accuracy = {}
    for collection in load_tatoeba(folder, languages, "en-xx"):
        documents = [document.text for document in collection.documents]
        background = [query.text for query in collection.queries] + documents
        scores = lexical(collection, documents, background, shortest=2, longest=4, sublinear=False)
        accuracy[collection.document_language] = 100 * scores.macro("Success@1")
    return accuracy


def test_tatoeba_by_character_ngrams(data_home: Path) -> None:
    accuracy = tatoeba_accuracy(data_home / "tatoeba", ["de", "sw", "tl", "mr"])
    assert accuracy == pytest.approx({"de": 25.7, "sw": 12.8, "tl": 13.3, "mr": 0.7}, abs=0.05)


@pytest.mark.slow
def test_tatoeba_mean_of_41_languages(data_home: Path) -> None:
    accuracy = tatoeba_accuracy(data_home / "tatoeba", ())
    assert len(accuracy) == 41 and np.mean(list(accuracy.values())) == pytest.approx(8.90, abs=0.005)


def test_lareqa_by_random_vectors(data_home: Path) -> None:
    """In random order AP is ``((R-1)/(M-1) (M - H) + H) / M`` for R of M relevant, H the M-th harmonic."""
    collection = load_lareqa(data_home / "xquad-r", ["de", "th"])
    generator = torch.Generator().manual_seed(0)
    queries, documents = (
        torch.randn(count, 16, generator=generator)
        for count in (len(collection.queries), len(collection.documents))
    )
    scores = evaluate_collection(collection, queries, documents, scoring="dense", depth=20)
    count, relevant = 13_014, 11
    harmonic = float(np.sum(1 / np.arange(1, count + 1)))
    expected = ((relevant - 1) / (count - 1) * (count - harmonic) + harmonic) / count
    assert expected == pytest.approx(0.0015, abs=5e-5)
    assert scores.macro("AP") == pytest.approx(expected, abs=3e-4)
    assert scores.macro("mAP@20") == pytest.approx(0.0002, abs=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("context", "cut", "whole", "own"), [(False, 0.0955, 0.1027, 0.742), (True, 0.0867, 0.0934, 0.772)]
)
def test_lareqa_by_character_ngrams(
    data_home: Path, context: bool, cut: float, whole: float, own: float
) -> None:
    def texts(collection: Collection) -> list[str]:
        return [
            f"{document.text} {document.context}" if context else document.text
            for document in collection.documents
        ]

    collection = load_lareqa(data_home / "xquad-r")
    recipe: dict[str, Any] = {"shortest": 3, "longest": 5, "sublinear": True}
    scores = lexical(collection, texts(collection), texts(collection), **recipe)
    assert scores.macro("mAP@20") == pytest.approx(cut, abs=5e-5)
    assert scores.macro("AP") == pytest.approx(whole, abs=5e-5)
    alone = [
        lexical(part, texts(part), texts(collection), **recipe).macro("mAP@20")
        for part in load_lareqa_monolingual(data_home / "xquad-r")
    ]
    assert np.mean(alone) == pytest.approx(own, abs=5e-4)
