"""A run that re-ranks the best documents of a finished run with a cross-encoder."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from engine.collections.base import Collection
from engine.config import CollectionConfig
from engine.config.cross_encoder import CrossEncoderConfig
from engine.encoders.cross import CrossEncoder
from engine.errors import InputError
from engine.evaluation.reranking import rerank, top_ranks
from engine.evaluation.runner import announce, document_texts, store_scores, stored_searches
from engine.evaluation.scores import Scores, score_found
from engine.evaluation.stored_rankings import (
    PoolKey,
    StoredRankings,
    find_finished_run,
    read_rankings,
    searched_collections,
)
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.scorings.rankings import CROSS_ENCODER
from engine.runs.fuse import as_found
from engine.runs.steps import train_and_save
from engine.training.cross_encoder.task import prepare_cross_encoder
from engine.training.precision import autocast_dtype
from engine.training.runtime import Runtime
from engine.training.trainer import Trainer

#: The folder of the trained model among the run's checkpoints.
CHECKPOINT = "cross-encoder"


def cross_encoder_run(config: CrossEncoderConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Train on the bitext if there is any, then re-rank the first stage's best documents and score them.

    Only the ranks that the first stage stored are known, so documents below them count as not found.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    first = read_rankings(find_finished_run(config.first_stage.run, run), config.first_stage.scoring)
    known = searched_collections(first.run)
    check_first_stage(config.first_stage.depth, first, known)
    first_stage = {"run": first.run.id, "name": first.run.record["name"], "scoring": first.scoring}
    run.update(summary={"first_stage": first_stage})
    collections = list({id(entry): entry for _, entry in known.values()}.values())
    if config.bitext:
        runtime = Runtime.start(config.seed, config.training)
        cross = _trained(config, collections, runtime, run, reporter)
    else:
        runtime = Runtime.start(config.seed)
        cross = CrossEncoder.load(config.checkpoint, config.max_length).to(runtime.device)
        run.update(device=str(runtime.device))
    return _rerank(config, first, known, cross, run, reporter)


def check_first_stage(
    depth: int, first: StoredRankings, known: dict[PoolKey, tuple[Collection, CollectionConfig]]
) -> None:
    """Check that the rankings `first` are of the collections `known` and have `depth` ranks.

    Raises
    ------
    InputError
        If a collection is another one now, or fewer ranks are stored.
    """
    for pool in first.pools:
        if pool in known and not any(query.text for query in known[pool][0].queries):
            raise InputError(
                f"{first.name} was imported with judgements alone, and a cross-encoder reads texts; import "
                "it with --collection"
            )
        if pool not in known:
            raise InputError(
                f"{first.name} searched the collection {pool.collection!r} of revision {pool.revision!r}, "
                "which is not what its configuration finds now; restore its data, or run it again"
            )
        stored = first.kept(pool)
        if stored < min(depth, len(known[pool][0].documents)):
            raise InputError(
                f"first_stage.depth = {depth}, but {first.name} stored {stored} ranks of "
                f"{pool.collection!r}; lower it to {stored}, or run the first stage with more"
            )


def _trained(
    config: CrossEncoderConfig,
    collections: Sequence[CollectionConfig],
    runtime: Runtime,
    run: RunFolder,
    reporter: Reporter,
) -> CrossEncoder:
    """Train the cross-encoder on the bitext and save it."""
    task = prepare_cross_encoder(config, collections, runtime, reporter)
    task.bitext.record(run)
    run.update(device=str(runtime.device))
    trainer = Trainer(config.training, runtime, run, reporter)
    train_and_save(
        trainer, task, lambda: task.finish().save(run.checkpoints / CHECKPOINT), attrgetter("length")
    )
    measured = task.queries and trainer.progress.step >= config.training.evaluate_every
    if measured and not trainer.progress.best_step:
        reporter.say("no step ranked held-out pairs better than before training; see the curves")
    return task.cross


def _rerank(
    config: CrossEncoderConfig,
    first: StoredRankings,
    known: dict[PoolKey, tuple[Collection, CollectionConfig]],
    cross: CrossEncoder,
    run: RunFolder,
    reporter: Reporter,
) -> list[Scores]:
    depth = config.first_stage.depth
    collections = [
        known[pool][0].with_notes(
            [
                f"{pool.collection}: the first {depth} of {first.depth(pool):,} ranks stored by {first.name} "
                "are re-ranked; documents below the stored ranks are not found"
            ]
        )
        for pool in first.pools
    ]
    announce(collections, min(map(first.kept, first.pools)), run, reporter)
    done = stored_searches(run)
    results = []
    precision = autocast_dtype("auto", cross.device)
    for pool, collection in list(zip(first.pools, collections, strict=True))[done:]:
        ranks = first.ranks(pool, collection)
        top = top_ranks(ranks, depth)
        texts = document_texts(collection, context=known[pool][1].context)
        reporter.stage(f"{collection.name}: pairs of query and document", len(top.ranks))
        scores = cross.score(
            [collection.queries[place].text for place in top.queries.tolist()],
            [texts[place] for place in top.documents.tolist()],
            batch_size=config.batch_size,
            precision=precision,
            progress=reporter.advance,
        )
        found = rerank(ranks, top, scores.double().numpy())
        result = score_found(
            collection, as_found(found, collection, first.kept(pool)), scoring=CROSS_ENCODER.name
        )
        results.append(result)
        store_scores(result, run)
    return results
