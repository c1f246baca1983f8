"""A run that trains a teacher and evaluates it."""

from __future__ import annotations

from engine.collections.training_questions.question import TrainingQuestion
from engine.config.teacher import TeacherConfig
from engine.encoders.saving import save_fitted, save_trained
from engine.evaluation.scores import Scores
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.runs.steps import evaluate_run_encoders, train_and_save
from engine.training import processes
from engine.training.runtime import Runtime
from engine.training.teaching.task import prepare_teaching
from engine.training.trainer import Trainer


def teacher_run(config: TeacherConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Train, save the teacher as ``checkpoints/teacher``, and evaluate.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    runtime = Runtime.start(config.seed, config.training)
    with processes.first_alone():
        task = prepare_teaching(config, runtime, reporter)
    run.write_table("bitext", task.data.rows)
    run.update(device=str(runtime.device))

    def save() -> None:
        save_trained(task.finish(), run.checkpoints / "teacher")
        save_fitted(task.encoder, run.checkpoints / "student")  # it encodes the queries as well

    train_and_save(Trainer(config.training, runtime, run, reporter), task, save, _longest)
    if not runtime.is_main:
        return []
    return evaluate_run_encoders(config, task.encoder, task.encoder, runtime, run, reporter)


def _longest(question: TrainingQuestion) -> int:
    return max(map(len, question.passages))
