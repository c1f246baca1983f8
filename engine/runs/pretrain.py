"""A run that pre-trains an encoder, and evaluates it if it has collections."""

from __future__ import annotations

from engine.config.pretraining import PRETRAINED, PretrainConfig, pretrained_encoder
from engine.encoders.encoder import Encoder
from engine.encoders.fitting import evenly_spaced, fit
from engine.encoders.saving import save_fitted
from engine.evaluation.scores import Scores
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.runs.steps import evaluate_run_encoders, fit_and_save
from engine.training import processes
from engine.training.pretraining.model import save_model
from engine.training.pretraining.task import prepare_pretraining
from engine.training.runtime import Runtime
from engine.training.trainer import Trainer


def pretrain_run(config: PretrainConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Pre-train, save the encoder, and evaluate it without prefixes, centred on its own text.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    runtime = Runtime.start(config.seed, config.pretraining)
    with processes.first_alone():
        task = prepare_pretraining(config, runtime, run.checkpoints, reporter)
    run.update(device=str(runtime.device))

    def save() -> None:
        run.write_table("pretraining", task.rows())
        save_model(task.model, task.tokenizer, run.checkpoints / PRETRAINED)

    fit_and_save(Trainer(config.pretraining, runtime, run, reporter), task, save)
    if not runtime.is_main:
        return []
    encoder = Encoder.load(pretrained_encoder(config, run.checkpoints))
    sentences = [text for found in task.texts.values() for text in evenly_spaced(found.training)]
    fit(encoder, evenly_spaced(sentences), "passage", precision=runtime.precision)
    for name in ("student", "teacher"):  # it encodes queries and documents
        save_fitted(encoder, run.checkpoints / name)
    encoder.to(runtime.device)
    return evaluate_run_encoders(config, encoder, encoder, runtime, run, reporter)
