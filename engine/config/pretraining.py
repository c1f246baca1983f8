"""Settings of a pre-training: text, tokenizer, language sampling, model, training loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.config.base import Fraction, Settings
from engine.config.encoders import EncoderConfig
from engine.config.inputs import checkpoint_input, tracking_input
from engine.config.optimisation import OptimiserConfig
from engine.config.runs import RunConfig
from engine.config.tracking import TrackingConfig
from engine.extensions.bitext import BITEXT_FORMATS
from engine.extensions.runs import Input, RunKind, TrainedEncoder
from engine.registry import OneOf

PLAIN_TEXT_FORMATS = ("text", "squad")
"""Formats of text in one language: lines, and the paragraphs of SQuAD."""


class TextConfig(Settings):
    """One source of text in one language: lines, paragraphs, or one side of sentence pairs."""

    path: str
    """A file or folder (inside the data home when relative), or ``package:NAME`` for installed catalogues."""
    format: Annotated[str, OneOf(BITEXT_FORMATS, besides=("auto", *PLAIN_TEXT_FORMATS))] = "auto"
    """``text`` is a sentence or paragraph a line, ``squad`` the paragraphs of SQuAD-shaped JSON, the others
    are bitext; ``auto`` recognises the format by the name."""
    language: str
    """ISO 639 code of the text's language; of bitext, of its source side."""
    side: Literal["source", "target"] = "source"
    """The side of bitext that is used: that in `language`, or that in `target_language`."""
    target_language: str = "en"
    """ISO 639 code of the other side of bitext."""
    start: int = Field(0, ge=0)
    """First pair or line to use, counted in the source's order before anything is dropped."""
    stop: int | None = Field(None, ge=1)
    """Pair or line to stop before; none reads to the end."""
    limit: int | None = Field(None, ge=1)
    """Use at most this many sentences, drawn with the run's seed."""
    part: Literal["all", "train", "test"] = "all"
    """All of it, or one side of a split by a hash of the English sentence (of the line, in plain text)."""
    test_share: Fraction = 0.3
    """Share of the sentences on the test side of that split."""
    max_characters: int = Field(5000, ge=1)
    """Drop longer sentences or paragraphs."""
    min_score: float | None = None
    """Drop scored pairs below this score."""
    identify: bool = False
    """Drop pairs if the language identifier finds another language on one side."""

    @model_validator(mode="after")
    def _one_language(self) -> Self:
        if self.format in PLAIN_TEXT_FORMATS:
            for name, usual in (("side", "source"), ("min_score", None), ("identify", False)):
                if getattr(self, name) != usual:
                    raise ValueError(f"{name} belongs to bitext; leave it out with format = '{self.format}'")
        if self.stop is not None and self.stop <= self.start:
            raise ValueError(f"stop = {self.stop} must be above start = {self.start}")
        return self


class TokenizerConfig(Settings):
    """The tokenizer: trained on the text, or reused from a checkpoint."""

    algorithm: Literal["unigram", "bpe"] = "unigram"
    """Unigram language model (as XLM-R's) or byte-pair encoding."""
    vocabulary: int = Field(8000, ge=64)
    """Number of word pieces, with special ones."""
    alpha: Fraction = 0.3
    """Its training draws languages in proportion to n^α, where n is a language's number of sentences."""
    max_unknown: Fraction = 0.01
    """Refuse to train if more than this share of a language's pieces is unknown."""
    checkpoint: str | None = None
    """Reuse the tokenizer of this folder (such as a run's ``checkpoints/encoder``) or hub id."""

    @model_validator(mode="after")
    def _trained_or_taken(self) -> Self:
        own = ("algorithm", "vocabulary", "alpha")
        changed = [name for name in own if getattr(self, name) != type(self).model_fields[name].default]
        if self.checkpoint is not None and changed:
            raise ValueError(
                f"{changed[0]} trains a tokenizer and checkpoint reuses one; leave one of them out"
            )
        return self


class SamplingConfig(Settings):
    """How often each language is drawn; n is a language's number of tokens."""

    strategy: Literal["alpha", "annealed", "unimax"] = "alpha"
    """p ∝ n^α; the same with an α that falls in equal parts of the run (mmBERT); or equal shares with a limit
    on how often a language's text is repeated (UniMax)."""
    alpha: Fraction = 0.3
    """α of the strategy ``alpha``: 1 follows the data, 0 draws all languages equally often."""
    schedule: list[Fraction] = Field(default=[0.7, 0.5, 0.3], min_length=1)
    """The values of α that ``annealed`` uses one after the other."""
    max_epochs: float = Field(4.0, gt=0)
    """The most times that ``unimax`` repeats a language's text."""


class ModelConfig(Settings):
    """The encoder: a new one with BERT's architecture, or a checkpoint whose pre-training is continued."""

    layers: int = Field(4, ge=1)
    """Transformer layers."""
    width: int = Field(256, ge=8)
    """Width of the hidden states; a multiple of `heads`."""
    heads: int = Field(4, ge=1)
    """Attention heads."""
    feed_forward: int | None = Field(None, ge=1)
    """Width of the feed-forward layers; none takes four times `width`."""
    positions: int | None = Field(None, ge=8)
    """Maximum input in tokens; none takes `pretraining.length`. Positions beyond that are not trained."""
    checkpoint: str | None = None
    """Continue from this checkpoint (packaged, folder or hub id) with its tokenizer; its class must predict
    masked words."""

    @model_validator(mode="after")
    def _shape(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width = {self.width} must be a multiple of heads = {self.heads}")
        own = ("layers", "width", "heads", "feed_forward", "positions")
        changed = [name for name in own if getattr(self, name) != type(self).model_fields[name].default]
        if self.checkpoint is not None and changed:
            raise ValueError(f"{changed[0]} is for a new encoder; leave it out if a checkpoint is continued")
        return self


class PretrainingConfig(OptimiserConfig):
    """The training loop of masked language modelling."""

    steps: int = Field(1000, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(64, ge=1)
    """Blocks of text a step; each is in one language."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate of AdamW."""
    dropout: Fraction = 0.0
    """Dropout during training; raise it if text is repeated many times."""
    length: int = Field(64, ge=8)
    """Tokens a block: sentences one after the other, cut at the end of the block."""
    masking: float = Field(0.15, gt=0, lt=1)
    """Share of the tokens to predict: of these 80 % become the mask, 10 % another piece, 10 % stay (BERT)."""
    held_out: int = Field(50, ge=0)
    """Sentences of each language that are held out to measure the loss; at most a tenth of them."""
    evaluate_every: int = Field(200, ge=1)
    """Steps between two measurements of the held-out loss."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; none takes all."""


class PretrainConfig(RunConfig):
    """Pre-train an encoder on multilingual text by masked language modelling, with balanced languages."""

    kind: Literal["pretrain"] = "pretrain"
    """The kind of run."""
    preset: str | None = None
    """The preset that this configuration is based on; recorded with the run."""
    text: list[TextConfig] = Field(min_length=1)
    """Text to train on; sources of one language are combined."""
    tokenizer: TokenizerConfig = Field(default_factory=TokenizerConfig)
    """The tokenizer."""
    sampling: SamplingConfig = Field(default_factory=SamplingConfig)
    """How languages are balanced."""
    model: ModelConfig = Field(default_factory=ModelConfig)
    """The encoder."""
    pretraining: PretrainingConfig = Field(default_factory=PretrainingConfig)
    """Settings of the training loop."""
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
    """TensorBoard and other programs that follow the run."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Refuse settings that contradict each other."""
        unknown = type(self.tokenizer).model_fields["max_unknown"].default
        if self.model.checkpoint is not None and self.tokenizer != TokenizerConfig(
            max_unknown=self.tokenizer.max_unknown
        ):
            raise ValueError(
                "model.checkpoint is continued with its own tokenizer; leave out [tokenizer] except "
                f"max_unknown (default {unknown:g})"
            )
        positions = self.model.positions
        if positions is not None and positions < self.pretraining.length:
            raise ValueError(
                f"model.positions = {positions} is less than pretraining.length = {self.pretraining.length}"
            )
        return self


#: The folder in ``checkpoints/`` of the pre-trained encoder.
PRETRAINED = "encoder"


def pretrained_encoder(config: PretrainConfig, checkpoints: Path) -> EncoderConfig:
    """Return how a pre-trained encoder is searched with: no prefixes, and at most its own length."""
    longest = config.model.positions or config.pretraining.length
    usual = EncoderConfig()
    return EncoderConfig(
        checkpoint=str(checkpoints / PRETRAINED),
        query_prefix="",
        passage_prefix="",
        query_length=min(usual.query_length, longest),
        passage_length=min(usual.passage_length, longest),
    )


def _encoders(config: PretrainConfig, checkpoints: Path) -> tuple[EncoderConfig, EncoderConfig]:
    encoder = pretrained_encoder(config, checkpoints)
    return encoder, encoder


def _read_by_pretrain(config: PretrainConfig) -> Iterator[Input]:
    yield tracking_input(config.tracking)
    if config.model.checkpoint is not None:
        model = config.model.checkpoint, config.pretraining.length
        yield Input("model.checkpoint", "engine.runs.checks:check_masked_model", model)
    if config.tokenizer.checkpoint is not None:
        yield checkpoint_input("tokenizer.checkpoint", config.tokenizer.checkpoint)
    for place, source in enumerate(config.text):
        yield Input(f"text.{place}", "engine.runs.checks:check_text", source)


PRETRAIN = RunKind(
    settings=PretrainConfig,
    execute="engine.runs.pretrain:pretrain_run",
    estimate="engine.estimate.pretrain:estimate_pretrain",
    saves_state=True,
    shared=True,
    loop="pretraining",
    trained=TrainedEncoder(PRETRAINED, label="pretrained", method="pre-training"),
    encoders=_encoders,
    inputs=_read_by_pretrain,
    placeholders={"text": [{"path": "any", "language": "any"}]},
)
