"""Ask a run: type a query, see which documents it finds and which tokens brought them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from engine.collections.base import Collection, Document
from engine.collections.loading import load_collections
from engine.encoders.encoder import Encoder
from engine.errors import InputError, nearest
from engine.evaluation.opening import config_of, encoders_of
from engine.evaluation.runner import document_texts
from engine.languages import language as find_language
from engine.paths import cache_home
from engine.reporting import SILENT, Reporter
from engine.results.spool import RunFolder
from engine.retrieval.maxsim import maxsim_explain, search_maxsim
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import token_vectors


@dataclass(frozen=True)
class Hit:
    """A document that was found; `grade` is its judgement where the query is one of the collection's."""

    rank: int
    score: float
    document: Document
    grade: int | None


@dataclass(frozen=True)
class Match:
    """A query token and the document token it met: their pieces and their similarity."""

    query_token: str
    document_token: str
    score: float


class Searcher:
    """A run's encoders over one collection, kept ready for any number of queries.

    Parameters
    ----------
    run : RunFolder
        A finished run.
    collection : str, optional
        Name of one of the collections it was evaluated on; none takes the first.
    language : str
        ISO code of the language that queries come in; picks the pool where there is one a language.
    precision : torch.dtype
        Number format of the matrix products.
    """

    def __init__(
        self,
        run: RunFolder,
        collection: str | None,
        language: str,
        precision: torch.dtype,
        reporter: Reporter = SILENT,
    ) -> None:
        self.language = find_language(language).code
        self.collection, context = _choose(run, collection, self.language)
        self.student, teacher = encoders_of(run)
        config = config_of(run)
        by_student = config.kind == "distil" and config.evaluation.documents == "student"
        self.documents = self.student if by_student else teacher
        self.precision = precision
        self.texts = document_texts(self.collection, context=context)
        reporter.stage(f"{self.collection.name}: documents", len(self.texts))
        self.store: TokenStore = token_vectors(
            self.documents,
            self.texts,
            "passage",
            precision=precision,
            cache=cache_home() / "vectors",
            progress=reporter.advance,
        )
        self._known = {
            query.text: query.id for query in self.collection.queries if query.language == self.language
        }

    def search(self, text: str, k: int = 10) -> list[Hit]:
        """Return the `k` best documents for the query `text`; one without a token is never found.

        Raises
        ------
        InputError
            If the query has no token that counts.
        """
        vectors, mask, _ = self._encode(text)
        scores, indices = search_maxsim(vectors[None], mask[None], self.store, k)
        grades = self.collection.judgements.get(self._known.get(text, ""), {})
        found = zip(scores[0].tolist(), indices[0].tolist(), strict=True)
        hits = []
        for rank, (score, index) in enumerate(found, 1):
            document = self.collection.documents[index]
            if score > float("-inf"):
                hits.append(Hit(rank, score, document, grades.get(document.id)))
        return hits

    def explain(self, text: str, document: Document) -> list[Match]:
        """Return which token of `document` each counted token of the query met; their mean is the score."""
        vectors, mask, pieces = self._encode(text)
        index = next(i for i, found in enumerate(self.collection.documents) if found.id == document.id)
        (tokens,) = self.documents.tokenize([self.texts[index]], "passage")
        counted = [i for i, counts in zip(tokens.ids, tokens.counted, strict=True) if counts]
        best, scores = maxsim_explain(vectors[mask], self.store[index].float())
        names = self.documents.pieces(counted)
        return [
            Match(piece, names[found], score)
            for piece, found, score in zip(pieces, best.tolist(), scores.tolist(), strict=True)
        ]

    def _encode(self, text: str) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
        encoder: Encoder = self.student
        ((_, encoded),) = encoder.encode([text], "query", precision=self.precision)
        mask = encoded.mask[0]
        if not mask.any():
            raise InputError(f"the query {text!r} has no token that counts; type a word")
        return encoded.tokens[0], mask, encoder.pieces(encoded.ids[0][mask].tolist())


def _choose(run: RunFolder, name: str | None, language: str) -> tuple[Collection, bool]:
    config = config_of(run)
    labels = [entry.label or entry.name for entry in config.collections]
    if not labels:
        raise InputError("the run was evaluated on no collection; nothing to search", path=run.path)
    if name is not None and name not in labels:
        has = f"; it has {', '.join(labels)}"
        raise InputError(f"the run has no collection {name!r}{nearest(name, labels)}{has}")
    entry = config.collections[0 if name is None else labels.index(name)]
    loaded: Sequence[Collection] = load_collections(entry, config.seed)
    same = [collection for collection in loaded if language in collection.query_languages]
    return (same or loaded)[0], entry.context
