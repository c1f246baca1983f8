"""Training a teacher: an encoder learns to rank the passage that answers a question above all others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from torch import Tensor

from engine.collections.training_questions.question import TrainingQuestion
from engine.config.teacher import TeacherConfig
from engine.encoders.encoder import Encoded, Encoder, Role
from engine.encoders.fitting import evenly_spaced, fit, needs_fitting
from engine.encoders.trimming import trim, untrim
from engine.errors import InputError
from engine.reporting import SILENT, Reporter
from engine.training import processes
from engine.training.optimiser import check_batch_size, freeze, make_optimiser
from engine.training.runtime import Runtime, use_inference_attention, use_training_attention
from engine.training.teaching.batches import Languages, draw_questions, with_passages
from engine.training.teaching.held_out import HeldOutQuestions, make_pools
from engine.training.teaching.losses import TeacherLoss, scores_of
from engine.training.teaching.questions import Questions, load_questions
from engine.training.trainer import TaskInfo

#: Texts tokenised at once.
_CHUNK = 4096


def prepare_teaching(config: TeacherConfig, runtime: Runtime, reporter: Reporter = SILENT) -> Teaching:
    """Read the questions, load the encoder, and fit what unlabelled text fits.

    Raises
    ------
    InputError
        If a source or the checkpoint is missing or broken, or nothing is left to train on.
    """
    questions = load_questions(config, reporter)
    encoder = Encoder.load(config.encoder, dropout=config.training.dropout)
    encoder.to(runtime.device)
    if needs_fitting(config.encoder):
        passages = list(dict.fromkeys(question.passages[0] for question in questions.training))
        fit(encoder, evenly_spaced(passages), "passage", precision=runtime.precision)
    return Teaching(config, questions, encoder, runtime, reporter)


class Teaching:
    """The training of a teacher, as a task for the `Trainer`.

    Parameters
    ----------
    config : TeacherConfig
        The run's configuration.
    data : Questions
        What it trains on.
    encoder : Encoder
        The encoder, on the runtime's device.
    runtime : Runtime
        Where it computes.
    reporter : Reporter
        Receives progress.

    Raises
    ------
    InputError
        If no question has counted tokens, a batch is larger than the data, or the encoder has fewer layers
        than are frozen.
    """

    def __init__(
        self,
        config: TeacherConfig,
        data: Questions,
        encoder: Encoder,
        runtime: Runtime,
        reporter: Reporter = SILENT,
    ) -> None:
        self.config, self.data, self.encoder = config, data, encoder
        self.runtime, self.reporter = runtime, reporter
        self.info = TaskInfo(patience=config.training.patience)
        self.hashes = [str(row["hash"]) for row in data.rows]
        self.pieces: set[int] = set()
        training = self._counted(data.training)
        if not training:
            raise InputError("no question has countable tokens; see punctuation and special_tokens")
        check_batch_size(config.training.batch_size, len(training), "questions")
        held_out = self._counted(data.held_out)
        self.questions = _by_languages(training)
        self.held_out = HeldOutQuestions(
            _by_languages(held_out),
            make_pools(held_out, training, config.training.pool),
            data.known,
            config.loss.scoring,
            runtime.precision,
        )
        self.teacher_loss = TeacherLoss(config.loss)
        if config.training.trim_vocabulary:
            trim(encoder, self.pieces)
        freeze(encoder, config.training)
        use_training_attention(encoder.model, runtime)
        self.learner = encoder
        self.optimiser = make_optimiser(encoder, config.training)

    def _counted(self, questions: Sequence[TrainingQuestion]) -> list[TrainingQuestion]:
        """Return the questions with a counted token, without passages that have none; collect all pieces."""
        texts = dict.fromkeys(question.text for question in questions)
        passages = dict.fromkeys(text for question in questions for text in question.passages)
        self.reporter.stage("word pieces", len(texts) + len(passages))
        asked = self._countable(texts, "query")
        answered = self._countable(passages, "passage")
        kept = []
        for question in questions:
            if question.text not in asked:
                continue
            if not all(text in answered for text in question.passages):
                places = [i for i, text in enumerate(question.passages) if text in answered]
                answers = sum(place < question.answers for place in places)
                if not answers:
                    continue
                scores = None if question.scores is None else tuple(question.scores[i] for i in places)
                question = TrainingQuestion(
                    question.topic,
                    question.text,
                    question.language,
                    question.passage_language,
                    tuple(question.passages[i] for i in places),
                    answers,
                    scores,
                )
            kept.append(question)
        return kept

    def _countable(self, texts: Iterable[str], role: Role) -> set[str]:
        found, every = set(), list(texts)
        for start in range(0, len(every), _CHUNK):
            chunk = every[start : start + _CHUNK]
            for text, tokens in zip(chunk, self.encoder.tokenize(chunk, role), strict=True):
                self.pieces.update(tokens.ids)
                if any(tokens.counted) or (role == "query" and self.config.encoder.query_expansion):
                    found.add(text)
            self.reporter.advance(len(chunk))
        return found

    # -- the task ---------------------------------------------------------------------------------------

    def batches(self) -> Iterator[list[TrainingQuestion]]:
        """Yield batches without end."""
        config = self.config
        return draw_questions(self.questions, config.sampling, config.training.batch_size, config.seed)

    def loss(
        self, step: int, batch: list[TrainingQuestion], generator: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch, and the figures of its parts."""
        self.encoder.train()
        passages, scored = with_passages(batch, self.data.known, self.config.loss.negatives, generator)
        questions = self._encode([question.text for question in batch], "query")
        answers = self._encode(passages, "passage")
        scores = scores_of(self.config.loss.scoring, questions, answers)
        return self.teacher_loss(scores, scored.to(self.runtime.device))

    def _encode(self, texts: Sequence[str], role: Role) -> Encoded:
        with self.runtime.autocast():
            return processes.encode(self.encoder, self.encoder.tokenize(texts, role), role)

    def measure(self) -> dict[str, float] | None:
        """Return the figures of held-out retrieval."""
        return self.held_out.measure(self.encoder) if self.held_out.questions else None

    def finish(self) -> Encoder:
        """Return the encoder, ready for inference with its whole vocabulary."""
        untrim(self.encoder)
        use_inference_attention(self.encoder.model)
        return self.encoder.eval()


def _by_languages(questions: Iterable[TrainingQuestion]) -> dict[Languages, list[TrainingQuestion]]:
    found: dict[Languages, list[TrainingQuestion]] = {}
    for question in questions:
        found.setdefault(question.languages, []).append(question)
    return found
