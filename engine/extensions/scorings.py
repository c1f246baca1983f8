"""Scorings: how documents are scored for a query. Figures are stored under the name of their scoring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from engine.registry import Registry, resolve_reference

VectorKind = Literal["tokens", "sentences"]
Compared = VectorKind | Literal["texts", "rankings"]


@dataclass(frozen=True)
class Scoring:
    """A way to score documents for a query.

    Scores of two scorings are never compared with each other or averaged. A run without an encoder has one
    scoring, so its figures may stand next to those of any scoring of the same queries.

    Parameters
    ----------
    name : str
        The name in settings and in stored figures.
    meaning : str
        One sentence for the documentation of the settings.
    compares : {"tokens", "sentences", "texts", "rankings"}
        What is compared: the token vectors of an encoder, its sentence vectors, the texts themselves, or the
        rankings of other runs.
    search : str or callable, optional
        The function that searches, or where it is, as ``module:function``. It is called as
        ``search(queries, documents, k, wanted, **settings)`` and returns an `engine.retrieval.topk.Found`.
        Queries and documents are two `TokenStore` objects for tokens, two matrices of shape (N, H) and
        (M, H) for sentences, and two sequences of str for texts. None for rankings, which are not searched.
    settings : tuple of str
        Settings of the run that `search` takes as keyword arguments, such as ``probes`` of ``[evaluation]``.
    first_stage : {"tokens", "sentences"}, optional
        Other vectors that `search` needs, to find candidates with. It takes them as the keyword argument
        ``first``, a tuple of the queries' and the documents'.
    exact : str, optional
        The scoring that gives the same scores without a first stage. It chooses the best step in a training.
    batch_scores : str or callable, optional
        The function that a retriever learns with, or where it is. It is called as
        ``batch_scores(queries, documents)`` with the encoded texts (`engine.encoders.encoder.Encoded`) and
        returns the scores (N, M), differentiable in both. None where the scoring cannot be trained.
    shares : str or callable, optional
        The function by which runs are fused, or where it is. It is called as ``shares(found, **settings)``
        with `engine.retrieval.fusion.Candidates` and returns the share (n, S) of each system in the score of
        each document, before weighting. None where the scoring does not fuse.
    prepare : str or callable, optional
        For texts and tokens: the function that prepares documents for single queries, or where it is. It is
        called as ``prepare(documents, **settings)``, with the documents' other vectors as ``first`` where
        there is a first stage. It returns an `engine.retrieval.lexical.SearchIndex` for texts and an
        `engine.retrieval.single.PreparedSearch` for tokens. None where single queries cannot be asked.
    translations : bool
        For texts: whether it uses translations of words, which a run learns from its bitext. `search` then
        also takes ``translations``, one `engine.lexicon.translations.WordTranslations` or None for
        each query, and `prepare` takes a single one.
    """

    name: str
    meaning: str
    compares: Compared
    search: str | Callable[..., Any] | None = None
    settings: tuple[str, ...] = ()
    batch_scores: str | Callable[..., Any] | None = None
    shares: str | Callable[..., Any] | None = None
    prepare: str | Callable[..., Any] | None = None
    translations: bool = False
    first_stage: VectorKind | None = None
    exact: str | None = None

    @property
    def kinds(self) -> tuple[VectorKind, ...]:
        """The kinds of an encoder's vectors that `search` needs."""
        own: tuple[VectorKind, ...] = ()
        if self.compares == "tokens" or self.compares == "sentences":
            own = (self.compares,)
        return own if self.first_stage is None else (*own, self.first_stage)

    @property
    def of_encoders(self) -> bool:
        """Whether the vectors of an encoder are compared; one run may then have several scorings."""
        return self.compares in ("tokens", "sentences")

    def resolve_search(self) -> Callable[..., Any]:
        """Return the function that searches; its module is imported now.

        Raises
        ------
        OpticalError
            If the function does not exist.
        """
        return _resolve(self.search)

    def resolve_batch_scores(self) -> Callable[..., Any]:
        """Return the function that a retriever learns with; its module is imported now.

        Raises
        ------
        OpticalError
            If the function does not exist.
        """
        return _resolve(self.batch_scores)

    def resolve_shares(self) -> Callable[..., Any]:
        """Return the function by which runs are fused; its module is imported now.

        Raises
        ------
        OpticalError
            If the function does not exist.
        """
        return _resolve(self.shares)

    def resolve_prepare(self) -> Callable[..., Any]:
        """Return the function that prepares documents; its module is imported now.

        Raises
        ------
        OpticalError
            If the function does not exist.
        """
        return _resolve(self.prepare)


def _resolve(function: str | Callable[..., Any] | None) -> Callable[..., Any]:
    assert function is not None
    found: Callable[..., Any] = resolve_reference(function) if isinstance(function, str) else function
    return found


SCORINGS: Registry[Scoring] = Registry(
    "scoring",
    Scoring,
    "engine.retrieval.scorings",
    "optical_workbench.scorings",
    first=(
        "maxsim",
        "maxsim-ivf",
        "maxsim-muvera",
        "dense",
        "dense-ivf",
        "bm25",
        "tfidf",
        "psq",
        "rrf",
        "zscore",
        "minmax",
    ),
)
"""All scorings, by name."""

ENCODER_SCORINGS = SCORINGS.select(lambda scoring: scoring.of_encoders)
"""Scorings that compare the vectors of an encoder."""

TRAINED_SCORINGS = SCORINGS.select(lambda scoring: scoring.of_encoders and scoring.batch_scores is not None)
"""Scorings that a retriever can be trained with."""

LEXICAL_SCORINGS = SCORINGS.select(lambda scoring: scoring.compares == "texts")
"""Scorings that compare texts, without an encoder."""

FUSED_SCORINGS = SCORINGS.select(lambda scoring: scoring.shares is not None)
"""Scorings that fuse the rankings of other runs."""

SHARED_SCORINGS = SCORINGS.select(lambda scoring: not scoring.of_encoders)
"""Scorings of runs without an encoder. Their figures are also shown in the tables of encoder scorings. A
name that is not registered, such as that of an uninstalled distribution, is not among them."""
