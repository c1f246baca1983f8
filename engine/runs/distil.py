"""A run that distils a student and evaluates it."""

from __future__ import annotations

from engine.config import DistilConfig
from engine.encoders.saving import save_encoder, save_fitted
from engine.evaluation.document_frequencies import save_frequencies
from engine.evaluation.runner import evaluate
from engine.evaluation.scores import Scores
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.training.distillation.distillation import Distillation
from engine.training.distillation.plans import held_out_plans


def distil_run(config: DistilConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Train, save the student, store held-out plans, and evaluate; stopped, save what there is.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    distillation = Distillation(config, run, reporter)
    run.update(device=str(distillation.device))
    interrupted = None
    try:
        result = distillation.train()
    except KeyboardInterrupt as error:
        interrupted, result = error, distillation.finish()
    save_encoder(result.student, run.checkpoints / "student")
    save_fitted(result.teacher, run.checkpoints / "teacher")
    if distillation.transport.idf is not None:
        save_frequencies(distillation.transport.idf, run.checkpoints)
    if interrupted is not None:
        raise interrupted
    run.write_table("plans", [plan.columns() for plan in held_out_plans(distillation)])
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
