"""From a configuration to a finished run folder, whatever the kind of run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError

from engine.config import (
    AnyConfig,
    CrossEncoderConfig,
    DistilConfig,
    EvaluateConfig,
    FuseConfig,
    LexicalConfig,
    PretrainConfig,
    StudyConfig,
    TeacherConfig,
)
from engine.errors import OpticalError
from engine.evaluation.finished_run import config_of
from engine.evaluation.scores import Scores
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder
from engine.runs.cross_encoder import cross_encoder_run
from engine.runs.distil import distil_run
from engine.runs.evaluate import evaluate_run
from engine.runs.fuse import fuse_run
from engine.runs.lexical import lexical_run
from engine.runs.pretrain import pretrain_run
from engine.runs.study import study_run
from engine.runs.teacher import teacher_run
from engine.training.interrupts import terminable
from engine.training.pretraining.speed import peak_memory
from engine.training.state import STATE_FILE


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
    """Carry on `run` (see `engine.jobs.resume.reopen`) from its last saved state, or else from its start.

    A training ends as if it had never stopped. Collections that were searched already are not searched
    again; the scores of the others are returned.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `execute`.
    """
    config = config_of(run)
    if (
        config.kind in ("distil", "teacher", "pretrain", "cross-encoder")
        and not (run.path / "checkpoints" / STATE_FILE).is_file()
    ):
        reporter.say("the run had saved no state yet, so it starts over")
    return _carry_out(config, run, reporter)


def _carry_out(config: AnyConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    try:
        with terminable():
            match config:
                case DistilConfig():
                    scores = distil_run(config, run, reporter)
                case EvaluateConfig():
                    scores = evaluate_run(config, run, reporter)
                case TeacherConfig():
                    scores = teacher_run(config, run, reporter)
                case PretrainConfig():
                    scores = pretrain_run(config, run, reporter)
                case StudyConfig():
                    study_run(config, run, reporter, _carry_out)
                    scores = []
                case LexicalConfig():
                    scores = lexical_run(config, run, reporter)
                case CrossEncoderConfig():
                    scores = cross_encoder_run(config, run, reporter)
                case FuseConfig():
                    scores = fuse_run(config, run, reporter)
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
    # of the process, and so of the whole study where the run is a stage of one
    run.update(summary={"peak_memory_bytes": peak_memory(torch.device(run.record.get("device") or "cpu"))})
    run.finish("finished")
    (run.path / "checkpoints" / STATE_FILE).unlink(missing_ok=True)
    return scores
