"""Settings of a cross-encoder: what it learns from, and which rankings it re-ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from engine.config.base import RunHeader, Settings
from engine.config.bitext import BitextConfig
from engine.config.encoders import EncoderConfig
from engine.config.inputs import bitext_inputs, checkpoint_input, encoder_inputs
from engine.config.optimisation import LoopConfig
from engine.extensions.runs import Input, RunKind


class FirstStageConfig(Settings):
    """The rankings whose top is ranked anew."""

    run: str
    """A finished run beside this one: its id, the beginning of one id, or a name (its newest run)."""
    scoring: str | None = None
    """Which of the run's rankings, such as ``maxsim`` or ``dense``; none takes the only one it has."""
    depth: int = Field(20, ge=1)
    """Ranks that are ranked anew; what is below keeps its order."""


class CrossTrainingConfig(LoopConfig):
    """How a cross-encoder is trained on pairs of sentences and of sentences that are no pairs."""

    batch_size: int = Field(8, ge=1)
    """Sentence pairs a step, each with its `negatives`."""
    learning_rate: float = Field(5e-5, gt=0)
    """Peak learning rate of AdamW."""
    held_out: int = Field(40, ge=0)
    """English sentences set aside with all their pairs, to measure ranking on during training."""
    evaluate_every: int = Field(100, ge=1)
    """Steps between two measurements of the held-out pairs."""
    negatives: int = Field(7, ge=1)
    """English sentences that stand against the right one, for every query."""
    negatives_from: Literal["nearest", "random"] = "nearest"
    """Draw them among the nearest neighbours of the right one in the teacher's vectors, or from all."""
    query_words: int | None = Field(None, ge=1)
    """Make a query of at most this many words in a row of the sentence, for short queries; none takes it
    whole."""
    sampling: float = Field(1.0, ge=0)
    """α of language sampling: a language with n pairs is drawn in proportion to n^α."""
    alignment: Literal["repair", "keep"] = "repair"
    """Undo shifts in sources whose lines got out of step, or take pairs as they stand."""
    trim_vocabulary: bool = True
    """Train with only the word pieces that the texts at hand use; the checkpoint is saved whole."""


class CrossEncoderConfig(RunHeader):
    """Rank a finished run's best documents anew, by an encoder that reads query and document together."""

    kind: Literal["cross-encoder"] = "cross-encoder"
    """The kind of run."""
    preset: str | None = None
    """Recipe this configuration started from; recorded with the run."""
    checkpoint: str = "multilingual-e5-small"
    """A packaged checkpoint's name, a folder or a hub id; without `bitext` to learn from it must have a head
    of one label, as a run's ``checkpoints/cross-encoder`` has."""
    max_length: int = Field(160, ge=8, le=8192)
    """Longest query and document together in tokens; the longer of the two is cut off."""
    batch_size: int = Field(64, ge=1)
    """Pairs of query and document scored at once."""
    first_stage: FirstStageConfig
    """What is ranked anew."""
    bitext: list[BitextConfig] = Field(default_factory=list)
    """Sentence pairs to learn from; none takes the checkpoint as it is."""
    teacher: EncoderConfig = Field(default_factory=EncoderConfig)
    """Whose sentence vectors find near negatives and shifts of lines, where there is `bitext`."""
    training: CrossTrainingConfig = Field(default_factory=CrossTrainingConfig)
    """How it learns from `bitext`."""

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if not self.bitext and self.training != CrossTrainingConfig():
            raise ValueError("training has settings but there is no [[bitext]] to learn from; add some")
        if any(source.one_language for source in self.bitext):
            raise ValueError("bitext in one language has no queries to learn from; leave it out")
        return self


def _read_by_cross_encoder(config: CrossEncoderConfig) -> Iterator[Input]:
    yield from encoder_inputs(config, "teacher")
    yield checkpoint_input("checkpoint", config.checkpoint)
    yield from bitext_inputs(config.bitext)


CROSS_ENCODER = RunKind(
    settings=CrossEncoderConfig,
    execute="engine.runs.cross_encoder:cross_encoder_run",
    saves_state=True,
    loop="training",
    collections_of=lambda config: config.first_stage.run,
    inputs=_read_by_cross_encoder,
    placeholders={"first_stage": {"run": "any"}},
)
