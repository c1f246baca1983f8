"""Figures that simple systems reach on the real collections: the protocols are right if these come out.

The systems are random vectors, and TF-IDF of character n-grams by scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from engine.collections.base import Collection
from engine.collections.lareqa import load_lareqa, load_lareqa_monolingual
from engine.collections.tatoeba import load_tatoeba
from engine.evaluation.protocols import Scores, evaluate_collection, relevant_documents, score_found
from engine.retrieval.topk import Found, find

pytestmark = pytest.mark.data


def lexical(collection: Collection, vectorizer: Any, documents: Sequence[str]) -> Scores:
    queries = vectorizer.transform([query.text for query in collection.queries])
    table = vectorizer.transform(documents).T.tocsr()
    relevant = relevant_documents(collection)
    parts = []
    for start in range(0, queries.shape[0], 1000):
        scores = (queries[start : start + 1000] @ table).toarray()
        parts.append(find(torch.from_numpy(scores), 20, relevant[start : start + 1000]))
    return score_found(collection, Found.join(parts), scoring="tfidf")


def tatoeba_accuracy(folder: Path, languages: Sequence[str]) -> dict[str, float]:
    """Accuracy in per cent of TF-IDF over character 2- to 4-grams, English to the other language."""
    accuracy = {}
    for collection in load_tatoeba(folder, languages, "en-xx"):
        documents = [document.text for document in collection.documents]
        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4))
        vectorizer.fit([query.text for query in collection.queries] + documents)
        scores = lexical(collection, vectorizer, documents)
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
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32)
    vectorizer.fit(texts(collection))
    scores = lexical(collection, vectorizer, texts(collection))
    assert scores.macro("mAP@20") == pytest.approx(cut, abs=5e-5)
    assert scores.macro("AP") == pytest.approx(whole, abs=5e-5)
    alone = [
        lexical(part, vectorizer, texts(part)).macro("mAP@20")
        for part in load_lareqa_monolingual(data_home / "xquad-r")
    ]
    assert np.mean(alone) == pytest.approx(own, abs=5e-4)
