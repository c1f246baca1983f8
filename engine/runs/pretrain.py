"""A run that pre-trains an encoder, and evaluates it where collections are named."""

from __future__ import annotations

from engine.config.pretraining import PRETRAINED, PretrainConfig, pretrained_encoder
from engine.encoders.encoder import Encoder
from engine.encoders.fitting import fit
from engine.encoders.saving import save_fitted
from engine.evaluation.runner import evaluate
from engine.evaluation.scores import Scores
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.training.distillation.encoders import some
from engine.training.pretraining.loop import Pretraining
from engine.training.pretraining.model import save_model


def pretrain_run(config: PretrainConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Pre-train, save the encoder, and evaluate it; stopped, save what there is.

    The encoder is searched as it came out, without prefixes, centred on its own text.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    pretraining = Pretraining(config, run, reporter)
    run.update(device=str(pretraining.device))
    try:
        pretraining.train()
    finally:
        run.write_table("pretraining", pretraining.rows())
        save_model(pretraining.model, pretraining.tokenizer, run.checkpoints / PRETRAINED)
    encoder = Encoder.load(pretrained_encoder(config, run.checkpoints))
    sentences = [text for found in pretraining.texts.values() for text in some(found.training)]
    fit(encoder, some(sentences), "passage", precision=pretraining.precision)
    for name in ("student", "teacher"):  # both encoders of a run that is searched as it is
        save_fitted(encoder, run.checkpoints / name)
    encoder.to(pretraining.device)
    return evaluate(
        config.collections,
        config.evaluation,
        queries=encoder,
        documents=encoder,
        precision=pretraining.precision,
        run=run,
        seed=config.seed,
        reporter=reporter,
    )
