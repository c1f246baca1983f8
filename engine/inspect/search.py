"""Ask a run: type a query, see which documents it finds and which tokens brought them up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from engine.collections.base import Collection
from engine.collections.human_translations import human_translations
from engine.config import CollectionConfig, RunConfig
from engine.config.translation import GOLD
from engine.encoders.components import remove_components
from engine.errors import InputError, nearest
from engine.evaluation.finished_run import encoders_config_of, saved_encoders
from engine.evaluation.language_removal import COMPONENTS_FILE, LanguageComponents, place_of
from engine.evaluation.runner import document_texts
from engine.inspect.cache import Shelf
from engine.inspect.records import Hit, Match
from engine.inspect.typed_text import typed
from engine.languages import language as find_language
from engine.languages import same_language
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.maxsim import maxsim_explain


class Searcher:
    """A run's encoders over one of its pools of documents, ready for any number of queries.

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
    pool : int, optional
        Which of the collection's pools, counted from zero; none takes the first for queries in `language`.
    shelf : Shelf, optional
        Has what was loaded before, and keeps what is loaded now.
    """

    def __init__(
        self,
        run: RunFolder,
        collection: str | None,
        language: str,
        precision: torch.dtype,
        reporter: Reporter = SILENT,
        *,
        pool: int | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        shelf = shelf or Shelf()
        config = encoders_config_of(run)
        student, teacher = saved_encoders(run)
        self.language = find_language(language).code
        self._translation = config.translation if config.kind == "evaluate" else None
        self.collection, entry = choose_pool(config, collection, self.language, pool, shelf)
        self.student = shelf.encoder(student, reporter)
        by_student = config.evaluation.documents == "student"
        self.documents = self.student if by_student else shelf.encoder(teacher, reporter)
        self.precision = precision
        self.texts = document_texts(self.collection, context=entry.context)
        self._removed, isolate = None, None
        if config.kind == "evaluate" and config.language_components:
            if "maxsim" not in config.evaluation.scoring:
                raise InputError(
                    f"run {run.id!r} has languages' components of dense vectors alone, and is asked by its "
                    "token vectors; choose a run that was evaluated by maxsim"
                )
            components = LanguageComponents(config.language_components, run.checkpoints / COMPONENTS_FILE)
            self._removed = components.of(place_of(self.collection, "maxsim", "query"), self.language)
            isolate = partial(
                components.remove_from_tokens,
                place_of(self.collection, "maxsim", "passage"),
                languages=[document.language for document in self.collection.documents],
            )
        self.search_in = shelf.documents(
            self.documents,
            self.texts,
            precision,
            self.collection.name,
            reporter,
            changed=None if isolate is None else (f"{run.id} {self.collection.name}", isolate),
        )
        self._shelf, self._entry, self._seed = shelf, entry, config.seed
        self._gold: dict[str, str] | None = None
        self._known = {
            " ".join(query.text.split()): query.id
            for query in self.collection.queries
            if query.language == self.language
        }

    @property
    def translates(self) -> bool:
        """Whether the run translates queries in this language."""
        config = self._translation
        return config is not None and not same_language(self.language, config.target_language)

    def judgements(self, text: str) -> Mapping[str, int] | None:
        """Return the grades of documents for the query `text`, None if it is none of the collection's."""
        known = self._known.get(" ".join(text.split()))
        return None if known is None else self.collection.judgements.get(known, {})

    def search(self, text: str, k: int = 10) -> list[Hit]:
        """Return the `k` best documents for the query `text`; one without a token is never found.

        Raises
        ------
        InputError
            If the query has no token that counts, is too long or holds control characters.
        """
        vectors, _ = self._encode(text)
        scores, indices = self.search_in.search(vectors, k)
        grades = self.judgements(text) or {}
        hits = []
        for rank, (score, index) in enumerate(zip(scores.tolist(), indices.tolist(), strict=True), 1):
            document = self.collection.documents[index]
            if score > float("-inf"):
                grade = grades.get(document.id)
                hits.append(Hit(rank, score, document.id, document.text, document.language, grade))
        return hits

    def explain(self, text: str, document: str) -> list[Match]:
        """Return which token of the document of id `document` each counted token of the query met.

        The mean of the products is the document's score.

        Raises
        ------
        InputError
            As `search`; also if there is no such document or none of its tokens counts.
        """
        vectors, pieces = self._encode(text)
        index = self.place(document)
        (tokens,) = self.documents.tokenize([self.texts[index]], "passage")
        names = self.documents.pieces(
            [i for i, counts in zip(tokens.ids, tokens.counted, strict=True) if counts]
        )
        if not names:
            raise InputError(f"no token of the document {document!r} counts, so nothing is met in it")
        best, scores = maxsim_explain(vectors, self.search_in.documents[index].float())
        return [
            Match(piece, names[found], score)
            for piece, found, score in zip(pieces, best.tolist(), scores.tolist(), strict=True)
        ]

    def place(self, document: str) -> int:
        """Return the index of the document of id `document`.

        Raises
        ------
        InputError
            If there is none.
        """
        for index, one in enumerate(self.collection.documents):
            if one.id == document:
                return index
        raise InputError(f"the collection {self.collection.name!r} has no document {document!r}")

    def too_long(self, text: str) -> bool:
        """Tell whether the end of the query `text` is cut off, because it has more tokens than are taken."""
        config = self.student.config
        whole = config.query_prefix + self.searched_for(text)
        pieces = self.student.tokenizer(whole, verbose=False)["input_ids"]
        return len(pieces) > config.query_length

    def searched_for(self, text: str) -> str:
        """Return what is searched for instead of `text`: its translation, if the run translates queries.

        Raises
        ------
        InputError
            As `search`; also if the run's translations are human and `text` is no query of the collection.
        """
        text, config = typed(text), self._translation
        if config is None or not self.translates:
            return text
        if config.checkpoint != GOLD:
            return self._shelf.translator(config).translate([text], self.language)[0]
        if self._gold is None:
            texts = human_translations(self.collection, self._entry, config.target_language, self._seed)
            ids = [query.id for query in self.collection.queries]
            self._gold = dict(zip(ids, texts, strict=True))
        if (known := self._known.get(text)) is None:
            raise InputError(
                "the run searches for human translations, which only the collection's own queries have; "
                "choose one of those, or a run with a translation.checkpoint"
            )
        return self._gold[known]

    def _encode(self, text: str) -> tuple[torch.Tensor, list[str]]:
        """Return the vectors (Q, H) of the query's tokens that count, and their pieces."""
        ((_, encoded),) = self.student.encode([self.searched_for(text)], "query", precision=self.precision)
        mask = encoded.mask[0]
        if not mask.any():
            raise InputError(f"the query {text!r} has no token that counts; type a word")
        tokens = encoded.tokens[0][mask]
        if self._removed is not None:
            tokens = remove_components(tokens, self._removed)
        return tokens, self.student.pieces(encoded.ids[0][mask].tolist())


def pools_of(config: RunConfig, shelf: Shelf) -> list[tuple[str, int, Collection]]:
    """Return all pools that a run was evaluated on, with the name and number they are chosen by.

    Raises
    ------
    InputError
        If a collection is missing or broken.
    """
    return [
        (entry.label or entry.name, number, pool)
        for entry in config.collections
        for number, pool in enumerate(shelf.collections(entry, config.seed))
    ]


def choose_pool(
    config: RunConfig, name: str | None, language: str, pool: int | None, shelf: Shelf
) -> tuple[Collection, CollectionConfig]:
    """Return a pool of the collection `name` and the collection's configuration.

    Without a number it is the first pool for queries in `language`, or else the first of all.

    Raises
    ------
    InputError
        If the run has no such collection or pool.
    """
    labels = [entry.label or entry.name for entry in config.collections]
    if not labels:
        raise InputError(f"run {config.name!r} was evaluated on no collection, so there is nothing to search")
    if name is not None and name not in labels:
        has = f"; it has {', '.join(labels)}"
        raise InputError(f"the run has no collection {name!r}{nearest(name, labels)}{has}")
    entry = config.collections[0 if name is None else labels.index(name)]
    pools = shelf.collections(entry, config.seed)
    if pool is None:
        return next((one for one in pools if language in one.query_languages), pools[0]), entry
    if pool >= len(pools):
        raise InputError(
            f"collection {name or labels[0]!r} has {len(pools)} pools, so there is no pool {pool}"
        )
    return pools[pool], entry
