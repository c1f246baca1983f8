"""A run that fuses the rankings of finished runs."""

from __future__ import annotations

import numpy as np
import torch

from engine.collections.base import Collection
from engine.config import FuseConfig
from engine.errors import InputError
from engine.evaluation.runner import announce, store_scores, stored_searches
from engine.evaluation.scores import Scores, score_found
from engine.evaluation.searching import relevant_documents
from engine.evaluation.stored_rankings import (
    StoredRankings,
    find_finished_run,
    read_rankings,
    searched_collections,
    shared_pools,
)
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.fusion import Fused, Integers, reciprocal_rank_fusion
from engine.retrieval.scorings.rankings import RECIPROCAL_RANK_FUSION
from engine.retrieval.topk import Found


def fuse_run(config: FuseConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Fuse the stored rankings of finished runs and score the result.

    Only stored ranks can be fused, so documents below them count as not found. The depths are recorded with
    the run.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    run.update(device="cpu")
    systems = _systems(config, run)
    pools, notes = shared_pools(systems)
    known = searched_collections(systems[0].run)
    for pool in pools:
        if pool not in known:
            raise InputError(
                f"the collection {pool.collection!r} of revision {pool.revision!r} that {systems[0].name} "
                "searched is not what its configuration finds now; restore its data, or run all systems again"
            )
    depths = {pool: [system.depth(pool) for system in systems] for pool in pools}
    told = [
        {"run": system.run.id, "name": system.run.record["name"], "scoring": system.scoring}
        for system in systems
    ]
    run.update(summary={"fused": told, "depths": {pool.collection: depths[pool] for pool in pools}})
    collections = []
    for pool in pools:
        ranks = ", ".join(map(str, depths[pool]))
        told_depths = (
            f"{pool.collection}: fused from the first {ranks} ranks stored; what is below is not found"
        )
        collections.append(known[pool][0].with_notes([*notes, told_depths]))
    kept = {pool: max(system.kept(pool) for system in systems) for pool in pools}
    announce(collections, min(kept.values()), run, reporter)
    done = stored_searches(run)
    results = []
    for pool, collection in list(zip(pools, collections, strict=True))[done:]:
        reporter.stage(f"{collection.name}, fusion of {len(systems)} rankings", 1)
        fused = reciprocal_rank_fusion([system.ranks(pool, collection) for system in systems], config.k)
        scores = score_found(
            collection, as_found(fused, collection, kept[pool]), scoring=RECIPROCAL_RANK_FUSION.name
        )
        reporter.advance()
        results.append(scores)
        store_scores(scores, run)
    return results


def _systems(config: FuseConfig, run: RunFolder) -> list[StoredRankings]:
    """Open the rankings that are fused; two names may mean one run.

    Raises
    ------
    InputError
        As `find_finished_run` and `read_rankings`; also if a ranking is named twice.
    """
    systems = [read_rankings(find_finished_run(entry.run, run), entry.scoring) for entry in config.systems]
    _check_apart(systems)
    return systems


def check_systems(systems: list[StoredRankings]) -> None:
    """Check that rankings can be fused.

    Raises
    ------
    InputError
        If a ranking is named twice, or they have no collection in common.
    """
    _check_apart(systems)
    shared_pools(systems)


def _check_apart(systems: list[StoredRankings]) -> None:
    seen = set()
    for system in systems:
        if (system.run.id, system.scoring) in seen:
            raise InputError(f"{system.name} is named twice in systems; name each ranking once")
        seen.add((system.run.id, system.scoring))


def as_found(fused: Fused, collection: Collection, depth: int) -> Found:
    """Return fused rankings as a search result: the first `depth` documents and the relevant ones' ranks."""
    queries, pool = len(collection.queries), len(collection.documents)
    depth = min(depth, pool)
    kept = fused.ranks <= depth
    places = fused.queries[kept], fused.ranks[kept] - 1
    scores = np.full((queries, depth), -np.inf)
    indices = np.zeros((queries, depth), dtype=np.int64)
    scores[places], indices[places] = fused.scores[kept], fused.documents[kept]
    return Found(
        torch.from_numpy(scores),
        torch.from_numpy(indices),
        torch.from_numpy(_ranks(fused, relevant_documents(collection).numpy(), pool)),
    )


def _ranks(fused: Fused, wanted: Integers, pool: int) -> Integers:
    """Return the ranks of the documents `wanted` (N, R; -1 is padding); 0 for one that was not found."""
    if not len(fused.queries):
        return np.zeros_like(wanted)
    keys = fused.queries * pool + fused.documents
    order = np.argsort(keys)
    asked = np.arange(len(wanted))[:, None] * pool + wanted
    found = np.searchsorted(keys, asked, sorter=order).clip(max=len(keys) - 1)
    hit = (wanted >= 0) & (keys[order[found]] == asked)
    return np.where(hit, fused.ranks[order[found]], 0)
