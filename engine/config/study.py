"""Settings of a study: encoders that differ only in the language sampling of their pre-training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from engine.config.base import Settings
from engine.config.encoders import EncoderConfig
from engine.config.inputs import bitext_inputs, encoder_inputs
from engine.config.pretraining import PRETRAIN, PretrainConfig, SamplingConfig
from engine.config.runs import DistilConfig, RunConfig
from engine.extensions.runs import Input, RunKind
from engine.validation import describe_error

StageName = Literal["pretrain", "transfer", "distil"]
STAGES: tuple[StageName, ...] = ("pretrain", "transfer", "distil")
"""The stages of each arm and seed, in their order."""

#: Settings that the study sets for all its runs.
_COMMON = ("name", "seed", "tags", "note", "evaluation", "collections")


class ArmConfig(Settings):
    """One arm: the same pre-training with its own language sampling."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*$", max_length=30)
    """A short name of letters, digits, '-' and '.'; it is part of the ids of its runs."""
    sampling: SamplingConfig
    """How often each language is drawn; replaces ``pretrain.sampling``."""


class StudyConfig(RunConfig):
    """Pre-train encoders that differ only in their balance, then transfer and distil each in the same way."""

    kind: Literal["study"] = "study"
    """The kind of run."""
    preset: str | None = None
    """The preset that this configuration is based on; recorded with the run."""
    seeds: list[Annotated[int, Field(ge=0, le=2**32 - 1)]] = Field([0, 1, 2], min_length=1)
    """Every arm is run once with each seed."""
    arms: list[ArmConfig] = Field(min_length=2)
    """The arms; the others are compared with the first."""
    pretrain: PretrainConfig
    """The pre-training; all runs use one tokenizer, which the first of them trains."""
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
        for stage in STAGES:
            _leave_to_the_study(stage, getattr(self, stage))
        if self.distil.student is not None:
            raise ValueError("distil.student is the student of transfer; leave it out")
        if self.transfer.student is None:
            raise ValueError(
                "transfer.student is missing; set how the pre-trained encoder becomes a student, such as "
                "its projection to the teacher's width"
            )
        if self.transfer.student.checkpoint != EncoderConfig().checkpoint:
            raise ValueError("transfer.student.checkpoint is what the study pre-trains; leave it out")
        self._check_lengths(self.transfer.student)
        if self.transfer.teacher != self.distil.teacher:
            raise ValueError("transfer.teacher and distil.teacher differ; give both the same teacher")
        if not self.collections:
            raise ValueError("collections is missing; a study needs at least one")
        for place, arm in enumerate(self.arms):
            try:
                pretraining(self, arm, 0)
            except ValidationError as error:
                raise ValueError(describe_error(error, PretrainConfig, key=f"arms.{place}")) from error
        return self

    def _check_lengths(self, student: EncoderConfig) -> None:
        """Refuse lengths above the positions of the pre-trained encoders."""
        if self.pretrain.model.checkpoint is not None:
            return
        positions = self.pretrain.model.positions or self.pretrain.pretraining.length
        for name in ("query_length", "passage_length"):
            if getattr(student, name) > positions:
                raise ValueError(
                    f"transfer.student.{name} = {getattr(student, name)} is more than the {positions} tokens "
                    "that the pre-trained encoders take; lower it, or raise pretrain.model.positions"
                )


def _read_by_study(config: StudyConfig) -> Iterator[Input]:
    for read in PRETRAIN.inputs(config.pretrain):
        yield replace(read, key=f"pretrain.{read.key}")
    for name in ("transfer", "distil"):
        stage: DistilConfig = getattr(config, name)
        for read in (*encoder_inputs(stage, "teacher"), *bitext_inputs(stage.bitext)):
            yield replace(read, key=f"{name}.{read.key}")


STUDY = RunKind(settings=StudyConfig, execute="engine.runs.study:study_run", inputs=_read_by_study)


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


def planned(config: StudyConfig) -> Iterator[Stage]:
    """Yield a study's stages in their order: all arms with the first seed come first."""
    for seed in config.seeds:
        for arm in config.arms:
            for name in STAGES:
                yield Stage(arm.name, seed, name)


def pretraining(
    config: StudyConfig, arm: ArmConfig, seed: int, tokenizer: str | None = None
) -> PretrainConfig:
    """Return the pre-training of an arm; `tokenizer` is the checkpoint whose tokenizer it uses.

    Raises
    ------
    pydantic.ValidationError
        If the arm's sampling contradicts other settings.
    """
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
