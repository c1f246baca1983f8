"""Read the rankings that finished runs stored, and load the collections that the rankings belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.config import CollectionConfig
from engine.errors import InputError, nearest
from engine.evaluation.finished_run import config_of
from engine.evaluation.fusing import complete_below, kept_ranks
from engine.extensions.runs import RUN_KINDS
from engine.extensions.scorings import LEXICAL_SCORINGS
from engine.results.run_folder import RunFolder, read_part, read_record, table_files
from engine.results.run_names import resolve_run
from engine.retrieval.fusion import Ranks, Scored


class PoolKey(NamedTuple):
    """What two rankings must have in common to rank the same documents for the same queries."""

    collection: str
    revision: str
    protocol: str
    direction: str


#: The columns that say which rankings a row is of.
_PLACE = ["scoring", *PoolKey._fields]


@dataclass(frozen=True)
class StoredRankings:
    """The rankings that a run stored under one scoring. Their documents and scores are read when needed.

    Attributes
    ----------
    run : RunFolder
    scoring : str
    pools : dict of PoolKey to int
        The lowest rank stored for any query of each pool; 0 where no query found a document.
    limit : int, optional
        Number of ranks that the run kept for each query, if its configuration says so.
    """

    run: RunFolder
    scoring: str
    pools: dict[PoolKey, int]
    limit: int | None = None

    @property
    def name(self) -> str:
        """A description of the rankings, for messages."""
        return f"{self.run.record['name']} ({self.run.id}, {self.scoring})"

    def depth(self, pool: PoolKey) -> int:
        """Return the lowest rank stored for any query of `pool`; 0 if no query found a document."""
        return self.pools[pool]

    def kept(self, pool: PoolKey) -> int:
        """Return how many ranks the run kept for each query of `pool`, if there were so many."""
        return max(self.depth(pool), 1) if self.limit is None else self.limit

    def ranks(self, pool: PoolKey, collection: Collection) -> Ranks:
        """Return the rankings for `pool`, with indices of queries and documents in `collection`.

        Raises
        ------
        InputError
            If a query or document is not in the collection.
        """
        table = self._tables[pool]
        columns: list[Any] = []
        for column, items in (("query_id", collection.queries), ("document_id", collection.documents)):
            places = pc.index_in(table[column], pa.array([item.id for item in items]))
            if places.null_count:
                unknown = table[column].filter(pc.is_null(places))[0].as_py()
                raise InputError(
                    f"{self.name} ranks the {column.partition('_')[0]} {unknown!r}, which is not in the "
                    f"collection {collection.name!r}; execute that run again"
                )
            columns.append(places.to_numpy().astype(np.int64))
        return Ranks(columns[0], columns[1], table["rank"].to_numpy().astype(np.int64))

    def scored(self, pool: PoolKey, collection: Collection) -> Scored:
        """Return the rankings for `pool` with their scores; errors as `ranks`."""
        return Scored(
            *self.ranks(pool, collection), self._tables[pool]["score"].to_numpy().astype(np.float64)
        )

    def rows(self, pool: PoolKey) -> pa.Table:
        """Return the rankings for `pool`: columns ``query_id``, ``document_id``, ``rank`` and ``score``."""
        return self._tables[pool]

    @cached_property
    def _tables(self) -> dict[PoolKey, pa.Table]:
        """Rankings by pool: the columns ``query_id``, ``document_id``, ``rank`` and ``score``."""
        table = _rows(self.run, "rankings", [*_PLACE, "query_id", "document_id", "rank", "score"])
        table = table.filter(pc.equal(table["scoring"], self.scoring))
        found = {}
        for pool in self.pools:
            mask = pa.scalar(True)
            for field in PoolKey._fields:
                mask = pc.and_(mask, pc.equal(table[field], getattr(pool, field)))
            found[pool] = table.filter(mask).drop_columns(_PLACE)
        return found

    def complete_below(self, pool: PoolKey, depth: int | None = None) -> int | None:
        """Return the number of the first `depth` ranks below which a ranking has every document above 0."""
        kept = self.kept(pool)
        return complete_below(self.scoring in LEXICAL_SCORINGS, kept if depth is None else min(kept, depth))


def find_finished_run(name: str, run: RunFolder) -> RunFolder:
    """Open a finished run in the same folder of runs as `run`.

    Parameters
    ----------
    name : str
        The id of a run, the beginning of one id, or a name, which stands for its newest finished run.
    run : RunFolder
        The run that needs it; it does not find itself.

    Raises
    ------
    InputError
        If there is no such run, or it is not finished.
    """
    return finished_run_in(run.path.parent, name, besides=run.id)


def finished_run_in(folder: Path, name: str, *, besides: str = "") -> RunFolder:
    """Open a finished run in the folder of runs `folder`, which is not the run of the id `besides`.

    The name and the errors are those of `find_finished_run`.
    """
    records = {
        path.parent.name: read_record(path.parent)
        for path in folder.glob("*/run.json")
        if path.parent.name != besides
    }

    def finished_and_newest(identity: str) -> tuple[bool, str, str]:
        record = records[identity]
        return record["state"] == "finished", record["created"] or "", identity

    ids = sorted(records, key=finished_and_newest, reverse=True)
    chosen = resolve_run(name, [(identity, str(records[identity]["name"])) for identity in ids])
    if (state := records[chosen]["state"]) != "finished":
        raise InputError(f"run {chosen!r} is {state}, not finished; choose another run")
    return RunFolder.open(folder / chosen)


def read_rankings(run: RunFolder, scoring: str | None = None) -> StoredRankings:
    """Open the rankings that a run stored.

    Parameters
    ----------
    run : RunFolder
    scoring : str, optional
        Name of the scoring; None takes the only one that the run has.

    Raises
    ------
    InputError
        If the run has no such rankings, has several scorings to choose from, or stored no revisions.
    """
    if not table_files(run.path, "rankings"):
        raise InputError(
            f"run {run.id!r} has stored no rankings; choose one that was evaluated", path=run.path
        )
    table, scored = _rows(run, "rankings", [*_PLACE, "rank"]), _rows(run, "scores", _PLACE)
    # Where no query found a document, there are scores and no rankings.
    has = sorted({*pc.unique(table["scoring"]).to_pylist(), *pc.unique(scored["scoring"]).to_pylist()})
    if scoring is None and len(has) > 1:
        raise InputError(f"run {run.id!r} has rankings by {' and by '.join(has)}; say which with scoring")
    if scoring is not None and scoring not in has:
        raise InputError(
            f"run {run.id!r} has no rankings by {scoring!r}{nearest(scoring, has)}; it has {', '.join(has)}"
        )
    chosen = scoring or has[0]
    table = table.filter(pc.equal(table["scoring"], chosen))
    if table["revision"].null_count or table["protocol"].null_count:
        raise InputError(f"run {run.id!r} stored its rankings without their revision; execute that run again")
    scored = scored.filter(pc.equal(scored["scoring"], chosen))
    lowest: dict[PoolKey, int] = {}
    for part in (scored.append_column("rank", pa.nulls(len(scored), pa.int64())), table):
        grouped = part.group_by(list(PoolKey._fields), use_threads=False).aggregate([("rank", "max")])
        for values in grouped.to_pylist():
            key = PoolKey(*(values[field] for field in PoolKey._fields))
            # A protocol with a slash is that of further scores of the same rankings.
            if "/" not in key.protocol:
                lowest[key] = max(lowest.get(key, 0), values["rank_max"] or 0)
    return StoredRankings(run, chosen, lowest, kept_ranks(config_of(run)))


def _rows(run: RunFolder, name: str, columns: Sequence[str]) -> pa.Table:
    """Return some columns of a table of a run."""
    return pa.concat_tables(read_part(file, columns) for file in table_files(run.path, name))


def shared_pools(systems: list[StoredRankings]) -> tuple[list[PoolKey], list[str]]:
    """Return the pools that all systems have rankings for, and a sentence for each pool that is left out.

    A pool is left out where some system has no ranking of it. The order is that of the first system.

    Raises
    ------
    InputError
        If two systems differ in a collection's revision, protocol or direction, or have none in common.
    """
    first = systems[0]
    shared = [pool for pool in first.pools if all(pool in system.pools for system in systems)]
    kept = {pool.collection for pool in shared}
    for system in systems[1:]:
        both = {pool.collection for pool in first.pools} & {pool.collection for pool in system.pools}
        if not both:
            raise InputError(
                f"{_has(first)} and {_has(system)}: no collection in common, so there is nothing to fuse"
            )
        for name in sorted(both - kept):
            mine, other = ({p for p in each.pools if p.collection == name} for each in (first, system))
            if mine & other:
                continue  # another system does not have it
            one, two = min(mine), min(other)
            field = next(part for part in PoolKey._fields if getattr(one, part) != getattr(two, part))
            raise InputError(
                f"{first.name} searched {name!r} with {field} {getattr(one, field)!r} and {system.name} with "
                f"{getattr(two, field)!r}; only rankings of the same {field} can be fused"
            )
    if not shared:
        raise InputError(
            f"{'; '.join(map(_has, systems))}: nothing that all have, so there is nothing to fuse"
        )
    notes = []
    for pool in dict.fromkeys(pool for system in systems for pool in system.pools):
        if pool not in shared:
            lacking = next(system for system in systems if pool not in system.pools)
            notes.append(f"{' · '.join(pool)}: left out, {lacking.name} has no ranking of it")
    return shared, notes


def _has(system: StoredRankings) -> str:
    return f"{system.name} has {', '.join(sorted({pool.collection for pool in system.pools}))}"


def searched_collections(run: RunFolder) -> dict[PoolKey, tuple[Collection, CollectionConfig]]:
    """Load the collections that a run searched, each with its configuration.

    A fusion and a cross-encoder search the collections of their first stage.

    Raises
    ------
    InputError
        If a collection is missing or broken.
    """
    config = config_of(run)
    kind = RUN_KINDS[config.kind]
    if kind.collections_of is not None:
        return searched_collections(find_finished_run(kind.collections_of(config), run))
    found = {}
    for entry in getattr(config, "collections", ()):
        for collection in load_collections(entry, config.seed):
            key = PoolKey(collection.name, collection.revision, collection.protocol, collection.direction)
            found[key] = collection, entry
    return found
