"""A teacher's training: an encoder learns to rank the passage that answers a question above all others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch

from engine.collections.training_questions.question import TrainingQuestion
from engine.config.teacher import TeacherConfig
from engine.encoders.encoder import Encoded, Encoder, Role
from engine.encoders.fitting import fit
from engine.encoders.trimming import trim, untrim
from engine.errors import InputError
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder
from engine.training.distillation.encoders import needs_fitting, some
from engine.training.loop import TrainingLoop
from engine.training.optimiser import freeze, make_optimiser
from engine.training.teaching.batches import Languages, draw_questions, with_passages
from engine.training.teaching.held_out import HeldOutQuestions, make_pools
from engine.training.teaching.losses import TeacherLoss, scores_of
from engine.training.teaching.questions import load_questions

#: Texts tokenised at once.
_CHUNK = 4096


class Teaching(TrainingLoop[list[TrainingQuestion]]):
    """The training of one teacher.

    Parameters
    ----------
    config : TeacherConfig
        The run's configuration.
    run : RunFolder
        Where metrics and checkpoints go.
    reporter : Reporter
        Who watches.

    Raises
    ------
    InputError
        If a source or the checkpoint is missing or broken, or nothing is left to learn from.
    """

    def __init__(self, config: TeacherConfig, run: RunFolder, reporter: Reporter = SILENT) -> None:
        super().__init__(config.training, config.seed, run, reporter)
        self.config = config
        found = load_questions(config, reporter)
        run.write_table("bitext", found.rows)
        self.known = found.known
        self.encoder = Encoder.load(config.encoder, dropout=config.training.dropout)
        self.encoder.to(self.device)
        if needs_fitting(config.encoder):
            passages = list(dict.fromkeys(q.passages[0] for q in found.training))
            fit(self.encoder, some(passages), "passage", precision=self.precision)
        self.pieces: set[int] = set()
        training = self._counted(found.training)
        if not training:
            raise InputError("no question has countable tokens; see punctuation and special_tokens")
        held_out = self._counted(found.held_out)
        self.questions = _by_languages(training)
        self.held_out = HeldOutQuestions(
            _by_languages(held_out),
            make_pools(held_out, training, config.training.pool),
            self.known,
            config.loss.scoring,
            self.precision,
        )
        self.loss = TeacherLoss(config.loss)
        if config.training.trim_vocabulary:
            trim(self.encoder, self.pieces)
        freeze(self.encoder, config.training)
        if self.device.type == "cpu" and self.precision == torch.bfloat16:
            # the fused kernel's backward pass is the slower one here
            self.encoder.model.set_attn_implementation("eager")
        optimiser = make_optimiser(self.encoder, config.training)
        self.begin(self.encoder, optimiser, [str(row["hash"]) for row in found.rows], 0.0)

    def _counted(self, questions: Sequence[TrainingQuestion]) -> list[TrainingQuestion]:
        """Return the questions with a token that counts, without passages that have none; note all pieces."""
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

    # -- the loop ---------------------------------------------------------------------------------

    def train(self) -> Encoder:
        """Run the loop and return the encoder with its best weights and its whole vocabulary.

        Raises
        ------
        DivergedError, InputError, KeyboardInterrupt
            As `TrainingLoop.run_loop`.
        """
        self.run_loop()
        return self.finish()

    def finish(self) -> Encoder:
        """Return the best encoder so far."""
        self.restore_best()
        untrim(self.encoder)
        self.encoder.model.set_attn_implementation("sdpa")
        return self.encoder.eval()

    def _batches(self) -> Iterator[list[TrainingQuestion]]:
        config = self.config
        return draw_questions(self.questions, config.sampling, config.training.batch_size, config.seed)

    def _step(self, step: int, batch: list[TrainingQuestion]) -> dict[str, float]:
        self.encoder.train()
        passages, scored = with_passages(batch, self.known, self.config.loss.negatives, self.generator)
        questions = self._encode([question.text for question in batch], "query")
        answers = self._encode(passages, "passage")
        scores = scores_of(self.config.loss.scoring, questions, answers)
        loss, figures = self.loss(scores, scored.to(self.device))
        return self._update(step, loss, figures)

    def _encode(self, texts: Sequence[str], role: Role) -> Encoded:
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision != torch.float32):
            encoded: Encoded = self.encoder(self.encoder.tokenize(texts, role), role)
        return encoded

    def _measure(self) -> dict[str, float] | None:
        return self.held_out.measure(self.encoder) if self.held_out.questions else None


def _by_languages(questions: Iterable[TrainingQuestion]) -> dict[Languages, list[TrainingQuestion]]:
    found: dict[Languages, list[TrainingQuestion]] = {}
    for question in questions:
        found.setdefault(question.languages, []).append(question)
    return found
