"""What a pre-training will need."""

from __future__ import annotations

import tempfile
from functools import partial
from itertools import islice
from pathlib import Path

from engine.config.pretraining import PRETRAINED, PretrainConfig, pretrained_encoder
from engine.encoders.encoder import Encoder
from engine.encoders.fitting import FITTED_ON
from engine.estimate.encoding import measure
from engine.estimate.searching import add_evaluation
from engine.estimate.sheet import Sheet
from engine.estimate.training import add_steps, bytes_of, measurements
from engine.reporting import SILENT
from engine.training.pretraining.model import save_model
from engine.training.pretraining.task import Pretraining, prepare_pretraining
from engine.training.runtime import Runtime

#: Steps that are drawn to measure.
STEPS = 8


def estimate_pretrain(config: PretrainConfig, sheet: Sheet) -> None:
    """Add the stages of a pre-training to an estimate.

    The text is read whole, and a tokenizer is trained if the run trains one, because the size of the
    vocabulary decides how long a step takes.

    Raises
    ------
    InputError
        If text, a checkpoint or a collection is missing or broken.
    """
    with tempfile.TemporaryDirectory() as folder:
        pretrain(config, sheet, Path(folder))


def pretrain(config: PretrainConfig, sheet: Sheet, folder: Path) -> None:
    """Add the stages to an estimate, and save an encoder as it will be, with other weights, in `folder`.

    Raises
    ------
    InputError
        If text, a checkpoint or a collection is missing or broken.
    """
    folder.mkdir(exist_ok=True)
    settings = config.pretraining
    runtime = Runtime.start(config.seed, settings)
    sheet.meter.device = runtime.device
    few = config.model_copy(
        update={"pretraining": settings.model_copy(update={"steps": min(settings.steps, STEPS)})}
    )
    prepare = partial(prepare_pretraining, few, runtime, folder, SILENT)
    cost, task = sheet.meter.of(prepare)
    sentences = sum(len(found.training) for found in task.texts.values())
    sheet.add("reading text and tokenising", sentences, "sentences", cost)
    _add_training(config, task, runtime, sheet)
    save_model(task.model, task.tokenizer, folder / PRETRAINED)
    encoder = Encoder.load(pretrained_encoder(config, folder)).to(runtime.device)
    texts = [text for found in task.texts.values() for text in found.training]
    rate = measure(sheet.meter, encoder, texts, "passage", runtime.precision)
    fitted = min(FITTED_ON, len(texts))
    sheet.add("fitting the mean", fitted, "sentences", rate.of(texts) * (fitted / len(texts)))
    sheet.disk["run folder"] += bytes_of(task.model)
    add_evaluation(
        sheet,
        config.collections,
        config.evaluation,
        queries=encoder,
        documents=encoder,
        precision=runtime.precision,
        seed=config.seed,
    )


def _add_training(config: PretrainConfig, task: Pretraining, runtime: Runtime, sheet: Sheet) -> None:
    settings = config.pretraining
    times = measurements(settings)
    if task.held_out:
        task.measure()  # kernels are prepared for new shapes
        cost, _ = sheet.meter.of(task.measure)
        blocks = sum(len(masked.ids) for found in task.held_out.batches.values() for masked in found)
        sheet.add("held-out loss", times * blocks, "blocks", cost * times)
    add_steps(
        sheet,
        config,
        settings,
        runtime,
        task,
        list(islice(task.batches(), min(settings.steps, STEPS))),
        units=settings.batch_size * settings.length,
        unit="tokens",
    )
