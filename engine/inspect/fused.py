"""Search with the runs that a run fused, one query at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from engine.config import FuseConfig
from engine.errors import InputError
from engine.evaluation.finished_run import config_of
from engine.evaluation.fusing import complete_below, kept_ranks, shares_of
from engine.evaluation.stored_rankings import find_finished_run
from engine.extensions.scorings import LEXICAL_SCORINGS, SCORINGS
from engine.inspect.cache import Cache, FileStamps
from engine.inspect.opening import RunSearcher, open_searcher, searched_config
from engine.inspect.pools import pools_of
from engine.inspect.records import Hit, Match, Part
from engine.languages import language as find_language
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.fusion import Scored, candidates, weighted_sum
from engine.retrieval.scorings.vectors import MAXSIM


class FusedSearcher:
    """The runs that a run fused, ready for any number of queries.

    A query is searched as the stored queries were: each run's best documents, as many as the run fused, with
    scores normalised over them and the recorded weights. Parameters and errors are those of
    `engine.inspect.search.Searcher`.
    """

    def __init__(
        self,
        run: RunFolder,
        language: str,
        *,
        collection: str | None = None,
        pool: int | None = None,
        cache: Cache | None = None,
        reporter: Reporter = SILENT,
    ) -> None:
        cache = cache or Cache()
        config = config_of(run)
        assert isinstance(config, FuseConfig)
        self._config = config
        self._stamps = FileStamps.of([run.path / "run.json"])
        fused = run.record["summary"].get("fused")
        if not fused:
            raise InputError(f"run {run.id!r} has fused nothing yet; choose a run that has finished")
        parts = [find_finished_run(part["run"], run) for part in fused]
        for part, told in zip(parts, fused, strict=True):
            scoring = SCORINGS.get(told["scoring"])
            if scoring is not None and scoring.of_encoders and scoring.name != MAXSIM.name:
                raise InputError(
                    f"run {run.id!r} fuses {told['name']} by {scoring.name!r}, and single queries are "
                    f"searched by {MAXSIM.name!r} only; choose another run"
                )
            self._stamps = FileStamps((*self._stamps.stamps, *FileStamps.of([part.path / "run.json"]).stamps))
        self.names = [str(told["name"]) for told in fused]
        self._weights = [float(told.get("weight", 1.0)) for told in fused]
        self._depths = [config.depth or kept_ranks(config_of(part)) or 100 for part in parts]
        self._lexical = [told["scoring"] in LEXICAL_SCORINGS for told in fused]
        first = open_searcher(
            parts[0], language, collection=collection, pool=pool, cache=cache, reporter=reporter
        )
        self.language = find_language(language).code
        self.collection = first.collection
        self.parts: list[RunSearcher] = [first]
        for part in parts[1:]:
            wanted = (first.collection.name, first.collection.revision)
            places = [
                (label, number)
                for label, number, other in pools_of(searched_config(part), cache)
                if (other.name, other.revision) == wanted
            ]
            if not places:
                raise InputError(
                    f"run {part.id!r}, which is fused, did not search {first.collection.name!r}; choose "
                    "another collection"
                )
            label, number = places[0]
            self.parts.append(
                open_searcher(part, language, collection=label, pool=number, cache=cache, reporter=reporter)
            )

    @property
    def up_to_date(self) -> bool:
        """Whether the files of all runs are still those that the searcher was made from."""
        return self._stamps.unchanged() and all(part.up_to_date for part in self.parts)

    @property
    def adds_up(self) -> bool:
        """Whether the score of the first run is the sum of its matches' scores."""
        return self.parts[0].adds_up

    @property
    def translates(self) -> bool:
        """Whether the first run translates queries in this language."""
        return self.parts[0].translates

    def load(self, reporter: Reporter = SILENT) -> None:
        """Load what is not in memory (any more)."""
        for part in self.parts:
            part.load(reporter)

    def judgements(self, text: str) -> Mapping[str, int] | None:
        """Return the documents' grades for the query `text`, or None if the collection has no such query."""
        return self.parts[0].judgements(text)

    def search(self, text: str, k: int = 10) -> list[Hit]:
        """Return the `k` best documents for the query `text`, best first, with the part of each run.

        Raises
        ------
        InputError
            As the searches of the runs.
        """
        found = [part.search(text, depth) for part, depth in zip(self.parts, self._depths, strict=True)]
        hits = {hit.document: hit for one in found for hit in one}
        systems = [self._scored(one) for one in found]
        least = [complete_below(*one) for one in zip(self._lexical, self._depths, strict=True)]
        every = candidates(systems, complete_below=least)
        shares = shares_of(self._config, every)
        fused = weighted_sum(every, shares, self._weights)
        rows = {document: row for row, document in enumerate(every.documents.tolist())}
        best = []
        for document, rank, score in zip(
            fused.documents[:k].tolist(), fused.ranks[:k].tolist(), fused.scores[:k].tolist(), strict=True
        ):
            row = rows[document]
            parts = [
                Part(
                    name,
                    float(every.scores[row, column]) if every.ranks[row, column] else None,
                    weight * float(shares[row, column]),
                )
                for column, (name, weight) in enumerate(zip(self.names, self._weights, strict=True))
            ]
            hit = hits[self.collection.documents[document].id]
            best.append(replace(hit, rank=rank, score=score, parts=parts))
        return best

    def _scored(self, hits: list[Hit]) -> Scored:
        count = len(hits)
        documents = [self.document_index(hit.document) for hit in hits]
        return Scored(
            np.zeros(count, dtype=np.int64),
            np.array(documents, dtype=np.int64),
            np.array([hit.rank for hit in hits], dtype=np.int64),
            np.array([hit.score for hit in hits], dtype=np.float64),
        )

    def explain(self, text: str, document: str) -> list[Match]:
        """Return why the first run gives a document its score.

        Raises
        ------
        InputError
            As that of the run.
        """
        return self.parts[0].explain(text, document)

    def document_index(self, document: str) -> int:
        """Return the place of the document of id `document` in the pool.

        Raises
        ------
        InputError
            If the pool has no such document.
        """
        return self.parts[0].document_index(document)

    def is_cut(self, text: str) -> bool:
        """Return whether some run does not read the whole query."""
        return any(part.is_cut(text) for part in self.parts)

    def translated(self, text: str) -> str:
        """Return the text that the first run searches for."""
        return self.parts[0].translated(text)
