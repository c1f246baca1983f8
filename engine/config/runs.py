"""Settings of runs that distil an encoder or evaluate encoders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.config.base import RunHeader
from engine.config.bitext import BitextConfig, TrainingBitextConfig
from engine.config.collections import CollectionConfig
from engine.config.distillation import CurrentLosses, LossConfig, TrainingConfig, TransportConfig
from engine.config.encoders import EncoderConfig
from engine.config.evaluation import EvaluationConfig
from engine.config.inputs import (
    ANY_BITEXT,
    ANY_COLLECTION,
    batch_input,
    bitext_inputs,
    checkpoint_input,
    encoder_inputs,
    frozen_input,
    tracking_input,
)
from engine.config.tracking import TrackingConfig
from engine.config.translation import GOLD, TranslationConfig
from engine.extensions.losses import LOSSES
from engine.extensions.runs import Input, RunKind, TrainedEncoder
from engine.extensions.transport import SOLVERS


class RunConfig(RunHeader):
    """Settings of every run with encoders."""

    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    """How collections are searched."""
    collections: list[CollectionConfig] = Field(default_factory=list)
    """Collections to evaluate on, after training if the run trains."""


class DistilConfig(RunConfig):
    """Distil a student query encoder from a teacher with bitext, then evaluate it."""

    kind: Literal["distil"] = "distil"
    """The kind of run."""
    preset: str | None = None
    """The preset that this configuration is based on; recorded with the run."""
    teacher: EncoderConfig = Field(default_factory=EncoderConfig)
    """The frozen English retriever. It also encodes all documents."""
    student: EncoderConfig | None = None
    """The student query encoder; none starts from the teacher."""
    bitext: list[TrainingBitextConfig] = Field(min_length=1)
    """Sentence pairs to train on."""
    gloss: bool = False
    """Whether the student reads every query with translations of its words behind it, which are learnt from
    the bitext. Sentences to train on are glossed by what the other pairs say."""
    loss: Annotated[LossConfig, CurrentLosses()] = Field(
        default_factory=lambda: LossConfig.model_validate({"transport": 1.0})
    )
    """The loss that is minimised."""
    transport: TransportConfig = Field(default_factory=TransportConfig)
    """The transport problem inside the loss."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    """Settings of the training loop."""
    language_components: int = Field(0, ge=0)
    """Principal components of each language's vectors that are removed from them before training (LIR), so
    that the student begins where LIR ends. They are fitted on both sides of `bitext`, with the untrained
    student and with the teacher, stay fixed, and are saved with both encoders."""
    passages: list[CollectionConfig] = Field(default_factory=list)
    """Collections whose documents `loss.passages` scores; empty takes those of `collections`. Their
    judgements are not read."""

    validation: CollectionConfig | None = None
    """A collection that is searched every `training.evaluate_every` steps; its first measure, with the first
    of `evaluation.scoring`, decides which step is best, instead of held-out pairs. Questions whose topics
    are also in `collections` are left out; `limit` keeps the search short."""
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
    """TensorBoard and other programs that follow the run."""

    @property
    def searched(self) -> list[CollectionConfig]:
        """The collections that are searched: those of the evaluation, then that of the validation."""
        return self.collections if self.validation is None else [*self.collections, self.validation]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Refuse settings that contradict each other."""
        training = self.training
        if self.validation is not None:
            self._check_validation()
        self._check_masses()
        self._check_annealing()
        self._check_components()
        used = [entry for name, entry in LOSSES.items() if self.loss.weight(name)]
        if (
            training.batch_size == 1
            and not self.loss.negatives
            and any(entry.compares == "batches" for entry in used)
        ):
            raise ValueError(
                "a contrast needs several sentences to compare, so raise training.batch_size above 1 or set "
                "loss.negatives"
            )
        if self.transport.layers and not any(entry.layers for entry in used):
            able = _either(f"loss.{name}" for name, entry in LOSSES.items() if entry.layers)
            raise ValueError(f"transport.layers belongs to {able}, which has weight 0; leave it out")
        if training.anchor and any(source.one_language for source in self.bitext):
            raise ValueError(
                "training.anchor puts English on both sides, as a source in one language does; set it to 0"
            )
        self._check_passages(list(self.loss.over_passages()))
        if training.student_role != "query" and self.collections and self.evaluation.documents == "teacher":
            raise ValueError(
                f"training.student_role = '{training.student_role}' teaches the student documents, which "
                "evaluation.documents = 'teacher' never asks it for; set that to 'student'"
            )
        return self

    def _check_components(self) -> None:
        """Refuse language components where they are not removed from all that is compared."""
        if not self.language_components:
            return
        if self.transport.layers:
            raise ValueError(
                "language_components are those of the last layer, and transport.layers compares others; "
                "leave one of the two out"
            )
        if self.training.student_role != "query" or self.evaluation.documents == "student":
            raise ValueError(
                "language_components are removed from the student's queries and the teacher's documents; "
                "leave them out where the student encodes documents (training.student_role, "
                "evaluation.documents)"
            )

    def _check_validation(self) -> None:
        """Refuse a validation for which the student does not learn, or whose documents change."""
        if self.training.student_role == "passage":
            raise ValueError(
                "[validation] asks questions, which a student with training.student_role = 'passage' does "
                "not learn to encode; leave one of the two out"
            )
        if self.evaluation.documents == "student":
            raise ValueError(
                "[validation] searches documents that the teacher encoded, and evaluation.documents = "
                "'student' does not; leave one of the two out"
            )

    def _check_passages(self, losses: Sequence[str]) -> None:
        """Refuse `losses` over passages where no queries are encoded, and passages without such a loss."""
        if not losses:
            if self.passages:
                able = _either(f"loss.{name}" for name, entry in LOSSES.items() if entry.passages)
                raise ValueError(f"passages belongs to {able}, which has weight 0; leave it out")
            return
        for name in ("student_role", "target_role"):
            if (role := getattr(self.training, name)) != "query":
                raise ValueError(
                    f"loss.{losses[0]} scores passages for queries, so training.{name} must be 'query', "
                    f"not '{role}'"
                )

    def _check_masses(self) -> None:
        """Refuse masses that nothing trains."""
        solvers = [name for name, entry in SOLVERS.items() if entry.mass_gradient]
        losses = [name for name, entry in LOSSES.items() if entry.trains_masses]
        trained = self.transport.solver in solvers and any(self.loss.weight(name) for name in losses)
        if self.transport.needs("mass_head") and not trained:
            raise ValueError(
                f"transport.marginals = '{self.transport.marginals}' needs the solver "
                f"{_either(map(repr, solvers))}, which gives masses a gradient, and a weight of "
                f"{_either(f'loss.{name}' for name in losses)}, which trains them"
            )

    def _check_annealing(self) -> None:
        """Refuse annealing with a solver that has none, or in the wrong direction."""
        transport = self.transport
        if transport.anneal_from is None:
            return
        if "anneal_from" not in SOLVERS[transport.solver].settings:
            able = _either(repr(name) for name, entry in SOLVERS.items() if "anneal_from" in entry.settings)
            raise ValueError(
                f"transport.anneal_from belongs to the solver {able}; leave it out with '{transport.solver}'"
            )
        if transport.anneal_from < transport.epsilon:
            raise ValueError(
                f"transport.anneal_from must be at least transport.epsilon ({transport.epsilon:g}), "
                f"not {transport.anneal_from:g}"
            )


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)


def _distilled(config: DistilConfig, checkpoints: Path) -> tuple[EncoderConfig, EncoderConfig]:
    student = config.student or config.teacher
    return student.model_copy(update={"checkpoint": str(checkpoints / "student")}), config.teacher


def _read_by_distil(config: DistilConfig) -> Iterator[Input]:
    yield tracking_input(config.tracking)
    yield from encoder_inputs(config, "teacher", "student")
    yield frozen_input(config.student or config.teacher, config.training.frozen_layers)
    yield from bitext_inputs(config.bitext)
    yield Input("loss", "engine.training.distillation.passages:check_passages", config)
    if config.validation is not None:
        yield Input("validation", "engine.training.distillation.validation:check_validation", config)
    for place, passages in enumerate(config.passages):
        yield Input(f"passages.{place}", "engine.collections.load:load_collections", passages)
    yield batch_input(config.bitext, config.training)


DISTIL = RunKind(
    settings=DistilConfig,
    execute="engine.runs.distil:distil_run",
    estimate="engine.estimate.distil:estimate_distil",
    saves_state=True,
    shared=True,
    loop="training",
    trained=TrainedEncoder("student", label="student", method="distilled"),
    encoders=_distilled,
    inputs=_read_by_distil,
    placeholders={"bitext": ANY_BITEXT},
)


class EncodersConfig(RunConfig):
    """Settings of runs that evaluate encoders as they are."""

    encoder: EncoderConfig = Field(default_factory=EncoderConfig)
    """Encodes the queries, and the documents unless `teacher` is given."""
    teacher: EncoderConfig | None = None
    """Encodes the documents, if that is another encoder."""
    translation: TranslationConfig | None = None
    """Translates queries before they are encoded (translate-test); none leaves them as they are."""
    language_components: int = Field(0, ge=0)
    """Principal components of each language's vectors that are removed from them (LIR, Yang et al. 2021).
    They are fitted on both sides of `bitext`; in other languages, on the queries and documents."""
    language_shift: bool = False
    """Subtract from the vectors of each language their mean difference from the vectors of the translations
    in `bitext`, which must have every language that is searched (SHIFT, Jang et al. 2026)."""
    bitext: list[BitextConfig] = Field(default_factory=list)
    """Unlabelled text to fit centring and whitening on; none takes the documents of the first collection."""
    fitted: Literal["saved", "new"] = "saved"
    """Whether an encoder that a run saved keeps the mean and projection of that run (``saved``), which also
    centre what it is compared with, or all are fitted on that text (``new``)."""
    collections: list[CollectionConfig] = Field(min_length=1)
    """Collections to evaluate on."""

    @model_validator(mode="after")
    def _separate(self) -> Self:
        used = [name for name in ("language_components", "language_shift") if getattr(self, name)]
        if self.translation is not None and used:
            raise ValueError(
                f"{used[0]} removes the differences between languages, and translated queries are "
                "in one language; leave one of the two out"
            )
        if len(used) == 2:
            raise ValueError(
                "language_components and language_shift both remove the differences between languages; leave "
                "one of the two out"
            )
        return self

    @property
    def document_encoder(self) -> EncoderConfig:
        """The encoder of the documents: `teacher`, or else `encoder`."""
        if self.teacher is not None and self.evaluation.documents == "teacher":
            return self.teacher
        return self.encoder


class EvaluateConfig(EncodersConfig):
    """Evaluate an encoder as it is (zero-shot transfer if nothing was distilled)."""

    kind: Literal["evaluate"] = "evaluate"
    """The kind of run."""
    preset: str | None = None
    """The preset that this configuration is based on; recorded with the run."""
    gloss: bool = False
    """Whether queries are encoded with translations of their words behind them, which are learnt from
    `bitext`. A student that learnt with a gloss has its own, and needs no setting."""

    @model_validator(mode="after")
    def _glossed(self) -> Self:
        if self.gloss and not self.bitext:
            raise ValueError("gloss learns translations of words from [[bitext]], and there is none; add it")
        if self.gloss and self.translation is not None:
            raise ValueError(
                "translated queries are in the documents' language, so gloss adds nothing; leave one of the "
                "two out"
            )
        return self


def _evaluated(config: EvaluateConfig, checkpoints: Path) -> tuple[EncoderConfig, EncoderConfig]:
    return config.encoder, config.document_encoder


def read_by_evaluate(config: EncodersConfig) -> Iterator[Input]:
    """Yield what an evaluation reads besides its collections."""
    yield from encoder_inputs(config, "teacher", "encoder")
    yield Input("language_shift", "engine.runs.evaluate:check_shift", config)
    if config.translation is not None and config.translation.checkpoint != GOLD:
        yield checkpoint_input("translation.checkpoint", config.translation.checkpoint)
    yield from bitext_inputs(config.bitext)


EVALUATE = RunKind(
    settings=EvaluateConfig,
    execute="engine.runs.evaluate:evaluate_run",
    estimate="engine.estimate.evaluate:estimate_evaluate",
    encoders=_evaluated,
    inputs=read_by_evaluate,
    placeholders={"collections": ANY_COLLECTION},
)
