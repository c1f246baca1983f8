"""A run that ranks a finished run's best documents anew."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engine.collections.base import Collection
from engine.config import CollectionConfig
from engine.config.cross_encoder import CrossEncoderConfig
from engine.encoders.cross import CrossEncoder
from engine.errors import InputError
from engine.evaluation.reranking import rerank, to_score
from engine.evaluation.runner import announce, document_texts, searched, store_scores
from engine.evaluation.scores import Scores, score_found
from engine.evaluation.stored_rankings import (
    Pool,
    StoredRankings,
    finished_beside,
    searched_by,
    stored_rankings,
)
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.scorings.rankings import CROSS_ENCODER
from engine.runs.fuse import as_found
from engine.training.cross_encoder.training import CrossTraining
from engine.training.precision import autocast_dtype

#: The folder of the trained model among the run's checkpoints.
CHECKPOINT = "cross-encoder"


def cross_encoder_run(config: CrossEncoderConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Train on bitext if there is any, then rank the first stage's best documents anew and score the result.

    Only the ranks that the first stage stored are known, so documents below them count as not found.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    first = stored_rankings(finished_beside(run, config.first_stage.run), config.first_stage.scoring)
    known = searched_by(first.run)
    _check(config.first_stage.depth, first, known)
    told = {"run": first.run.id, "name": first.run.record["name"], "scoring": first.scoring}
    run.update(summary={"first_stage": told})
    collections = list({id(entry): entry for _, entry in known.values()}.values())
    cross = _trained(config, collections, run, reporter)
    return _rank_anew(config, first, known, cross, run, reporter)


def _check(depth: int, first: StoredRankings, known: dict[Pool, tuple[Collection, CollectionConfig]]) -> None:
    for pool in first.pools:
        if pool not in known:
            raise InputError(
                f"{first.name} searched the collection {pool.collection!r} of revision {pool.revision!r}, "
                "which is not what its configuration finds now; restore its data, or run it again"
            )
        stored = first.depth(pool)
        if stored < min(depth, len(known[pool][0].documents)):
            raise InputError(
                f"first_stage.depth = {depth}, but {first.name} stored {stored} ranks of "
                f"{pool.collection!r}; lower it to {stored}, or run the first stage with more"
            )


def _trained(
    config: CrossEncoderConfig, collections: Sequence[CollectionConfig], run: RunFolder, reporter: Reporter
) -> CrossEncoder:
    """Return the cross-encoder, trained and saved where there is bitext; stopped, save what there is."""
    if not config.bitext:
        cross = CrossEncoder.load(config.checkpoint, config.max_length)
        cross.to("cuda" if torch.cuda.is_available() else "cpu")
        run.update(device=str(cross.device))
        return cross
    training = CrossTraining(config, collections, run, reporter)
    run.update(device=str(training.device))
    try:
        cross = training.train()
    except KeyboardInterrupt:
        training.finish().save(run.checkpoints / CHECKPOINT)
        raise
    cross.save(run.checkpoints / CHECKPOINT)
    return cross


def _rank_anew(
    config: CrossEncoderConfig,
    first: StoredRankings,
    known: dict[Pool, tuple[Collection, CollectionConfig]],
    cross: CrossEncoder,
    run: RunFolder,
    reporter: Reporter,
) -> list[Scores]:
    depth = config.first_stage.depth
    collections = [
        known[pool][0].with_notes(
            [
                f"{pool.collection}: the first {depth} of {first.depth(pool):,} ranks stored by {first.name} "
                "are ranked anew; what is below the stored ones is not found"
            ]
        )
        for pool in first.pools
    ]
    announce(collections, min(map(first.depth, first.pools)), run, reporter)
    done = searched(run)
    results = []
    precision = autocast_dtype("auto", cross.device)
    for pool, collection in list(zip(first.pools, collections, strict=True))[done:]:
        ranks = first.ranks(pool, collection)
        top = to_score(ranks, depth)
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
            collection, as_found(found, collection, first.depth(pool)), scoring=CROSS_ENCODER.name
        )
        results.append(result)
        store_scores(result, run)
    return results
