"""From a configuration to a finished run folder: distil, evaluate, store plans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError

from engine.collections.loading import load_collections
from engine.config import AnyConfig, DistilConfig, EvaluateConfig
from engine.encoders.encoder import Encoder
from engine.encoders.fitting import fit
from engine.encoders.saving import save_encoder, save_fitted
from engine.errors import DivergedError, OpticalError
from engine.evaluation.opening import config_of
from engine.evaluation.protocols import Scores
from engine.evaluation.runner import document_texts, evaluate
from engine.reporting import SILENT, Reporter
from engine.results.spool import RunFolder
from engine.training.distil import Distillation
from engine.training.encoders import needs_fitting, some
from engine.training.pairs import read_sources
from engine.training.plans import held_out_plans, save_frequencies
from engine.training.precision import autocast_dtype
from engine.training.state import STATE_FILE
from engine.training.stopping import terminable


def execute(
    config: AnyConfig,
    runs: Path,
    argv: Sequence[str],
    *,
    run_id: str | None = None,
    reporter: Reporter = SILENT,
) -> tuple[RunFolder, list[Scores]]:
    """Carry out `config` in a new run folder inside `runs`.

    Raises
    ------
    OpticalError
        If the run fails for a reason its user can understand; the folder keeps the sentence.
    KeyboardInterrupt
        If it was stopped; what it had reached is kept.
    """
    run = RunFolder.create(runs, config, argv, run_id)
    return run, _carry_out(config, run, reporter)


def resume(run: RunFolder, reporter: Reporter = SILENT) -> list[Scores]:
    """Carry on `run` (see `engine.jobs.resuming.reopen`) from its last saved state, or else from its start.

    A distillation ends as if it had never stopped. Collections that were searched already are not searched
    again; the scores of the others are returned.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `execute`.
    """
    config = config_of(run)
    if config.kind == "distil" and not (run.path / "checkpoints" / STATE_FILE).is_file():
        reporter.say("the run had saved no state yet, so it starts over")
    return _carry_out(config, run, reporter)


def _carry_out(config: AnyConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    try:
        with terminable():
            scores = (
                _distil(config, run, reporter)
                if config.kind == "distil"
                else _evaluate(config, run, reporter)
            )
    except KeyboardInterrupt:
        run.finish("stopped", "stopped by its user")
        raise
    except OpticalError as error:
        run.finish("failed", str(error))
        raise
    except (OSError, SafetensorError) as error:
        place, reason = getattr(error, "filename", None), getattr(error, "strerror", None)
        sentence = f"{place or run.path}: {reason or error}"
        run.finish("failed", sentence)
        raise OpticalError(sentence) from error
    except BaseException as error:
        run.finish("failed", f"{type(error).__name__}: {error}")
        raise
    run.finish("finished")
    (run.path / "checkpoints" / STATE_FILE).unlink(missing_ok=True)
    return scores


def _distil(config: DistilConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    distillation = Distillation(config, run, reporter)
    run.update(device=str(distillation.device))
    interrupted = None
    try:
        result = distillation.train()
    except KeyboardInterrupt as error:
        interrupted, result = error, distillation.finish()
    except DivergedError:
        distillation.state_file.unlink(missing_ok=True)  # from there it would diverge again
        raise
    save_encoder(result.student, run.checkpoints / "student")
    save_fitted(result.teacher, run.checkpoints / "teacher")
    if distillation.masses.idf is not None:
        save_frequencies(distillation.masses.idf, run.checkpoints)
    if interrupted is not None:
        raise interrupted
    run.write_table("plans", held_out_plans(distillation))
    return evaluate(
        config.collections,
        config.evaluation,
        queries=result.student,
        documents=result.student if config.evaluation.documents == "student" else result.teacher,
        precision=distillation.precision,
        run=run,
        seed=config.seed,
        reporter=reporter,
    )


def _evaluate(config: EvaluateConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = autocast_dtype("auto", device)
    run.update(device=str(device))
    torch.manual_seed(config.seed)  # a linear projection that was never saved is drawn
    queries = Encoder.load(config.encoder)
    documents = queries
    if config.teacher is not None and config.evaluation.documents == "teacher":
        documents = Encoder.load(config.teacher)
    encoders = [documents] if documents is queries else [documents, queries]
    if any(needs_fitting(encoder.config) for encoder in encoders):
        texts = _unlabelled(config)
        for encoder in encoders:
            if needs_fitting(encoder.config):
                fit(encoder, some(texts), "passage", precision=precision)
    save_fitted(queries, run.checkpoints / "student")
    save_fitted(documents, run.checkpoints / "teacher")
    return evaluate(
        config.collections,
        config.evaluation,
        queries=queries.to(device),
        documents=documents.to(device),
        precision=precision,
        run=run,
        seed=config.seed,
        reporter=reporter,
    )


def _unlabelled(config: EvaluateConfig) -> list[str]:
    if config.bitext:
        sources, _ = read_sources(config.bitext)
        return list(dict.fromkeys(pair.target for pairs in sources for pair in pairs))
    first = config.collections[0]
    return document_texts(load_collections(first, config.seed)[0], context=first.context)
