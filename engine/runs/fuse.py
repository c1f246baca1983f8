"""A run that fuses the rankings of finished runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from engine.collections.base import Collection
from engine.config import FuseConfig
from engine.counted import counted
from engine.errors import InputError, nearest
from engine.evaluation.fusing import shares_of
from engine.evaluation.held_out_queries import held_out_queries, restricted
from engine.evaluation.runner import announce, store_scores, stored_searches
from engine.evaluation.scores import Scores, score_found
from engine.evaluation.searching import relevant_documents
from engine.evaluation.stored_rankings import (
    PoolKey,
    StoredRankings,
    find_finished_run,
    read_rankings,
    searched_collections,
    shared_pools,
)
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.fusion import Candidates, Floats, Integers, Scored, candidates, weighted_sum
from engine.retrieval.topk import Found

#: How often the weights of all systems are chosen again while the others stay.
PASSES = 3


def fuse_run(config: FuseConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Fuse the stored rankings of finished runs and score the result.

    Only stored ranks can be fused, so documents below them count as not found. The depths and the weights are
    recorded with the run.

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
    held_out, reported = _parts(config, pools, known)
    depths = {pool: [_depth(config, system, pool, known[pool][0]) for system in systems] for pool in pools}
    fusion = _Fusion(config, systems)
    weights = [system.weight for system in config.systems]
    if held_out:
        weights, left_out = _choose(
            fusion, held_out, {pool: known[pool][0] for pool in pools}, reported, run, reporter
        )
        notes = [*notes, *left_out]
    told = [
        {"run": system.run.id, "name": system.run.record["name"], "scoring": system.scoring, "weight": weight}
        for system, weight in zip(systems, weights, strict=True)
    ]
    run.update(summary={"fused": told, "depths": {pool.collection: depths[pool] for pool in reported}})
    collections = []
    for pool in reported:
        ranks = ", ".join(map(str, depths[pool]))
        told_depths = (
            f"{pool.collection}: fused from the first {ranks} ranks stored; what is below is not found"
        )
        collections.append(known[pool][0].with_notes([*notes, told_depths]))
    kept = {pool: max(system.kept(pool) for system in systems) for pool in reported}
    announce(collections, min(kept.values()), run, reporter)
    done = stored_searches(run)
    results = []
    for pool, collection in list(zip(reported, collections, strict=True))[done:]:
        reporter.stage(f"{collection.name}, fusion of {len(systems)} rankings", 1)
        found, shares = fusion.of(pool, collection)
        fused = weighted_sum(found, shares, weights)
        scores = score_found(collection, as_found(fused, collection, kept[pool]), scoring=config.method)
        reporter.advance()
        results.append(scores)
        store_scores(scores, run)
    return results


@dataclass(frozen=True)
class _Fusion:
    """The rankings that are fused, and how."""

    config: FuseConfig
    systems: Sequence[StoredRankings]

    def of(self, pool: PoolKey, collection: Collection) -> tuple[Candidates, Floats]:
        """Return the candidates of a pool, and each system's share in their scores."""
        depth = self.config.depth
        found = candidates(
            [system.scored(pool, collection) for system in self.systems],
            complete_below=[system.complete_below(pool, depth) for system in self.systems],
            depth=depth,
        )
        return found, shares_of(self.config, found)


def _depth(config: FuseConfig, system: StoredRankings, pool: PoolKey, collection: Collection) -> int:
    """Return how many ranks of a system are fused.

    Raises
    ------
    InputError
        If the system stored fewer than the configuration asks for.
    """
    if config.depth is None:
        return system.depth(pool)
    if system.kept(pool) < min(config.depth, len(collection.documents)):
        raise InputError(
            f"depth = {config.depth}, but {system.name} stored {system.kept(pool)} ranks of "
            f"{pool.collection!r}; lower it, or run that system again with a greater depth"
        )
    return min(config.depth, system.depth(pool))


def _parts(
    config: FuseConfig, pools: Sequence[PoolKey], known: Mapping[PoolKey, tuple[Collection, Any]]
) -> tuple[list[PoolKey], list[PoolKey]]:
    """Return the pools on which weights are chosen, and those that are reported.

    Raises
    ------
    InputError
        If there are none of one sort.
    """
    if config.choose_on is None:
        return [], list(pools)
    held_out = [
        pool
        for pool in pools
        if config.choose_on in (pool.collection, known[pool][1].label or known[pool][1].name)
    ]
    names = sorted({pool.collection for pool in pools})
    if not held_out:
        raise InputError(
            f"choose_on: the runs have no collection {config.choose_on!r} in common"
            f"{nearest(config.choose_on, names)}; they have {', '.join(names)}"
        )
    reported = [pool for pool in pools if pool not in held_out]
    if not reported:
        raise InputError(
            f"choose_on: {config.choose_on!r} is all that the runs have in common, and settings that are "
            "chosen on what is reported say nothing about other queries; search another collection with all "
            "runs too"
        )
    return held_out, reported


def _choose(
    fusion: _Fusion,
    held_out: Sequence[PoolKey],
    collections: Mapping[PoolKey, Collection],
    reported: Sequence[PoolKey],
    run: RunFolder,
    reporter: Reporter,
) -> tuple[list[float], list[str]]:
    """Choose the weights on held-out queries, record every try, and return the weights and notes.

    One weight at a time takes the value of the grid with the highest mean over collections and languages; of
    equal ones, the smallest. The first system alone is where the search starts.
    """
    config = fusion.config
    parts: list[tuple[Collection, Candidates, Floats, int]] = []
    for pool in held_out:
        collection = collections[pool]
        places = held_out_queries(collection, [collections[other] for other in reported])
        part = restricted(collection, places)
        found, shares = fusion.of(pool, collection)
        mask = np.isin(found.queries, places)
        number = np.searchsorted(places, found.queries[mask])
        kept = Candidates(number, found.documents[mask], found.ranks[mask], found.scores[mask])
        depth = max(system.kept(pool) for system in fusion.systems)
        parts.append((part, kept, shares[mask], depth))
    measure = config.measure or parts[0][0].measures[0]
    tried: dict[tuple[float, ...], float] = {}

    def value(weights: Sequence[float]) -> float:
        key = tuple(weights)
        if key not in tried:
            values = []
            for collection, found, shares, depth in parts:
                fused = as_found(weighted_sum(found, shares, weights), collection, depth)
                scores = score_found(collection, fused, scoring=config.method, measures=[measure])
                values.append(scores.macro(measure))
            tried[key] = float(np.mean(values))
            run.log(len(tried), {f"held_out_{measure}": tried[key]}, 0.0)
            reporter.advance()
        return tried[key]

    count = len(config.systems)
    reporter.stage(
        f"choosing weights on {config.choose_on}", len(config.grid) * (count - 1) * (1 + (count > 2))
    )
    best = _coordinate_search(value, count, sorted(set(config.grid)))
    rows = [{"weights": list(weights), "value": round(found, 6)} for weights, found in sorted(tried.items())]
    run.update(
        summary={
            "choose_on": config.choose_on,
            "measure": measure,
            "held_out": round(value(best), 6),
            "tries": rows,
        }
    )
    reporter.say(
        f"weights {', '.join(f'{weight:g}' for weight in best)}: held-out {measure} {value(best):.4f}, the "
        f"best of {counted(len(tried), 'try', 'tries')}; the first system alone has "
        f"{value([1.0] + [0.0] * (count - 1)):.4f}"
    )
    return best, [note for collection, *_ in parts for note in collection.notes if "left out" in note]


def _coordinate_search(
    value: Callable[[Sequence[float]], float], count: int, grid: Sequence[float]
) -> list[float]:
    best = [1.0] + [0.0] * (count - 1)
    for _ in range(PASSES):
        before = list(best)
        for place in range(1, count):
            options = [[*best[:place], weight, *best[place + 1 :]] for weight in grid]
            # max keeps the first of equal ones, which has the smallest weight
            best = max([*options, best], key=value)
        if best == before or count == 2:
            break
    return best


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


def as_found(fused: Scored, collection: Collection, depth: int) -> Found:
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


def _ranks(fused: Scored, wanted: Integers, pool: int) -> Integers:
    """Return the ranks of the documents `wanted` (N, R; -1 is padding); 0 for one that was not found."""
    if not len(fused.queries):
        return np.zeros_like(wanted)
    keys = fused.queries * pool + fused.documents
    order = np.argsort(keys)
    asked = np.arange(len(wanted))[:, None] * pool + wanted
    found = np.searchsorted(keys, asked, sorter=order).clip(max=len(keys) - 1)
    hit = (wanted >= 0) & (keys[order[found]] == asked)
    return np.where(hit, fused.ranks[order[found]], 0)
