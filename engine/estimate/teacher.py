"""What the training of a teacher will need."""

from __future__ import annotations

from functools import partial
from itertools import islice

from engine.bitext.files import find
from engine.config.teacher import QuestionSource, TeacherConfig
from engine.encoders.encoder import Encoder
from engine.encoders.fitting import FITTED_ON, needs_fitting
from engine.estimate.encoding import measure
from engine.estimate.searching import add_evaluation
from engine.estimate.sheet import Sheet
from engine.estimate.training import add_steps, bytes_of, measurements, saved_bytes, trained_bytes
from engine.reporting import SILENT
from engine.training.runtime import Runtime
from engine.training.teaching.questions import load_questions
from engine.training.teaching.task import Teaching

#: Examples of each source that are read, batches that steps are timed on, and questions that are held out.
READ, BATCHES, HELD_OUT = 2000, 8, 16


def estimate_teacher(config: TeacherConfig, sheet: Sheet) -> None:
    """Add the stages of the training of a teacher to an estimate.

    Raises
    ------
    InputError
        If a source, a collection or the checkpoint is missing or broken.
    """
    training = config.training
    runtime = Runtime.start(config.seed, training)
    sheet.meter.device = runtime.device
    few = [
        source.model_copy(update={"stop": min(source.stop or source.start + READ, source.start + READ)})
        for source in config.sources
    ]
    held_out = min(training.held_out, HELD_OUT)
    rehearsed = config.model_copy(
        update={"sources": few, "training": training.model_copy(update={"held_out": held_out})}
    )
    cost, questions = sheet.meter.of(partial(load_questions, rehearsed, SILENT))
    read = len(questions.training) + len(questions.held_out)
    total = max(read, sum(_examples(source, read // len(few)) for source in config.sources))
    sheet.add("reading questions and passages", total, "questions", cost * (total / max(1, read)))
    encoder = Encoder.load(config.encoder, dropout=training.dropout).to(runtime.device)
    texts = [question.text for question in questions.training]
    passages = list(dict.fromkeys(text for one in questions.training for text in one.passages))
    cost, task = sheet.meter.of(partial(Teaching, rehearsed, questions, encoder, runtime))
    sheet.add("word pieces", total, "questions", cost * (total / max(1, read)))
    of_passages = measure(sheet.meter, encoder, passages, "passage", runtime.precision)
    of_questions = measure(sheet.meter, encoder, texts, "query", runtime.precision)
    one_passage = of_passages.of(passages) * (1 / max(1, len(passages)))
    one_question = of_questions.of(texts) * (1 / max(1, len(texts)))
    if needs_fitting(config.encoder):
        fitted = min(FITTED_ON, total)
        sheet.add("fitting the mean", fitted, "passages", one_passage * fitted)
    times = measurements(training)
    if training.held_out:
        pairs = len({question.languages for question in questions.training})
        pool = max(training.pool, training.held_out * pairs)
        pool = min(pool, round(len(passages) * total / max(1, read)))
        one = one_passage * pool + one_question * (training.held_out * pairs)
        sheet.add("held-out retrieval", times * pool, "passages", one * times)
    add_steps(
        sheet,
        config,
        training,
        runtime,
        task,
        list(islice(task.batches(), BATCHES)),
        units=training.batch_size,
        unit="questions",
        size=lambda batch: sum(max(map(len, question.passages)) for question in batch),
    )
    if training.patience is not None:
        sheet.note("the training is counted to its last step; training.patience may end it earlier")
    trained = trained_bytes(encoder)
    encoder = task.finish()
    sheet.disk["run folder"] += saved_bytes(trained, bytes_of(encoder.model))
    add_evaluation(
        sheet,
        config.collections,
        config.evaluation,
        queries=encoder,
        documents=encoder,
        precision=runtime.precision,
        seed=config.seed,
    )


def _examples(source: QuestionSource, read: int) -> int:
    """Return how many examples a source has, by its size if only the first were read."""
    if read < READ:
        return read
    if source.stop is not None:
        return source.stop - source.start
    size = find(source.path).stat().st_size
    with find(source.path).open("rb") as stream:
        lines = stream.read(1 << 22)
    return max(READ, round(lines.count(b"\n") * size / max(1, len(lines))))
