"""A run that distils a student and evaluates it."""

from __future__ import annotations

from operator import attrgetter

from engine.config import DistilConfig
from engine.encoders.saving import save_fitted, save_trained
from engine.evaluation.document_frequencies import save_frequencies
from engine.evaluation.language_removal import (
    COMPONENTS_FILE,
    Isolation,
    LanguageComponents,
    given_components,
)
from engine.evaluation.scores import Scores
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.cut_texts import CutTexts
from engine.runs.steps import evaluate_run_encoders, train_and_save
from engine.training import processes
from engine.training.distillation.plans import held_out_plans
from engine.training.distillation.task import prepare_distillation
from engine.training.runtime import Runtime
from engine.training.trainer import Trainer


def distil_run(config: DistilConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Train, save the student, store plans of held-out pairs, and evaluate.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    runtime = Runtime.start(config.seed, config.training)
    with processes.first_alone():
        task = prepare_distillation(config, runtime, reporter)
    task.bitext.record(run)
    if task.passages is not None:
        run.update(summary={"passages": task.passages.counts})
    if task.validation is not None:
        run.update(summary={"validation_on": task.validation.describe()})
    task.count_cut(CutTexts(reporter)).record(run, "cut_in_training")
    run.update(device=str(runtime.device))

    def save() -> None:
        save_trained(task.finish(), run.checkpoints / "student")
        save_fitted(task.teacher, run.checkpoints / "teacher")
        if task.transport.idf is not None:
            save_frequencies(task.transport.idf, run.checkpoints)

    train_and_save(Trainer(config.training, runtime, run, reporter), task, save, attrgetter("length"))
    if not runtime.is_main:
        return []
    run.write_table("plans", [plan.columns() for plan in held_out_plans(task)])
    documents = task.student if config.evaluation.documents == "student" else task.teacher
    isolation = None
    if task.spaces is not None:
        fitted = LanguageComponents(config.language_components, run.checkpoints / COMPONENTS_FILE)
        isolation = Isolation(fitted, task.spaces.texts, given_components(task.student, task.teacher))
    return evaluate_run_encoders(config, task.student, documents, runtime, run, reporter, isolation)
