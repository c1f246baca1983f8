"""Passages of collections, with the teacher's vectors, that losses over passages draw from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.collections.load import load_collections
from engine.config import DistilConfig
from engine.encoders.encoder import Encoder
from engine.errors import InputError
from engine.evaluation.runner import document_texts
from engine.extensions.losses import Passages
from engine.extensions.scorings import SCORINGS
from engine.reporting import Reporter
from engine.retrieval.tokens import TokenStore
from engine.retrieval.topk import Found
from engine.retrieval.vectors import Kind, vectors, vectors_folder
from engine.training.distillation.languages import LanguageSpaces
from engine.training.distillation.teacher_vectors import TeacherVectors

#: Of the candidates of `FirstPassages`: nearest passages of each held-out sentence, and others.
_NEAREST, _OTHERS = 3, 256


class PassagePool:
    """Passages and the teacher's vectors of them.

    Parameters
    ----------
    sentences : Tensor (P, H')
        Unit sentence vectors.
    tokens : TokenStore, optional
        Token vectors in half precision, where a loss needs them.
    nearest : int
        Number of passages taken for each query of a batch, the nearest by sentence vectors.
    random : int
        Number of passages drawn for a batch.
    scorings : sequence of str
        How losses score them.
    counts : dict of str to int
        Number of passages of each collection, for the run's record.
    hashes : sequence of str
        What they are, by which the saved state of other passages is refused.
    """

    def __init__(
        self,
        sentences: Tensor,
        tokens: TokenStore | None,
        *,
        nearest: int,
        random: int,
        scorings: Sequence[str] = ("maxsim",),
        counts: dict[str, int],
        hashes: Sequence[str] = (),
    ) -> None:
        self.sentences, self.tokens = sentences, tokens
        self.nearest, self.random = min(nearest, len(sentences)), min(random, len(sentences))
        self.scorings, self.counts, self.hashes = scorings, counts, hashes

    def __len__(self) -> int:
        """Return the number of passages."""
        return len(self.sentences)

    def draw(self, queries: Tensor, generator: np.random.Generator) -> Passages:
        """Return the passages of a batch, each once.

        Parameters
        ----------
        queries : Tensor (B, H')
            The teacher's sentence vectors of the queries' translations.
        generator : numpy.random.Generator
            Draws the random passages.
        """
        near = (queries @ self.sentences.T).topk(self.nearest, dim=1).indices.flatten()
        drawn = generator.choice(len(self), self.random, replace=False)
        return self.select(torch.from_numpy(np.union1d(near.numpy(), drawn)))

    def select(self, rows: Tensor) -> Passages:
        """Return the passages `rows` (P,)."""
        sentences = self.sentences[rows]
        if self.tokens is None:
            return Passages(sentences.new_zeros(len(rows), 0, 0), torch.zeros(len(rows), 0).bool(), sentences)
        tokens, mask = self.tokens.select(rows).padded()
        return Passages(tokens.float(), mask, sentences)


class FirstPassages:
    """How well a student finds the passages that the teacher ranks first for held-out sentences.

    The candidates are the nearest passages of all held-out sentences and some others, because a search of
    all passages at every measurement would take longer than the training.

    Parameters
    ----------
    pool : PassagePool
        The passages.
    vectors : TeacherVectors
        The teacher's vectors of English sentences.
    rows : sequence of int
        The held-out sentences among them.
    """

    def __init__(self, pool: PassagePool, vectors: TeacherVectors, rows: Sequence[int]) -> None:
        distinct = sorted(set(rows))
        found = vectors.of(distinct)
        queries = found.sentences
        near = (queries @ pool.sentences.T).topk(min(_NEAREST, len(pool)), dim=1).indices.flatten()
        others = np.linspace(0, len(pool) - 1, min(_OTHERS, len(pool))).astype(np.int64)
        candidates = torch.from_numpy(np.union1d(near.numpy(), others))
        self.place = {row: place for place, row in enumerate(distinct)}
        self.searches: list[tuple[str, Callable[..., Found], TokenStore | Tensor, Tensor]] = []
        none = torch.full((len(distinct), 1), -1)
        for scoring in pool.scorings:
            search = SCORINGS[scoring].resolve_search()
            asked: TokenStore | Tensor = queries
            documents: TokenStore | Tensor = pool.sentences[candidates]
            if SCORINGS[scoring].compares == "tokens":
                assert pool.tokens is not None
                asked, documents = found.store, pool.tokens.select(candidates)
            first = search(asked, documents, 1, none).indices
            self.searches.append((SCORINGS[scoring].compares, search, documents, first))

    def reciprocal_ranks(self, tokens: TokenStore, sentences: Tensor, rows: Sequence[int]) -> list[float]:
        """Return the reciprocal rank of the teacher's first passage for each query, the mean over scorings.

        Parameters
        ----------
        tokens, sentences : TokenStore, Tensor (N, H')
            The student's vectors of queries.
        rows : sequence of int
            The row of each query's translation in the teacher's vectors.
        """
        places = torch.tensor([self.place[row] for row in rows])
        total = torch.zeros(len(rows))
        for compares, search, documents, first in self.searches:
            asked = tokens if compares == "tokens" else sentences
            ranks = search(asked, documents, 1, first[places]).ranks[:, 0]
            total += torch.where(ranks > 0, 1.0 / ranks, 0.0)
        reciprocal: list[float] = (total / len(self.searches)).tolist()
        return reciprocal


def check_passages(config: DistilConfig) -> None:
    """Check that losses over passages have collections to take passages from.

    Presets name no data, so this is no check of the settings alone.

    Raises
    ------
    InputError
        If there is no collection.
    """
    used = list(config.loss.over_passages())
    if used and not config.passages and not config.collections:
        raise InputError(
            f"loss.{used[0]} needs passages to score; name a collection in [[passages]] or [[collections]]"
        )


def read_passages(
    config: DistilConfig,
    teacher: Encoder,
    precision: torch.dtype,
    reporter: Reporter,
    spaces: LanguageSpaces | None = None,
) -> PassagePool | None:
    """Read the passages that the losses of `config` need, and encode them; None if they need none.

    The vectors are those of the cache that evaluations use, without what `spaces` removes.

    Raises
    ------
    InputError
        If a collection is missing or broken, or the collections have fewer than two passages.
    """
    settings = list(config.loss.over_passages().values())
    if not settings:
        return None
    scorings = list(dict.fromkeys(scoring for own in settings for scoring in own.scoring))
    kinds: list[Kind] = ["sentences"]
    if any(SCORINGS[scoring].compares == "tokens" for scoring in scorings):
        kinds.append("tokens")
    sources, counts = passage_texts(config, max(own.limit for own in settings))
    sentences, tokens = [], []
    reporter.stage("passages", sum(len(source.texts) for source in sources))
    for source in sources:
        texts, role = source.texts, teacher.document_role(symmetric=source.symmetric)
        found = vectors(
            teacher,
            texts,
            role,
            kinds,
            precision=precision,
            cache=vectors_folder(),
            progress=reporter.advance,
        )
        if spaces is not None:
            found = {
                kind: spaces.of_documents(kind, role, one, source.languages) for kind, one in found.items()
            }
        # a passage without a counted token has no score
        kept = torch.tensor([bool(text.strip()) for text in texts])
        if isinstance(store := found.get("tokens"), TokenStore):
            kept &= store.lengths > 0
            tokens.append(store if kept.all() else store.select(kept.nonzero()[:, 0]))
        found_sentences = found["sentences"]
        assert isinstance(found_sentences, Tensor)
        sentences.append(found_sentences[kept])
    pool = PassagePool(
        torch.cat(sentences),
        tokens[0] if len(tokens) == 1 else TokenStore.concatenate(tokens) if tokens else None,
        nearest=max(own.nearest for own in settings),
        random=max(own.random for own in settings),
        scorings=scorings,
        counts=counts,
        hashes=[f"{name} {count}" for name, count in counts.items()],
    )
    if len(pool) < 2:
        raise InputError("the collections of passages have fewer than two that are not empty; name others")
    listed = ", ".join(f"{count:,} of {name}" for name, count in counts.items())
    reporter.say(f"scores over unlabelled passages: {listed}")
    return pool


ReadPassages = Callable[
    [DistilConfig, Encoder, torch.dtype, Reporter, LanguageSpaces | None], PassagePool | None
]
"""Reads and encodes the passages that the losses of a configuration need, as `read_passages`."""


class PassageTexts(NamedTuple):
    """The passages of a pool, their languages, and whether they are texts of the same kind as its queries."""

    texts: list[str]
    languages: list[str]
    symmetric: bool


def passage_texts(config: DistilConfig, limit: int) -> tuple[list[PassageTexts], dict[str, int]]:
    """Return the passages of each pool, at most `limit` of all, and their number by collection.

    Pools with the same documents, such as those of several directions, count once. The texts of a pool from
    which none is taken away are those that an evaluation encodes, so that its vectors are found again.
    """
    pools: dict[tuple[tuple[str, ...], bool], tuple[str, list[str]]] = {}
    for entry in config.passages or config.collections:
        for collection in load_collections(entry, config.seed):
            name = f"{collection.name} ({collection.revision})"
            texts = tuple(document_texts(collection, context=entry.context))
            languages = [document.language for document in collection.documents]
            pools.setdefault((texts, entry.reader.symmetric), (name, languages))
    total = sum(len(texts) for texts, _ in pools)
    share = min(1.0, limit / max(total, 1))
    generator = np.random.default_rng(config.seed)
    sources, counts = [], dict[str, int]()
    for (texts, symmetric), (name, languages) in pools.items():
        rows = np.arange(len(texts))
        if share < 1:
            rows = np.sort(generator.choice(len(texts), int(share * len(texts)), replace=False))
        sources.append(
            PassageTexts([texts[row] for row in rows], [languages[row] for row in rows], symmetric)
        )
        counts[name] = counts.get(name, 0) + len(rows)
    return sources, counts
