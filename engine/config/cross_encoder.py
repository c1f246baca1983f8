"""Settings of a cross-encoder: what it is trained on, and which rankings it re-ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from engine.config.base import RunHeader, Settings
from engine.config.bitext import TrainingBitextConfig
from engine.config.encoders import EncoderConfig
from engine.config.inputs import batch_input, bitext_inputs, encoder_inputs, rankings_input, tracking_input
from engine.config.optimisation import LoopConfig
from engine.config.tracking import TrackingConfig
from engine.extensions.runs import Input, RunKind


class FirstStageConfig(Settings):
    """The rankings whose best documents are re-ranked."""

    run: str
    """A finished run with the same results: its id, the beginning of its id, or its name (the newest run)."""
    scoring: str | None = None
    """The scoring of the rankings, such as ``maxsim`` or ``dense``; none takes the only one of the run."""
    depth: int = Field(20, ge=1)
    """Ranks that are re-ranked; documents below them keep their order."""


class CrossTrainingConfig(LoopConfig):
    """How a cross-encoder is trained to separate sentence pairs from other pairs of sentences."""

    batch_size: int = Field(8, ge=1)
    """Sentence pairs a step, each with its `negatives`."""
    learning_rate: float = Field(5e-5, gt=0)
    """Peak learning rate of AdamW."""
    held_out: int = Field(40, ge=0)
    """English sentences that are held out with all their pairs, to measure ranking during training."""
    evaluate_every: int = Field(100, ge=1)
    """Steps between two measurements of the held-out pairs."""
    negatives: int = Field(7, ge=1)
    """Wrong English sentences for every query."""
    negatives_from: Literal["nearest", "random"] = "nearest"
    """Draw negatives from the right sentence's nearest neighbours (teacher's vectors), or from all."""
    query_words: int | None = Field(None, ge=1)
    """Make short queries of at most this many consecutive words of the sentence; none takes the whole
    sentence."""
    sampling: float = Field(1.0, ge=0)
    """α of language sampling: a language with n pairs is drawn in proportion to n^α."""
    alignment: Literal["repair", "keep"] = "repair"
    """Undo shifts in sources that have lost a line, or keep the pairs as they are."""
    trim_vocabulary: bool = True
    """Train only the word pieces that the training texts use; the whole vocabulary is saved."""


class CrossEncoderConfig(RunHeader):
    """Re-rank the best documents of a finished run with an encoder that reads query and document together."""

    kind: Literal["cross-encoder"] = "cross-encoder"
    """The kind of run."""
    preset: str | None = None
    """The preset that this configuration is based on; recorded with the run."""
    checkpoint: str = "multilingual-e5-small"
    """A packaged checkpoint's name, a folder or a hub id; without `bitext` it must have a head with one
    label, as a run's ``checkpoints/cross-encoder`` has."""
    max_length: int = Field(160, ge=8, le=8192)
    """Maximum length of query and document together in tokens; the longer of the two is cut off."""
    batch_size: int = Field(64, ge=1)
    """Pairs of query and document that are scored at once."""
    first_stage: FirstStageConfig
    """The rankings that are re-ranked."""
    bitext: list[TrainingBitextConfig] = Field(default_factory=list)
    """Sentence pairs to train on; none takes the checkpoint as it is."""
    teacher: EncoderConfig = Field(default_factory=EncoderConfig)
    """The encoder whose sentence vectors find hard negatives and shifts of lines, if there is `bitext`."""
    training: CrossTrainingConfig = Field(default_factory=CrossTrainingConfig)
    """How it is trained on `bitext`."""
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
    """TensorBoard and other programs that follow the run."""

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if not self.bitext and self.training != CrossTrainingConfig():
            raise ValueError("training has settings but there is no [[bitext]] to train on; add some")
        if any(source.one_language for source in self.bitext):
            raise ValueError("bitext in one language has no queries to train on; leave it out")
        return self


def _read_by_cross_encoder(config: CrossEncoderConfig) -> Iterator[Input]:
    yield tracking_input(config.tracking)
    yield from encoder_inputs(config, "teacher")
    yield Input("checkpoint", "engine.runs.checks:check_cross_encoder", config)
    if config.bitext:
        frozen = config.checkpoint, config.training.frozen_layers, True  # its head is always trained
        yield Input("training.frozen_layers", "engine.runs.checks:check_frozen", frozen)
        yield from bitext_inputs(config.bitext)
        yield batch_input(config.bitext, config.training)
    first = config.first_stage
    yield rankings_input("first_stage", first.run, first.scoring, first.depth)


CROSS_ENCODER = RunKind(
    settings=CrossEncoderConfig,
    execute="engine.runs.cross_encoder:cross_encoder_run",
    saves_state=True,
    loop="training",
    collections_of=lambda config: config.first_stage.run,
    inputs=_read_by_cross_encoder,
    placeholders={"first_stage": {"run": "any"}},
)
