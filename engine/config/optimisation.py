"""Settings of the optimiser and of the training loop, shared by all kinds of training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.config.base import Fraction, Settings


class OptimiserConfig(Settings):
    """Steps, learning rate and precision."""

    steps: int = Field(300, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(32, ge=1)
    """Sentence pairs a step."""
    learning_rate: float = Field(2e-5, gt=0)
    """Peak learning rate of AdamW."""
    warmup: Fraction = 0.1
    """Share of the steps in which the learning rate rises from zero."""
    decay: Literal["linear", "cosine", "none"] = "linear"
    """How the learning rate falls to zero after the warm-up."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay."""
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    dropout: Fraction = 0.0
    """Dropout of the student while it trains."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 autocast or fp32; auto takes bf16 if the hardware computes in it."""


class LoopConfig(OptimiserConfig):
    """The training loop: steps, learning rate, what is held out, when to stop."""

    frozen_layers: Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, lt=1)] = 0
    """The lowest transformer layers that are frozen, together with the embeddings: how many, or below 1 the
    share of all layers, rounded down (0.5 is the lower half)."""
    frozen_embeddings: bool = False
    """Whether the embeddings of words and positions are frozen."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Factor of the learning rate from each transformer layer to the one below it; the embeddings are below
    the lowest layer. 1 trains all layers alike, 0.9 trains the lower ones of twelve at about a third."""
    held_out: int = Field(100, ge=0)
    """English sentences that are held out with all their pairs, to measure retrieval during training."""
    overlap: Literal["drop", "keep"] = "drop"
    """Drop pairs with a sentence that is in an evaluation collection, spelled the same or nearly the same."""
    evaluate_every: int = Field(50, ge=1)
    """Steps between two measurements of held-out retrieval."""
    patience: int | None = Field(None, ge=1)
    """Stop after this many measurements without a gain; none trains all steps."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; none takes all."""
