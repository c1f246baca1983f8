"""Settings of the training of a teacher: questions, sampling, loss, training loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.config.base import Fraction, Settings
from engine.config.encoders import EncoderConfig
from engine.config.evaluation import EvaluationConfig
from engine.config.inputs import batch_input, encoder_inputs, frozen_input, tracking_input
from engine.config.optimisation import LoopConfig
from engine.config.runs import RunConfig
from engine.config.tracking import TrackingConfig
from engine.extensions.runs import Input, RunKind, TrainedEncoder
from engine.extensions.scorings import SCORINGS, TRAINED_SCORINGS
from engine.registry import OneOf, describe

QuestionFormat = Literal["triples", "text-triples", "tevatron", "colbert", "pylate", "squad"]
"""Formats of questions with passages that answer them and passages that do not."""

#: Formats that name passages and questions by ids, which are looked up in separate files.
BY_ID: tuple[QuestionFormat, ...] = ("triples", "colbert", "pylate")
#: Formats that may have a score for each passage.
SCORED: tuple[QuestionFormat, ...] = ("colbert", "pylate")


class QuestionSource(Settings):
    """One source of questions with passages."""

    path: str
    """A file, inside the data home when relative; it may be gzipped."""
    format: QuestionFormat
    """MS MARCO's triples of ids or of texts, JSON Lines in the format of Tevatron, ColBERT or PyLate, or a
    SQuAD-shaped file, whose passage is the sentence or paragraph with the answer."""
    queries: str | None = None
    """The file of questions by id, for formats with ids: lines ``id<tab>text``, or PyLate's JSON Lines."""
    collection: str | None = None
    """The file of passages by id, for formats with ids: lines ``id<tab>text``, or PyLate's JSON Lines."""
    question_language: str = "en"
    """ISO 639 code of the questions' language."""
    passage_language: str = "en"
    """ISO 639 code of the passages' language."""
    passage: Literal["sentence", "paragraph"] = "sentence"
    """The passage of a SQuAD-shaped file; the paragraph's other sentences are hard negatives."""
    start: int = Field(0, ge=0)
    """First example to use, in the file's order."""
    stop: int | None = Field(None, ge=1)
    """Example to stop before; none reads to the end."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in ("queries", "collection"):
            given = getattr(self, name) is not None
            if self.format in BY_ID and not given:
                raise ValueError(f"format '{self.format}' names texts by id, so it needs {name}, their file")
            if self.format not in BY_ID and given:
                raise ValueError(f"format '{self.format}' contains its texts; leave {name} out")
        if self.format != "squad" and self.passage != "sentence":
            raise ValueError("passage is only for the format 'squad'; leave it out")
        if self.stop is not None and self.stop <= self.start:
            raise ValueError(f"stop must be above start ({self.start}), not {self.stop}")
        return self

    @property
    def cross_lingual(self) -> bool:
        """Whether questions and passages are in different languages."""
        return self.question_language != self.passage_language


class QuestionSampling(Settings):
    """How batches are drawn from the pairs of languages."""

    alpha: float = Field(1.0, ge=0)
    """A pair of languages (of question and passage) with n examples is drawn in proportion to n^α."""
    cross_lingual_share: Fraction | None = None
    """Share of the draws whose question and passage differ in language. SQuAD-shaped sources in several
    languages then also give questions in one language with the answer in another, if they share ids; none
    takes the sources as they are."""
    batches: Literal["mixed", "one_pair"] = "mixed"
    """Whether a batch mixes pairs of languages, or has one pair, so that no negative can be recognised by its
    language."""


class TeacherLossConfig(Settings):
    """The loss: a contrast between passages, given scores, or both."""

    scoring: Annotated[str, OneOf(TRAINED_SCORINGS)] = Field(
        "maxsim", description=describe("The scores that are trained.", TRAINED_SCORINGS)
    )
    contrast: float = Field(1.0, ge=0)
    """Weight of InfoNCE: a question's passage against all other passages of the batch."""
    score_kl: float = Field(0.0, ge=0)
    """Weight of the KL divergence from given scores, such as a cross-encoder's, over each question's own
    passages."""
    temperature: float = Field(0.03, gt=0)
    """Temperature of the encoder's scores, which are averages over query tokens (1/32 is ColBERT's sum over
    32 tokens)."""
    given_temperature: float = Field(1.0, gt=0)
    """Temperature of the given scores; 1 suits the logits of a cross-encoder."""
    negatives: int = Field(1, ge=0)
    """Hard negatives a question: at most this many are drawn from those of its source."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.contrast or self.score_kl):
            raise ValueError("every loss has weight 0, so there is nothing to learn; give one a weight")
        if self.score_kl and not self.negatives:
            raise ValueError("score_kl compares a question's passages, so raise negatives above 0")
        return self


class TeachingConfig(LoopConfig):
    """The training loop."""

    batch_size: int = Field(32, ge=1)
    """Questions a step."""
    dropout: Fraction = 0.0
    """Dropout of the encoder during training."""
    held_out: int = Field(100, ge=0)
    """Questions that are held out, in all their languages, to measure retrieval during training."""
    overlap: Literal["drop", "keep"] = "drop"
    """Drop questions that are queries of an evaluation collection, or whose passage is relevant to one of
    them, spelled the same or nearly the same."""
    pool: int = Field(1000, ge=1)
    """Passages that held-out questions search, in all languages together: their own, and others up to this
    number."""
    trim_vocabulary: bool = True
    """Train only the word pieces that the training texts use; the whole vocabulary is saved."""


class TeacherConfig(RunConfig):
    """Train a retriever on questions and passages, then evaluate it; other runs can use it as teacher."""

    kind: Literal["teacher"] = "teacher"
    """The kind of run."""
    preset: str | None = None
    """The preset that this configuration is based on; recorded with the run."""
    encoder: EncoderConfig = Field(default_factory=EncoderConfig)
    """The encoder that is trained."""
    sources: list[QuestionSource] = Field(min_length=1)
    """Questions and passages to train on."""
    sampling: QuestionSampling = Field(default_factory=QuestionSampling)
    """How batches are drawn."""
    loss: TeacherLossConfig = Field(default_factory=TeacherLossConfig)
    """The loss that is minimised."""
    training: TeachingConfig = Field(default_factory=TeachingConfig)
    """Settings of the training loop."""
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
    """TensorBoard and other programs that follow the run."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Refuse settings that contradict each other."""
        self._scoring()
        self._languages()
        if self.loss.score_kl:
            for source in self.sources:
                if source.format not in SCORED:
                    raise ValueError(
                        f"loss.score_kl needs a score for each passage, which format '{source.format}' of "
                        f"{source.path} has not; set loss.score_kl to 0 or give scores"
                    )
        if self.loss.contrast and self.training.batch_size == 1 and not self.loss.negatives:
            raise ValueError(
                "a contrast needs several passages to compare, so raise training.batch_size above 1 or set "
                "loss.negatives"
            )
        return self

    def _scoring(self) -> None:
        scoring, asked = self.loss.scoring, self.evaluation.scoring
        trained = SCORINGS[scoring].compares
        if all(SCORINGS[name].compares != trained for name in asked) and (
            self.collections or asked != EvaluationConfig().scoring
        ):
            raise ValueError(
                f"loss.scoring = '{scoring}' trains what evaluation.scoring = {asked} never asks for; "
                "give both the same"
            )
        if trained == "tokens":
            return
        of_tokens = next(name for name, known in TRAINED_SCORINGS.items() if known.compares == "tokens")
        if self.encoder.projection != "none":
            raise ValueError(
                f"loss.scoring = '{scoring}' trains sentence vectors, which are pooled before any "
                f"projection; set encoder.projection to 'none', or loss.scoring to '{of_tokens}'"
            )
        if self.encoder.query_expansion:
            raise ValueError(
                f"loss.scoring = '{scoring}' trains sentence vectors, in which [MASK] tokens take no part; "
                f"set encoder.query_expansion to false, or loss.scoring to '{of_tokens}'"
            )

    def _languages(self) -> None:
        share = self.sampling.cross_lingual_share
        if share is None:
            return
        crossing = any(source.cross_lingual for source in self.sources)
        alone = {s.question_language for s in self.sources if not s.cross_lingual}
        squad = {s.question_language for s in self.sources if s.format == "squad" and not s.cross_lingual}
        if share > 0 and not crossing and len(squad) < 2:
            raise ValueError(
                "sampling.cross_lingual_share needs sources that cross languages, or SQuAD-shaped ones in "
                "two languages that share ids; add one or leave it out"
            )
        if share == 0 and crossing:
            raise ValueError(
                "sampling.cross_lingual_share = 0 would never draw the sources that cross languages; leave "
                "it out or drop them"
            )
        if share < 1 and not alone:
            raise ValueError(
                f"sampling.cross_lingual_share = {share:g} draws monolingual pairs too, and no source has "
                "any; add one or set it to 1"
            )


def _trained(config: TeacherConfig, checkpoints: Path) -> tuple[EncoderConfig, EncoderConfig]:
    encoder = config.encoder.model_copy(update={"checkpoint": str(checkpoints / "teacher")})
    return encoder, encoder


def _read_by_teacher(config: TeacherConfig) -> Iterator[Input]:
    yield tracking_input(config.tracking)
    yield from encoder_inputs(config, "encoder")
    yield frozen_input(config.encoder, config.training.frozen_layers)
    for place, source in enumerate(config.sources):
        yield Input(f"sources.{place}", "engine.runs.checks:check_questions", source)
    yield batch_input(config.sources, config.training)


TEACHER = RunKind(
    settings=TeacherConfig,
    execute="engine.runs.teacher:teacher_run",
    estimate="engine.estimate.teacher:estimate_teacher",
    saves_state=True,
    shared=True,
    loop="training",
    trained=TrainedEncoder("teacher", label="teacher", method="trained"),
    encoders=_trained,
    inputs=_read_by_teacher,
    # two languages, for presets with cross-lingual batches
    placeholders={
        "sources": [
            {"path": "any", "format": "squad"},
            {"path": "any", "format": "squad", "question_language": "sw"},
        ]
    },
)
