"""Searching a collection: documents that its rankings ignore, and texts that are empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.collections.base import Collection
from engine.retrieval.topk import Found

Search = Callable[[int, Tensor], Found]
"""Takes a depth and the documents whose ranks are asked for, (N, R) with -1 for none, and searches."""


def relevant_documents(collection: Collection) -> Tensor:
    """Return the indices of each query's relevant documents in the pool, (N, R) int64, -1 for none.

    Relevant documents that are not in the pool are omitted here and still count in every measure.
    """
    return _places(
        collection,
        [
            [document for document, grade in collection.judgements[query.id].items() if grade > 0]
            for query in collection.queries
        ],
    )


def search_collection(collection: Collection, search: Search, depth: int) -> Found:
    """Search a collection and return the first documents of each query, and the ranks of the relevant ones.

    Documents that the collection ignores for a query (`Collection.ignored`) are taken out of its ranking, and
    those below them move up. An empty query finds nothing, even if an encoder has a vector for it.

    Parameters
    ----------
    collection : Collection
    search : callable
        Searches all queries.
    depth : int
        Number of ranks that are kept for each query.
    """
    relevant = relevant_documents(collection)
    ignored = _places(collection, [collection.ignored.get(query.id, ()) for query in collection.queries])
    found = search(depth + ignored.shape[1], torch.cat([relevant, ignored], 1))
    if ignored.shape[1]:
        found = _without(found, relevant, ignored, depth)
    blank = [index for index, query in enumerate(collection.queries) if not query.text.strip()]
    if blank:
        scores, ranks = found.scores.clone(), found.ranks.clone()
        scores[blank], ranks[blank] = -torch.inf, 0
        found = Found(scores, found.indices, ranks)
    return found


def search_filled(
    collection: Collection, documents: Tensor, search: Callable[[Tensor, int, Tensor], Found]
) -> Search:
    """Return a search by sentence vectors that never finds an empty document.

    Parameters
    ----------
    collection : Collection
    documents : Tensor of shape (M, H)
        Vectors of its documents. An encoder has one for an empty text too.
    search : callable
        Takes vectors of documents, a depth and the documents whose ranks are asked for.
    """
    kept = torch.tensor(
        [
            index
            for index, document in enumerate(collection.documents)
            if document.text.strip() or document.context.strip()
        ],
        dtype=torch.int64,
    )
    if len(kept) == len(documents):
        return lambda depth, wanted: search(documents, depth, wanted)
    place = torch.full((len(documents) + 1,), -1, dtype=torch.int64)  # the last entry stands for index -1
    place[kept] = torch.arange(len(kept))

    def search_kept(depth: int, wanted: Tensor) -> Found:
        columns = min(depth, len(documents))
        if not len(kept):
            scores = torch.full((len(wanted), columns), -torch.inf)
            return Found(scores, torch.zeros_like(scores, dtype=torch.int64), torch.zeros_like(wanted))
        found = search(documents[kept.to(documents.device)], depth, place[wanted])
        lacking = columns - found.scores.shape[1]
        indices = kept.to(found.indices.device)[found.indices]
        return Found(
            torch.nn.functional.pad(found.scores, (0, lacking), value=-torch.inf),
            torch.nn.functional.pad(indices, (0, lacking)),
            found.ranks,
        )

    return search_kept


def _places(collection: Collection, rows: Sequence[Sequence[str]]) -> Tensor:
    """Return the indices in the pool of documents by id, (N, R) int64, -1 for none, unknown ids left out."""
    place = {document.id: index for index, document in enumerate(collection.documents)}
    known = [[place[document] for document in row if document in place] for row in rows]
    places = torch.full((len(known), max(map(len, known), default=0)), -1, dtype=torch.int64)
    for index, row in enumerate(known):
        places[index, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return places


def _without(found: Found, relevant: Tensor, ignored: Tensor, depth: int) -> Found:
    """Take the documents `ignored` out of rankings whose ranks are those of `relevant`, then of `ignored`."""
    device = found.ranks.device
    ranks, theirs = found.ranks[:, : relevant.shape[1]], found.ranks[:, relevant.shape[1] :]
    above = (theirs[:, None] > 0) & (theirs[:, None] < ranks[:, :, None])
    is_ignored = ((relevant[:, :, None] == ignored[:, None]) & (relevant[:, :, None] >= 0)).any(2).to(device)
    ranks = torch.where((ranks > 0) & ~is_ignored, ranks - above.sum(2), 0)
    out = ignored.to(found.indices.device)
    hit = (found.indices[:, :, None] == out[:, None]).any(2)
    scores, order = found.scores.masked_fill(hit, -torch.inf).sort(dim=1, descending=True, stable=True)
    return Found(scores[:, :depth], found.indices.gather(1, order)[:, :depth], ranks)
