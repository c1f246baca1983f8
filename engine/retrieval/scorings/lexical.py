"""Scorings of texts by the words or the characters that they share, or by translations of words."""

from engine.extensions.scorings import Scoring

BM25 = Scoring(
    name="bm25",
    meaning="BM25 over words, or over pairs of characters in scripts without spaces",
    compares="texts",
    search="engine.retrieval.lexical:find_bm25",
    prepare="engine.retrieval.lexical:bm25_index",
    settings=("k1", "b"),
)

TFIDF = Scoring(
    name="tfidf",
    meaning="cosine of TF-IDF vectors over character n-grams inside words",
    compares="texts",
    search="engine.retrieval.lexical:find_tfidf",
    prepare="engine.retrieval.lexical:tfidf_index",
    settings=("shortest", "longest", "sublinear"),
)

PSQ = Scoring(
    name="psq",
    meaning="BM25 with the expected counts of the translations of a word, which are learnt from `bitext`",
    compares="texts",
    search="engine.retrieval.psq:find_psq",
    prepare="engine.retrieval.psq:psq_index",
    settings=("k1", "b", "same_word"),
    translations=True,
)
