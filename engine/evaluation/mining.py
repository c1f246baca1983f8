"""Bitext mining: which pairs of sentences does a system accept as translations?

Retrieval returns the best partner of each sentence, although it may have none. Mining also decides which
pairs are good enough. Pairs are scored by the ratio margin of Artetxe and Schwenk (2019, arXiv 1811.01136,
eq. 4)::

    margin(x, y) = s(x, y) / (mean of s(x, z) over the k nearest z + mean of s(z, y) over the k nearest z) * 2

with k = 4 and s the system's own score. As in LASER's "max" retrieval, each sentence of both sides proposes
its best partner on the other side. Proposals are accepted in descending order of their margin, and each
sentence is accepted once.

``MarginF1``, ``MarginP`` and ``MarginR`` are F1, precision and recall at the threshold with the highest F1.
LASER and XTREME choose this threshold on the labelled part of BUCC. Here it is chosen on the pairs that are
evaluated, so the values are upper bounds; compare them only with values of the same kind. ``F1`` is MTEB's F1
of bitext mining: nearest neighbours without a threshold, where each document is a class, averaged over the
classes by their frequency. Equal sentences among the queries count as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.collections.base import Collection
from engine.evaluation.language_score import LanguageScore
from engine.retrieval.blocks import dense_blocks, token_blocks
from engine.retrieval.stored import StoredTokens, Tokens
from engine.retrieval.tokens import TokenStore

PROTOCOL = "mining"
NEIGHBOURS = 4


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours in both directions.

    Attributes
    ----------
    document_scores, documents : Tensor of shape (N, k)
        Scores and indices of the documents nearest to each query, best first.
    query_scores, queries : Tensor of shape (M, k)
        Scores and indices of the queries nearest to each document, best first.
    """

    document_scores: Tensor
    documents: Tensor
    query_scores: Tensor
    queries: Tensor


def mine(
    collection: Collection, queries: TokenStore | Tensor, documents: Tokens | Tensor
) -> list[LanguageScore]:
    """Mine the pairs of each query language and compare them with the judgements.

    Parameters
    ----------
    collection : Collection
    queries, documents : TokenStore or Tensor
        As in `engine.evaluation.scores.evaluate_collection`.

    Returns
    -------
    list of LanguageScore
        ``MarginF1``, ``MarginP``, ``MarginR`` and ``F1`` of each query language. `queries` is the number of
        pairs to find; for ``F1`` it is the number of sentences.
    """
    scores = []
    place = {document.id: index for index, document in enumerate(collection.documents)}
    for code in collection.query_languages:
        texts: dict[str, int] = {}
        for index, query in enumerate(collection.queries):
            if query.language == code:
                texts.setdefault(query.text, index)
        rows = torch.tensor(list(texts.values()))
        gold = [
            {place[name] for name, grade in grades.items() if grade > 0 and name in place}
            for grades in (collection.judgements[collection.queries[row].id] for row in rows.tolist())
        ]
        chosen = queries.select(rows) if isinstance(queries, TokenStore) else queries[rows]
        near = nearest_both_ways(_blocks(chosen, documents), len(chosen), len(documents), NEIGHBOURS)
        f1, precision, recall = best_f1(mined_pairs(near), gold)
        pairs = sum(map(len, gold))
        # A query without counted tokens has no nearest document.
        nearest = torch.where(near.document_scores[:, 0] > -torch.inf, near.documents[:, 0], -2)
        weighted = nearest_neighbour_f1(nearest.tolist(), gold)
        for measure, value, count in (
            ("MarginF1", f1, pairs),
            ("MarginP", precision, pairs),
            ("MarginR", recall, pairs),
            ("F1", weighted, len(gold)),
        ):
            scores.append(
                LanguageScore(code, collection.document_language, measure, value, count, protocol=PROTOCOL)
            )
    return scores


def nearest_both_ways(blocks: Iterable[Tensor], rows: int, columns: int, k: int) -> Neighbours:
    """Return the `k` highest scores of every row and every column of a matrix given in blocks of rows.

    Besides one block, only the result is held in memory.

    Parameters
    ----------
    blocks : iterable of Tensor of shape (n, M)
        Consecutive rows of the matrix.
    rows, columns : int
        N and M.
    k : int
        At most this many of each row and column.
    """
    across, down = min(k, columns), min(k, rows)
    found_scores, found = [], []
    column_scores = torch.full((columns, down), -torch.inf)
    column_rows = torch.zeros(columns, down, dtype=torch.int64)
    start = 0
    for block in blocks:
        values, indices = block.cpu().float().topk(across, dim=1)
        found_scores.append(values)
        found.append(indices)
        values, indices = block.cpu().float().T.topk(min(down, len(block)), dim=1)
        both = torch.cat([column_scores, values], 1)
        column_scores, kept = both.topk(down, dim=1)
        column_rows = torch.cat([column_rows, indices + start], 1).gather(1, kept)
        start += len(block)
    return Neighbours(torch.cat(found_scores), torch.cat(found), column_scores, column_rows)


def mined_pairs(near: Neighbours) -> list[tuple[float, int, int]]:
    """Return the accepted pairs as (margin, query, document), best margin first."""
    from_queries = near.document_scores.mean(1)
    from_documents = near.query_scores.mean(1)
    forward = _margins(near.document_scores, from_queries[:, None], from_documents[near.documents])
    backward = _margins(near.query_scores, from_documents[:, None], from_queries[near.queries])
    proposals: dict[tuple[int, int], float] = {}
    for margins, partners, swapped in ((forward, near.documents, False), (backward, near.queries, True)):
        best, column = margins.max(1)
        chosen = partners.gather(1, column[:, None])[:, 0]
        for own, (margin, partner) in enumerate(zip(best.tolist(), chosen.tolist(), strict=True)):
            if margin > -np.inf:
                proposals[(partner, own) if swapped else (own, partner)] = margin
    mined: list[tuple[float, int, int]] = []
    queries: set[int] = set()
    documents: set[int] = set()
    for (query, document), margin in sorted(proposals.items(), key=lambda item: (-item[1], item[0])):
        if query not in queries and document not in documents:
            queries.add(query)
            documents.add(document)
            mined.append((margin, query, document))
    return mined


def best_f1(mined: list[tuple[float, int, int]], gold: list[set[int]]) -> tuple[float, float, float]:
    """Return the highest F1 over all thresholds on the margin, and its precision and recall.

    Parameters
    ----------
    mined : list of (margin, query, document)
        Best first.
    gold : list of sets of int
        The documents that are translations of each query.
    """
    total = sum(map(len, gold))
    best, correct = (0.0, 0.0, 0.0), 0
    for count, (margin, query, document) in enumerate(mined, 1):
        correct += document in gold[query]
        if count < len(mined) and mined[count][0] == margin:
            continue  # a threshold accepts all pairs of equal margin or none
        precision, recall = correct / count, correct / max(total, 1)
        f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
        best = max(best, (f1, precision, recall))
    return best


def nearest_neighbour_f1(predicted: list[int], gold: list[set[int]]) -> float:
    """Return F1 of nearest neighbours, where each document is a class, averaged by the classes' frequency.

    Parameters
    ----------
    predicted : list of int
        The nearest document of each query.
    gold : list of sets of int
        The translations of each query. Its class is the nearest document if that is a translation, else the
        first translation.
    """
    labels = [
        guess if guess in right else min(right, default=-1)
        for guess, right in zip(predicted, gold, strict=True)
    ]
    counts, guesses, hits = _counted(labels), _counted(predicted), dict.fromkeys(labels, 0)
    for guess, label in zip(predicted, labels, strict=True):
        hits[label] += guess == label
    score = sum(count * 2 * hits[label] / (count + guesses.get(label, 0)) for label, count in counts.items())
    return score / max(len(labels), 1)


def _counted(values: list[int]) -> Mapping[int, int]:
    found: dict[int, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return found


def _margins(scores: Tensor, own: Tensor, theirs: Tensor) -> Tensor:
    """Return ratio margins; -inf where the mean similarity of the neighbourhoods is not positive."""
    around = (own + theirs) / 2
    return torch.where((around > 0) & scores.isfinite(), scores / around, -torch.inf)


def _blocks(queries: TokenStore | Tensor, documents: Tokens | Tensor) -> Iterable[Tensor]:
    if isinstance(queries, TokenStore) and isinstance(documents, TokenStore | StoredTokens):
        return token_blocks(queries, documents)
    if isinstance(queries, Tensor) and isinstance(documents, Tensor):
        return dense_blocks(queries, documents)
    raise ValueError("queries and documents are token stores, or both are matrices")
