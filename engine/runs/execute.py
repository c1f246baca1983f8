"""Execute a run: from a configuration of any kind to a finished run folder."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from engine.config import EncoderConfig, RunHeader
from engine.config.hub import is_described
from engine.encoders.packaged import PACKAGED
from engine.encoders.recorded import check_weights, checkpoints_of, recorded_weights
from engine.errors import OpticalError, is_out_of_memory
from engine.evaluation.finished_run import config_of
from engine.evaluation.scores import Scores
from engine.extensions.runs import RUN_KINDS
from engine.paths import expanded, run_log
from engine.registry import resolve_reference
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder
from engine.runs.log import LoggedReporter
from engine.runs.tracking import tracked
from engine.training.interrupts import terminable
from engine.training.pretraining.speed import peak_memory
from engine.training.pretraining.tokenizer import TOKENIZER_FILE
from engine.training.state import STATE_FILE


def execute(
    config: RunHeader,
    runs: Path,
    argv: Sequence[str],
    *,
    run_id: str | None = None,
    reporter: Reporter = SILENT,
) -> tuple[RunFolder, list[Scores]]:
    """Execute `config` in a new run folder inside `runs`.

    Raises
    ------
    OpticalError
        If the run fails for a reason that its user can understand. The run folder keeps the sentence.
    KeyboardInterrupt
        If it was stopped. The run folder keeps what it had reached.
    """
    run = RunFolder.create(runs, config, argv, run_id)
    return run, execute_in(config, run, reporter)


Execute = Callable[[Any, RunFolder, Reporter], list[Scores]]
"""Executes a configuration in a run folder."""


def resume(run: RunFolder, reporter: Reporter = SILENT, how: Execute | None = None) -> list[Scores]:
    """Continue `run` (see `engine.jobs.resume.reopen`) from its last saved state, or else from its start.

    Training gives the same result as a run that was never stopped. Collections that were already searched are
    not searched again; the scores of the others are returned.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `execute`.
    """
    config = config_of(run)
    if RUN_KINDS[config.kind].saves_state and not (run.path / "checkpoints" / STATE_FILE).is_file():
        LoggedReporter(run_log(run.path), reporter).say("the run had saved no state yet, so it starts over")
    return execute_in(config, run, reporter, how)


def execute_in(
    config: RunHeader, run: RunFolder, reporter: Reporter, how: Execute | None = None
) -> list[Scores]:
    """Execute `config` in the run folder `run`, from its saved state if it has one.

    `how` replaces the function that executes runs of its kind, such as a sweep's with another executor.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `execute`.
    """
    log = LoggedReporter(run_log(run.path), reporter)
    log.note(shlex.join(run.record["argv"] or ("started",)))

    def fail(sentence: str) -> None:
        log.note(f"failed: {sentence}")
        run.finish("failed", sentence)

    say_contradictions(config, log)
    try:
        with terminable(), tracked(config, run, log) as sent:
            weights = check_weights(recorded_weights(run.record), checkpoints_of(config), f"run {run.id!r}")
            run.update(summary={"weights": {**recorded_weights(run.record), **weights}})
            execution: Execute = how or resolve_reference(RUN_KINDS[config.kind].execute)
            scores = execution(config, run, log)
            sent += scores
    except KeyboardInterrupt:
        sentence = "stopped by its user"
        log.note(sentence)
        run.finish("stopped", sentence)
        raise
    except OpticalError as error:
        fail(str(error))
        raise
    except (OSError, SafetensorError) as error:
        place, reason = getattr(error, "filename", None), getattr(error, "strerror", None)
        sentence = f"{place or run.path}: {reason or error}"
        fail(sentence)
        raise OpticalError(sentence) from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            fail(f"{type(error).__name__}: {error}")
            raise
        sentence = "there is not enough memory; lower batch_size, or the lengths of queries and passages"
        fail(sentence)
        raise OpticalError(sentence) from error
    except BaseException as error:
        fail(f"{type(error).__name__}: {error}")
        raise
    # of the process, and so of the whole study where the run is a stage of one
    run.update(summary={"peak_memory_bytes": peak_memory(torch.device(run.record.get("device") or "cpu"))})
    for found in scores:
        means = "  ".join(f"{measure} {found.macro(measure):.4f}" for measure in found.values)
        log.note(f"{found.collection.name} ({found.collection.direction}, {found.scoring}): {means}")
    log.note("finished")
    run.finish("finished")
    for needless in (STATE_FILE, TOKENIZER_FILE):
        (run.path / "checkpoints" / needless).unlink(missing_ok=True)
    return scores


def say_contradictions(config: RunHeader, reporter: Reporter) -> None:
    """Say which settings of encoders replace what the folders of their checkpoints say."""
    for name in type(config).model_fields:
        if isinstance(encoder := getattr(config, name), EncoderConfig):
            checkpoint = encoder.checkpoint
            local = checkpoint in PACKAGED or expanded(checkpoint).is_dir()
            if not local and not is_described(checkpoint):
                reporter.say(
                    f"{name}.checkpoint = {checkpoint!r}: the hub's cache has no modules.json of it and "
                    "cannot tell whether there is one, so pooling, prompts and dense layers that it may "
                    "name are not used; start the run once with a network, or name a folder with all files"
                )
            for key, (ours, theirs) in encoder.contradictions().items():
                reporter.say(
                    f"{name}.{key} = {ours!r} is used, although the checkpoint's folder says {theirs!r}"
                )
