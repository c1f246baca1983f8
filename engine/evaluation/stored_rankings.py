"""What finished runs have stored: their rankings, and the collections these are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.config import CollectionConfig
from engine.errors import InputError, nearest
from engine.evaluation.finished_run import config_of
from engine.extensions.runs import RUN_KINDS
from engine.results.run_folder import RunFolder, read_record, table_files
from engine.retrieval.fusion import Ranks


class Pool(NamedTuple):
    """What must agree for two rankings to be about the same queries and documents."""

    collection: str
    revision: str
    protocol: str
    direction: str


@dataclass(frozen=True)
class StoredRankings:
    """The rankings that a run stored under one scoring.

    Attributes
    ----------
    run : RunFolder
    scoring : str
    pools : dict of Pool to pyarrow.Table
        Columns ``query_id``, ``document_id`` and ``rank``.
    """

    run: RunFolder
    scoring: str
    pools: dict[Pool, pa.Table]

    @property
    def name(self) -> str:
        """What people are told the rankings are."""
        return f"{self.run.record['name']} ({self.run.id}, {self.scoring})"

    def depth(self, pool: Pool) -> int:
        """Return the lowest rank stored for any query of `pool`."""
        return int(pc.max(self.pools[pool]["rank"]).as_py())

    def ranks(self, pool: Pool, collection: Collection) -> Ranks:
        """Return the rankings for `pool` by places of queries and documents in `collection`.

        Raises
        ------
        InputError
            If one of them is not in the collection.
        """
        table = self.pools[pool]
        columns: list[Any] = []
        for column, items in (("query_id", collection.queries), ("document_id", collection.documents)):
            places = pc.index_in(table[column], pa.array([item.id for item in items]))
            if places.null_count:
                unknown = table[column].filter(pc.is_null(places))[0].as_py()
                raise InputError(
                    f"{self.name} ranks {column.partition('_')[0]} {unknown!r}, which the collection "
                    f"{collection.name!r} has not; run it again"
                )
            columns.append(places.to_numpy().astype(np.int64))
        return Ranks(columns[0], columns[1], table["rank"].to_numpy().astype(np.int64))


def finished_beside(run: RunFolder, name: str) -> RunFolder:
    """Open the finished run that `name` means among those in the folder that `run` lies in.

    `name` is an id, the beginning of one id, or a name, which stands for its newest finished run.

    Raises
    ------
    InputError
        If there is none, or it is not finished.
    """
    folder = run.path.parent
    records = {
        path.parent.name: read_record(path.parent)
        for path in sorted(folder.glob("*/run.json"))
        if path.parent.name != run.id
    }
    begun = [identity for identity in records if identity.startswith(name)]
    named = [identity for identity, record in records.items() if record["name"] == name]
    if name in records:
        chosen = name
    elif named:
        done = [identity for identity in named if records[identity]["state"] == "finished"]
        chosen = max(done or named, key=lambda identity: (records[identity]["created"] or "", identity))
    elif len(begun) == 1:
        chosen = begun[0]
    elif begun:
        raise InputError(f"{name!r} is the beginning of {len(begun)} runs' ids; give more of it")
    else:
        names = [*records, *(str(record["name"]) for record in records.values())]
        raise InputError(f"there is no run {name!r}{nearest(name, names)}", path=folder)
    if records[chosen]["state"] != "finished":
        raise InputError(f"run {chosen!r} is {records[chosen]['state']}, not finished; choose another run")
    return RunFolder.open(folder / chosen)


def stored_rankings(run: RunFolder, scoring: str | None = None) -> StoredRankings:
    """Read the rankings that `run` stored under `scoring`, or under the only one it has.

    Raises
    ------
    InputError
        If it has none, several to choose from, or stored them without their revision.
    """
    files = table_files(run.path, "rankings")
    if not files:
        raise InputError(
            f"run {run.id!r} has stored no rankings; choose one that was evaluated", path=run.path
        )
    table = pa.concat_tables(pq.read_table(file, partitioning=None) for file in files)
    has = sorted(pc.unique(table["scoring"]).to_pylist())
    if scoring is None and len(has) > 1:
        raise InputError(f"run {run.id!r} has rankings by {' and by '.join(has)}; say which with scoring")
    if has and scoring is not None and scoring not in has:
        raise InputError(
            f"run {run.id!r} has no rankings by {scoring!r}{nearest(scoring, has)}; it has {', '.join(has)}"
        )
    if not has:
        raise InputError(
            f"run {run.id!r} found no document for any query, so it has no rankings; choose another run",
            path=run.path,
        )
    chosen = scoring or has[0]
    table = table.filter(pc.equal(table["scoring"], chosen))
    if table["revision"].null_count or table["protocol"].null_count:
        raise InputError(f"run {run.id!r} is from before rankings told their revision; run it again")
    pools = {}
    for values in table.select(Pool._fields).group_by(list(Pool._fields)).aggregate([]).to_pylist():
        mask = pa.scalar(True)
        for field in Pool._fields:
            mask = pc.and_(mask, pc.equal(table[field], values[field]))
        pools[Pool(**values)] = table.filter(mask).select(["query_id", "document_id", "rank"])
    return StoredRankings(run, chosen, pools)


def shared_pools(systems: list[StoredRankings]) -> tuple[list[Pool], list[str]]:
    """Return the pools that all systems have rankings for, in the first one's order, and what is left out.

    What is left out is told in a sentence each: collections that only some of the systems have.

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
            raise InputError(f"{_has(first)} and {_has(system)}: no collection in common, so nothing to fuse")
        for name in sorted(both - kept):
            mine, other = ({p for p in each.pools if p.collection == name} for each in (first, system))
            if mine & other:
                continue  # a third system lacks it
            one, two = min(mine), min(other)
            field = next(part for part in Pool._fields if getattr(one, part) != getattr(two, part))
            raise InputError(
                f"{first.name} searched {name!r} with {field} {getattr(one, field)!r} and {system.name} with "
                f"{getattr(two, field)!r}; only rankings of the same {field} can be fused"
            )
    if not shared:
        raise InputError(f"{'; '.join(map(_has, systems))}: nothing that all have, so nothing to fuse")
    notes = []
    for pool in dict.fromkeys(pool for system in systems for pool in system.pools):
        if pool not in shared:
            lacking = next(system for system in systems if pool not in system.pools)
            notes.append(f"{' · '.join(pool)}: left out, {lacking.name} has no ranking of it")
    return shared, notes


def _has(system: StoredRankings) -> str:
    return f"{system.name} has {', '.join(sorted({pool.collection for pool in system.pools}))}"


def collections_of(run: RunFolder) -> dict[Pool, Collection]:
    """Load the collections that `run` searched; a fusion's and a cross-encoder's are their first stage's.

    Raises
    ------
    InputError
        If one is missing or broken.
    """
    return {pool: collection for pool, (collection, _) in searched_by(run).items()}


def searched_by(run: RunFolder) -> dict[Pool, tuple[Collection, CollectionConfig]]:
    """Load what `collections_of` does, with the configuration of each.

    Raises
    ------
    InputError
        If one is missing or broken, or runs of its kind search none.
    """
    config = config_of(run)
    kind = RUN_KINDS[config.kind]
    if kind.collections_of is not None:
        return searched_by(finished_beside(run, kind.collections_of(config)))
    found = {}
    for entry in getattr(config, "collections", ()):
        for collection in load_collections(entry, config.seed):
            key = Pool(collection.name, collection.revision, collection.protocol, collection.direction)
            found[key] = collection, entry
    return found
