"""Settings of a run whose rankings or scores another program computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from engine.config.base import RunHeader, Settings
from engine.config.collections import CollectionConfig
from engine.extensions.runs import Input, RunKind


class ImportedRanking(Settings):
    """A TREC run file."""

    path: str
    """The file (inside the data home when relative), ``topic Q0 document rank score tag``. As in trec_eval
    the order is that of the scores, and of falling document ids where they are equal."""
    collection: str | None = None
    """The label or name of the collection that it ranks; none takes the only one."""


class ImportConfig(RunHeader):
    """Store rankings or scores of another program as a run, which tables, tests, fusions and re-ranking use.

    Rankings are scored here. Scores of MTEB's results are taken over as they are; there are no scores of
    single queries in them, so they are not tested.
    """

    kind: Literal["import"] = "import"
    """The kind of run."""
    rankings: list[ImportedRanking] = Field(default_factory=list)
    """TREC run files; files of one collection are joined."""
    collections: list[CollectionConfig] = Field(default_factory=list)
    """The collections that were searched: queries, pool and judgements. ``judgements`` is a file of
    judgements alone."""
    mteb: list[str] = Field(default_factory=list)
    """Files with results of MTEB (``TASK.json``)."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.rankings and not self.mteb:
            raise ValueError("nothing is imported; give rankings (TREC runs) or mteb (results of MTEB)")
        if bool(self.rankings) != bool(self.collections):
            raise ValueError("rankings need collections, and collections rankings; give both or none")
        names = [entry.label or entry.name for entry in self.collections]
        for place, ranking in enumerate(self.rankings):
            if ranking.collection is None and len(names) > 1:
                raise ValueError(
                    f"rankings.{place}.collection is missing; it is one of {', '.join(names)}, the labels or "
                    "names of the collections"
                )
            if ranking.collection is not None and ranking.collection not in names:
                raise ValueError(
                    f"rankings.{place}.collection {ranking.collection!r} is none of {', '.join(names)}"
                )
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two collections are called {name!r}; give each a label of its own")
            if not any(ranking.collection in (None, name) for ranking in self.rankings):
                raise ValueError(f"there is no ranking of the collection {name!r}; leave it out")
        return self


def _read_by_import(config: ImportConfig) -> Iterator[Input]:
    for place, ranking in enumerate(config.rankings):
        yield Input(f"rankings.{place}.path", "engine.runs.imported:check_ranking", ranking.path)
    for place, path in enumerate(config.mteb):
        yield Input(f"mteb.{place}", "engine.runs.imported:check_mteb", path)


IMPORT = RunKind(
    settings=ImportConfig,
    execute="engine.runs.imported:import_run",
    inputs=_read_by_import,
    placeholders={"rankings": [{"path": "any"}], "collections": [{"name": "judgements", "path": "any"}]},
)
