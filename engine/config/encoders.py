"""Settings of an encoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.config.base import Settings


class EncoderConfig(Settings):
    """How a checkpoint turns text into token vectors."""

    checkpoint: str = "multilingual-e5-small"
    """A packaged checkpoint's name, a folder (such as a run's ``checkpoints/student``), or a hub id."""
    query_prefix: str = "query: "
    """Text put in front of every query (E5's convention; empty for encoders that have none)."""
    passage_prefix: str = "passage: "
    """Text put in front of every document."""
    query_length: int = Field(64, ge=4, le=8192)
    """Longest query in tokens, prefix and special tokens included; the rest is cut off."""
    passage_length: int = Field(192, ge=4, le=8192)
    """Longest document in tokens, prefix and special tokens included."""
    query_expansion: bool = False
    """Pad queries with [MASK] tokens to `query_length`; they are scored but not attended to (ColBERT)."""
    special_tokens: bool = False
    """Whether [CLS] and [SEP] count as token vectors."""
    prefix_tokens: bool = False
    """Whether the tokens of the prefix count as token vectors."""
    punctuation: bool = True
    """Whether tokens made of punctuation only count as token vectors."""
    passage_punctuation: bool = True
    """Whether they count in documents too, if they do in queries (ColBERT skips them in documents)."""
    centring: bool = True
    """Subtract the mean token vector, fitted on unlabelled text, before normalising to unit length."""
    projection: Literal["none", "linear", "whitening"] = "none"
    """Map of the token vectors: none, a trained linear layer, or whitening fitted on unlabelled text."""
    projection_dim: int = Field(128, ge=2)
    """Width of the projected token vectors, when there is a projection."""
    pooling: Literal["mean", "cls"] = "mean"
    """How a sentence vector is made from the last layer's token vectors."""
