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
    """Text before every query (E5's convention; empty for encoders without prefixes)."""
    passage_prefix: str = "passage: "
    """Text before every document."""
    query_length: int = Field(64, ge=4, le=8192)
    """Maximum length of a query in tokens, with prefix and special tokens; the rest is cut off."""
    passage_length: int = Field(192, ge=4, le=8192)
    """Maximum length of a document in tokens, with prefix and special tokens."""
    query_expansion: bool = False
    """Pad queries with [MASK] tokens to `query_length`; they are scored but not attended to (ColBERT)."""
    special_tokens: bool = False
    """Whether [CLS] and [SEP] count as token vectors."""
    prefix_tokens: bool = False
    """Whether the tokens of the prefix count as token vectors."""
    punctuation: bool = True
    """Whether tokens of punctuation count as token vectors."""
    passage_punctuation: bool = True
    """Whether they count in documents too, if they count in queries (ColBERT skips them in documents)."""
    centring: bool = True
    """Subtract the mean token vector, fitted on unlabelled text, before normalising to unit length."""
    projection: Literal["none", "linear", "whitening"] = "none"
    """Projection of the token vectors: none, a trained linear layer, or whitening fitted on text."""
    projection_dim: int = Field(128, ge=2)
    """Width of the projected token vectors, if there is a projection."""
    pooling: Literal["mean", "cls"] = "mean"
    """How the sentence vector is computed from the last layer's states."""
