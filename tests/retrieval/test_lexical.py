"""Words, BM25 and TF-IDF against plain formulas and other libraries, and lexical runs."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from engine.config import LexicalConfig, parse_config
from engine.errors import InputError
from engine.lexicon.words import words
from engine.results.run_folder import RunFolder
from engine.retrieval.lexical import SparseTexts, bm25, find_lexical, sparse_blocks, tfidf
from engine.runs.execute import execute

DOCUMENTS = ["the cat sat on the mat", "a dog and a cat", "birds sing", "", "the the the end"]
QUERIES = ["the cat", "cat cat dog", "nothing here", ""]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ma jiraan QUFAC, qandho?", ["ma", "jiraan", "qufac", "qandho"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs are marks, which \w does not match
        ("می\u200cخواهم", ["میخواهم"]),  # a joiner inside a word
        ("北京大学", ["北京", "京大", "大学"]),
        ("中 covid19病", ["中", "covid19", "病"]),
        ("ที่นี่", ["ที่นี่"]),  # two characters, each with its marks
        ("한국어 검색", ["한국어", "검색"]),  # Korean has spaces
        ("ｶﾀｶﾅ", ["カタ", "タカ", "カナ"]),
        ("ភាសា\u200bខ្មែរ", [*words("ភាសា"), *words("ខ្មែរ")]),  # a zero-width space separates words
        ("!? … —", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


@given(st.text(max_size=60))
def test_words_contain_the_letters_and_digits_of_a_text(text: str) -> None:
    found = words(text)
    assert all(word and not any(c.isspace() for c in word) for word in found)
    assert bool(found) >= any(character.isalnum() for character in text.casefold())


def plain_bm25(query: str, document: str, k1: float, b: float) -> float:
    """Lucene's formula, word by word."""
    pool = [text.split() for text in DOCUMENTS]
    mean = sum(map(len, pool)) / len(pool)
    counts = Counter(document.split())
    score = 0.0
    for word in query.split():
        frequency = sum(word in other for other in pool)
        if counts[word]:
            idf = math.log(1 + (len(pool) - frequency + 0.5) / (frequency + 0.5))
            length = 1 - b + b * len(document.split()) / mean
            score += idf * counts[word] / (counts[word] + k1 * length)
    return score


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (2.0, 0.0), (1.5, 1.0)])
def test_bm25_is_the_formula(k1: float, b: float) -> None:
    found = torch.cat([*sparse_blocks(bm25(QUERIES, DOCUMENTS, k1=k1, b=b))])
    expected = [[plain_bm25(query, document, k1, b) for document in DOCUMENTS] for query in QUERIES]
    assert found.numpy() == pytest.approx(np.array(expected), abs=1e-6)


def test_texts_without_words_are_never_found() -> None:
    for texts in (
        bm25(["a", "?"], ["!", "..."], k1=0.9, b=0.4),
        tfidf(["a", "?"], ["", " "], shortest=3, longest=5, sublinear=False),
        bm25(["?"], ["word"], k1=0.9, b=0.4),
    ):
        found = find_lexical(texts, 2, torch.zeros(texts.queries.shape[0], 1, dtype=torch.int64))
        assert (found.scores == -torch.inf).all() and not found.ranks.any()


@pytest.mark.parametrize("sublinear", [False, True])
def test_tfidf_is_the_cosine_of_weighted_counts(sublinear: bool) -> None:
    """By hand, from the n-grams that scikit-learn's analyser cuts."""
    texts = tfidf(QUERIES, DOCUMENTS, shortest=2, longest=3, sublinear=sublinear)
    cut = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3)).build_analyzer()
    grams = [Counter(cut(text)) for text in DOCUMENTS]

    def vector(text: str) -> dict[str, float]:
        weighted = {}
        for gram, count in Counter(cut(text)).items():
            frequency = sum(gram in other for other in grams)
            if frequency:
                idf = math.log((1 + len(grams)) / (1 + frequency)) + 1
                weighted[gram] = (1 + math.log(count) if sublinear else count) * idf
        norm = math.hypot(*weighted.values()) or 1.0
        return {gram: weight / norm for gram, weight in weighted.items()}

    rows = [[sum(vector(q).get(g, 0) * w for g, w in vector(d).items()) for d in DOCUMENTS] for q in QUERIES]
    assert torch.cat([*sparse_blocks(texts)]).numpy() == pytest.approx(np.array(rows), abs=1e-6)


def test_blocks_change_nothing_and_keep_memory_bounded() -> None:
    generator = np.random.default_rng(0)
    texts = SparseTexts(
        sparse.random(70, 300, 0.05, "csr", np.float32, random_state=generator),
        sparse.random(500, 300, 0.05, "csr", np.float32, random_state=generator),
    )
    dense = torch.from_numpy(texts.queries.toarray() @ texts.documents.toarray().T)
    budget = 12 * 500 * 8
    blocks = [*sparse_blocks(texts, block_bytes=budget)]
    assert max(len(block) for block in blocks) == 8 and torch.cat(blocks).allclose(dense, atol=1e-6)
    wanted = torch.arange(70)[:, None]
    found = find_lexical(texts, 500, wanted, block_bytes=budget)
    score = dense.gather(1, wanted)
    above = (dense > score + 1e-6).sum(1)
    assert torch.equal(found.ranks[:, 0] > 0, score[:, 0] > 0)
    hit = found.ranks[:, 0] > 0
    assert torch.equal(found.ranks[hit, 0], above[hit] + 1)
    assert torch.equal((found.scores > -torch.inf).sum(1), (dense > 0).sum(1))


def settings(tiny: Any, **changes: Any) -> dict[str, Any]:
    test = [{"path": str(tiny.test[code]), "language": code} for code in ("sw", "mr")]
    return {
        "kind": "lexical",
        "name": "floor",
        "collections": [{"name": "bitext", "bitext": test}],
        **changes,
    }


def test_a_lexical_run_stores_the_tables_of_every_run(tiny: Any, tmp_path: Path) -> None:
    """Ciphers share all letters with English, but no words."""
    run, (scores,) = execute(parse_config(settings(tiny)), tmp_path / "runs", ["test"])
    assert scores.scoring == "bm25" and scores.macro("RR") == 0
    assert not any(scores.ranking.document_ids)
    assert RunFolder.open(run.path).record["state"] == "finished"
    run, (scores,) = execute(
        parse_config(settings(tiny, method="tfidf", shortest=1, longest=1)), tmp_path / "runs", ["test"]
    )
    assert scores.scoring == "tfidf" and scores.macro("RR") == 1  # backwards, the letters are the same
    assert {path.stem for path in run.path.glob("*.parquet")} == {
        "texts",
        "scores",
        "query_scores",
        "rankings",
    }


def test_impossible_settings_are_refused(tiny: Any) -> None:
    with pytest.raises(InputError, match="shortest = 6 is above longest = 5"):
        parse_config(settings(tiny, shortest=6))
    mining = [{**settings(tiny)["collections"][0], "mining": True}]
    with pytest.raises(InputError, match="compares vectors, and a lexical run has none"):
        parse_config(settings(tiny, collections=mining))
    assert isinstance(parse_config(settings(tiny)), LexicalConfig)
