"""A run that trains a teacher and evaluates it."""

from __future__ import annotations

from engine.config.teacher import TeacherConfig
from engine.encoders.saving import save_encoder, save_fitted
from engine.evaluation.runner import evaluate
from engine.evaluation.scores import Scores
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.training.teaching.loop import Teaching


def teacher_run(config: TeacherConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Train, save the teacher as ``checkpoints/teacher``, and evaluate; stopped, save what there is.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    teaching = Teaching(config, run, reporter)
    run.update(device=str(teaching.device))
    interrupted = None
    try:
        encoder = teaching.train()
    except KeyboardInterrupt as error:
        interrupted, encoder = error, teaching.finish()
    save_encoder(encoder, run.checkpoints / "teacher")
    save_fitted(encoder, run.checkpoints / "student")  # it asks as well
    if interrupted is not None:
        raise interrupted
    return evaluate(
        config.collections,
        config.evaluation,
        queries=encoder,
        documents=encoder,
        precision=teaching.precision,
        run=run,
        seed=config.seed,
        reporter=reporter,
    )
