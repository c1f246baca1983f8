"""Explain the score of a document: which of its tokens each token of the query matches."""

from __future__ import annotations

from engine.errors import InputError
from engine.inspect.records import Match
from engine.inspect.search import Searcher
from engine.retrieval.maxsim import maxsim_explain


def explain(searcher: Searcher, text: str, document: str) -> list[Match]:
    """Return the best match of each counted token of a query in a document.

    The mean of the matches' scores is the document's MaxSim score.

    Parameters
    ----------
    searcher : Searcher
    text : str
        The query.
    document : str
        Id of a document in the searcher's pool, among the hits or not.

    Raises
    ------
    InputError
        As `Searcher.search`; also if there is no such document or none of its tokens counts.
    """
    query = searcher.encode_query(text)
    index = searcher.document_index(document)
    encoder = searcher.document_encoder
    (tokens,) = encoder.tokenize([searcher.texts[index]], "passage")
    pieces = encoder.pieces([i for i, counts in zip(tokens.ids, tokens.counted, strict=True) if counts])
    if not pieces:
        raise InputError(f"the document {document!r} has no token that counts, so it matches nothing")
    best, scores = maxsim_explain(query.vectors, searcher.vectors.documents[index].float())
    return [
        Match(piece, pieces[found], score)
        for piece, found, score in zip(query.pieces, best.tolist(), scores.tolist(), strict=True)
    ]
