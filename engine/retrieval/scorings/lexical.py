"""Scorings of texts by the words or the characters that they share."""

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
