"""MaxSim search in two stages: a fast search finds candidates, and MaxSim scores them."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.retrieval.inverted import InvertedLists, found_ranks
from engine.retrieval.screening import exact_scores
from engine.retrieval.stored import Tokens
from engine.retrieval.tokens import TokenStore
from engine.retrieval.topk import Found, top_k


@torch.no_grad()
def best_among(queries: TokenStore, documents: Tokens, candidates: Tensor, k: int, wanted: Tensor) -> Found:
    """Return the `k` documents with the highest MaxSim scores among the candidates of each query.

    Scores are exact, and equal ones keep the lower document first; only documents can be missing.

    Parameters
    ----------
    queries : TokenStore
        N queries.
    documents : TokenStore or StoredTokens
        M documents.
    candidates : Tensor of shape (N, C), int64
        Documents of each query, -1 for none.
    k : int
        At most M documents are returned.
    wanted : Tensor of shape (N, R), int64
        Documents whose ranks are returned too, -1 for none. A document that is not among the `k` has rank 0,
        because its rank is not known.
    """
    k, wanted = min(k, len(documents)), wanted.cpu()
    scores = torch.full((len(queries), k), -torch.inf)
    indices = torch.zeros(len(queries), k, dtype=torch.int64)
    for row, found in enumerate(candidates):
        some = found[found >= 0].sort().values  # so that ties keep the lower document first
        if not k or not len(some) or not len(queries[row]):
            continue
        values, places = top_k(exact_scores(queries[row], documents, some).cpu()[None], k)
        scores[row, : values.shape[1]] = values[0]
        indices[row, : values.shape[1]] = some[places[0]]
    return Found(scores, indices, found_ranks(scores, indices, wanted))


def find_after_lists(
    queries: TokenStore,
    documents: Tokens,
    k: int,
    wanted: Tensor,
    *,
    first: tuple[Tensor, Tensor],
    probes: int,
    candidates: int,
) -> Found:
    """Return what MaxSim finds among the candidates of inverted lists; see `best_among`.

    Parameters
    ----------
    queries, documents, k, wanted
        As in `best_among`.
    first : tuple of Tensor
        Sentence vectors of the queries (N, H') and of the documents (M, H').
    probes : int
        Number of lists that are searched for candidates.
    candidates : int
        Number of documents of each query that are scored; at least `k` are.

    Raises
    ------
    DivergedError
        When a vector is not a number.
    """
    asked, searched = first
    nothing = torch.empty(len(queries), 0, dtype=torch.int64)
    found = InvertedLists(searched).find(asked, max(candidates, k), nothing, probes=probes)
    among = torch.where(found.scores > -torch.inf, found.indices, -1)
    return best_among(queries, documents, among, k, wanted)
