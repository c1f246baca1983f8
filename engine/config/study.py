"""Settings of a study: encoders that differ only in their pre-training, or in the balance of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from engine.config.base import Settings
from engine.config.encoders import EncoderConfig
from engine.config.inputs import bitext_inputs, checkpoint_input, encoder_inputs
from engine.config.pretraining import PRETRAIN, PretrainConfig, SamplingConfig
from engine.config.runs import DistilConfig, RunConfig
from engine.errors import nearest
from engine.extensions.runs import Input, RunKind
from engine.validation import describe_error

StageName = Literal["pretrain", "transfer", "distil"]
STAGES: tuple[StageName, ...] = ("pretrain", "transfer", "distil")
"""The stages of each arm and seed, in their order; only arms with `ArmConfig.sampling` are pre-trained."""

#: Settings that the study sets for all its runs.
_COMMON = ("name", "seed", "tags", "note", "evaluation", "collections")


class ArmConfig(Settings):
    """One arm: an encoder that is pre-trained with its own language sampling, published, or random."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*$", max_length=30)
    """A short name of letters, digits, '-' and '.'; it is part of the ids of its runs."""
    sampling: SamplingConfig | None = None
    """Pre-train with this sampling: how often each language is drawn; replaces ``pretrain.sampling``."""
    checkpoint: str | None = None
    """Take this encoder (packaged, folder or hub id) instead of a pre-training."""
    random_weights: bool = False
    """Draw the weights at random, without any pre-training. Architecture and tokenizer are those of
    `checkpoint`, or without it those of the pre-trained arms. Such an arm shows what transfer and
    distillation do alone."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.sampling is not None and (self.checkpoint is not None or self.random_weights):
            other = "random_weights" if self.checkpoint is None else "checkpoint"
            raise ValueError(f"sampling is for a pre-trained arm and {other} for one that is not; give one")
        if self.sampling is None and self.checkpoint is None and not self.random_weights:
            raise ValueError("give the arm sampling, checkpoint or random_weights = true")
        return self


class StudyConfig(RunConfig):
    """Compare encoders that differ in their pre-training: transfer and distil each in the same way."""

    kind: Literal["study"] = "study"
    """The kind of run."""
    preset: str | None = None
    """The preset that this configuration is based on; recorded with the run."""
    seeds: list[Annotated[int, Field(ge=0, le=2**32 - 1)]] = Field([0, 1, 2], min_length=1)
    """Every arm is run once with each seed."""
    arms: list[ArmConfig] = Field(min_length=2)
    """The arms; the others are compared with the first."""
    primary: list[str] = Field(min_length=2, max_length=2)
    """The primary comparison: two arms, of which the first minus the second is reported first and tested
    alone, without a correction: the mean over languages of the first collection, after distillation. It is
    named before the study runs. All other comparisons are secondary and are corrected together."""
    pretrain: PretrainConfig | None = None
    """The pre-training of the arms with `sampling`, equal in text, tokens and steps; all use one tokenizer,
    which the first of them trains. It is left out if all arms are published checkpoints."""
    transfer: DistilConfig
    """Training that brings a pre-trained encoder into the teacher's space, in the teacher's language.
    Searching the collections with its student measures *before* distillation."""
    distil: DistilConfig
    """Distillation of the student of `transfer` with bitext. Searching the collections with its student
    measures *after* distillation."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        """Refuse a study whose arms could not be compared."""
        if self.seed:
            raise ValueError("the seeds of a study are `seeds`; leave out seed")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds holds a seed twice; name each once")
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError("arms holds a name twice; give each arm its own")
        self._check_primary(names)
        self._check_origins()
        for stage in STAGES:
            if (settings := getattr(self, stage)) is not None:
                _leave_to_the_study(stage, settings)
        if self.distil.student is not None:
            raise ValueError("distil.student is the student of transfer; leave it out")
        if self.transfer.student is None:
            raise ValueError(
                "transfer.student is missing; set how an arm's encoder becomes a student, such as its "
                "projection to the teacher's width"
            )
        if self.transfer.student.checkpoint != EncoderConfig().checkpoint:
            raise ValueError("transfer.student.checkpoint is the encoder of each arm; leave it out")
        self._check_lengths(self.transfer.student)
        if self.transfer.teacher != self.distil.teacher:
            raise ValueError("transfer.teacher and distil.teacher differ; give both the same teacher")
        if not self.collections:
            raise ValueError("collections is missing; a study needs at least one")
        for place, arm in enumerate(self.arms):
            if arm.sampling is None:
                continue
            try:
                pretraining(self, arm, 0)
            except ValidationError as error:
                raise ValueError(describe_error(error, PretrainConfig, key=f"arms.{place}")) from error
        return self

    def _check_primary(self, names: list[str]) -> None:
        """Refuse a primary comparison that is not one of two arms."""
        for name in self.primary:
            if name not in names:
                raise ValueError(
                    f"primary names {name!r}, which is no arm{nearest(name, names)}; the arms are "
                    f"{', '.join(names)}"
                )
        if self.primary[0] == self.primary[1]:
            raise ValueError("primary names the same arm twice; name two arms")

    def _check_origins(self) -> None:
        """Refuse arms whose encoder has no origin, and a pre-training that no arm has."""
        pretrained = any(arm.sampling is not None for arm in self.arms)
        if pretrained and self.pretrain is None:
            raise ValueError("pretrain is missing; the arms with sampling are pre-trained")
        if self.pretrain is not None and not pretrained:
            raise ValueError("pretrain is set and no arm has sampling, so none is pre-trained; leave it out")
        for place, arm in enumerate(self.arms):
            if arm.sampling is None and arm.checkpoint is None and not pretrained:
                raise ValueError(
                    f"arms.{place}.checkpoint is missing; no arm is pre-trained, so random_weights needs a "
                    "checkpoint whose architecture it takes"
                )

    def _check_lengths(self, student: EncoderConfig) -> None:
        """Refuse lengths above the positions of the pre-trained encoders; lower those that are left out."""
        if self.pretrain is None or self.pretrain.model.checkpoint is not None:
            return
        positions = self.pretrain.model.positions or self.pretrain.pretraining.length
        for name in ("query_length", "passage_length"):
            if name not in student.model_fields_set:
                student.__dict__[name] = min(getattr(student, name), positions)
            if getattr(student, name) > positions:
                raise ValueError(
                    f"transfer.student.{name} = {getattr(student, name)} is more than the {positions} tokens "
                    "that the pre-trained encoders take; lower it, or raise pretrain.model.positions"
                )


def _read_by_study(config: StudyConfig) -> Iterator[Input]:
    for place, arm in enumerate(config.arms):
        if arm.checkpoint is not None:
            yield checkpoint_input(f"arms.{place}.checkpoint", arm.checkpoint)
    if config.pretrain is not None:
        for read in PRETRAIN.inputs(config.pretrain):
            yield replace(read, key=f"pretrain.{read.key}")
    for name in ("transfer", "distil"):
        stage: DistilConfig = getattr(config, name)
        for read in (*encoder_inputs(stage, "teacher"), *bitext_inputs(stage.bitext)):
            yield replace(read, key=f"{name}.{read.key}")


STUDY = RunKind(
    settings=StudyConfig,
    execute="engine.runs.study:study_run",
    estimate="engine.estimate.several:estimate_study",
    inputs=_read_by_study,
    several=True,
)


def _leave_to_the_study(stage: str, config: RunConfig) -> None:
    """Refuse settings of a stage that the study sets for all its runs."""
    for name in (*_COMMON, "preset"):
        field = type(config).model_fields.get(name)
        if field is not None and getattr(config, name) != field.get_default(call_default_factory=True):
            if name == "preset":
                raise ValueError(f"{stage}.preset: the stages of a study cannot use a preset; leave it out")
            raise ValueError(f"{stage}.{name} is set by the study for all its runs; leave it out")


@dataclass(frozen=True)
class Stage:
    """One run of a study: a stage of an arm with a seed."""

    arm: str
    seed: int
    name: StageName

    def run_id(self, study: str) -> str:
        """Return the id of this stage's run in the study whose run's id is `study`."""
        return f"{study}.{self.arm}.s{self.seed}.{self.name}"


def stages_of(pretrained: bool) -> tuple[StageName, ...]:
    """Return the stages of an arm that is pre-trained, or of one that is not."""
    return STAGES if pretrained else STAGES[1:]


def planned(config: StudyConfig) -> Iterator[Stage]:
    """Yield a study's stages in their order: all arms with the first seed come first.

    Arms that are pre-trained are before the others, because random weights can need their tokenizer.
    """
    arms = sorted(config.arms, key=lambda arm: arm.sampling is None)
    for seed in config.seeds:
        for arm in arms:
            for name in stages_of(arm.sampling is not None):
                yield Stage(arm.name, seed, name)


def pretraining(
    config: StudyConfig, arm: ArmConfig, seed: int, tokenizer: str | None = None
) -> PretrainConfig:
    """Return the pre-training of an arm with `sampling`, with the tokenizer of the checkpoint `tokenizer`.

    Raises
    ------
    pydantic.ValidationError
        If the arm's sampling contradicts other settings.
    """
    assert config.pretrain is not None and arm.sampling is not None
    settings = config.pretrain.model_dump()
    settings.update(_common(config, Stage(arm.name, seed, "pretrain")), sampling=arm.sampling.model_dump())
    trained = config.pretrain.model.checkpoint is None and config.pretrain.tokenizer.checkpoint is None
    if tokenizer is not None and trained:
        known = {"checkpoint": tokenizer, "max_unknown": config.pretrain.tokenizer.max_unknown}
        settings["tokenizer"] = known
    return PretrainConfig.model_validate(settings)


def distillation(config: StudyConfig, stage: Stage, checkpoint: str) -> DistilConfig:
    """Return the transfer or distillation of `stage`, which starts from the encoder in `checkpoint`."""
    assert config.transfer.student is not None
    student = config.transfer.student.model_copy(update={"checkpoint": checkpoint})
    recipe = config.transfer if stage.name == "transfer" else config.distil
    evaluated = {"evaluation": config.evaluation, "collections": config.collections}
    settings = recipe.model_dump() | {key: _dumped(value) for key, value in evaluated.items()}
    return DistilConfig.model_validate(settings | _common(config, stage) | {"student": student.model_dump()})


def _common(config: StudyConfig, stage: Stage) -> dict[str, Any]:
    name = f"{config.name[:24]}-{stage.arm}-s{stage.seed}-{stage.name}"
    return {"name": name, "seed": stage.seed, "tags": [*config.tags, "study", stage.arm, stage.name]}


def _dumped(value: Any) -> Any:
    return [item.model_dump() for item in value] if isinstance(value, list) else value.model_dump()
