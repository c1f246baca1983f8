"""Settings of an encoder."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from engine.config.base import Settings
from engine.config.declared import read_declared

PASSAGE_PREFIX = "passage: "
"""The text before a passage by E5's convention."""

EXPANDED_LENGTH = 32
"""Length in tokens to which ColBERT pads queries."""


class EncoderConfig(Settings):
    """How a checkpoint turns text into token vectors.

    If the checkpoint is a folder of sentence-transformers, PyLate or Stanford ColBERT, or one that a run
    saved, settings that are left out are what the folder says.
    """

    checkpoint: str = "multilingual-e5-small"
    """A packaged checkpoint's name, a folder (such as a run's ``checkpoints/student``), or a hub id."""
    query_prefix: str = "query: "
    """Text before every query (E5's convention; empty for encoders without prefixes)."""
    passage_prefix: str | None = None
    """Text before every document. If it is left out, it is "passage: " (E5's convention), and `query_prefix`
    in collections whose queries and documents are texts of one kind, such as a sentence and its translation
    (symmetric tasks)."""
    markers: bool = False
    """Whether a prefix is one piece, inserted after the first token (ColBERT), and not text."""
    lowercase: bool = False
    """Whether texts are lower-cased before they are tokenised."""
    query_length: int = Field(192, ge=4, le=8192)
    """Maximum length of a query in tokens, with prefix and special tokens; the rest is cut off. If it is left
    out with `query_expansion`, it is 32, as in ColBERT."""
    passage_length: int = Field(192, ge=4, le=8192)
    """Maximum length of a document in tokens, with prefix and special tokens."""
    query_expansion: bool = False
    """Pad queries with [MASK] tokens to `query_length`; they are scored but not attended to (ColBERT)."""
    attend_expansion: bool = False
    """Whether the [MASK] tokens of `query_expansion` are attended to."""
    special_tokens: bool = False
    """Whether [CLS] and [SEP] count as token vectors."""
    prefix_tokens: bool = False
    """Whether the tokens of the prefix count as token vectors."""
    punctuation: bool = True
    """Whether tokens of punctuation count as token vectors."""
    passage_punctuation: bool = True
    """Whether they count in documents too, if they count in queries (ColBERT skips them in documents)."""
    skiplist: list[str] = Field(default_factory=list)
    """Pieces that do not count in documents, besides punctuation (PyLate's skiplist_words)."""
    centring: bool = True
    """Subtract the mean token vector, fitted on unlabelled text, before normalising to unit length."""
    projection: Literal["none", "linear", "whitening"] = "none"
    """Projection of the token vectors: none, a trained linear layer, or whitening fitted on text."""
    projection_dim: int = Field(128, ge=2)
    """Width of the projected token vectors, if there is a projection."""
    pooling: Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] = "mean"
    """How the sentence vector is computed from the last layer's states (sentence-transformers' names)."""

    @property
    def asymmetric_prefix(self) -> str:
        """The text before a document that is a text of another kind than the queries."""
        return PASSAGE_PREFIX if self.passage_prefix is None else self.passage_prefix

    @model_validator(mode="after")
    def _follow_folder(self) -> Self:
        """Take what the checkpoint's folder says for settings that are left out."""
        left = set(type(self).model_fields) - self.model_fields_set
        if left:
            said = read_declared(self.checkpoint).settings
            self.__dict__ |= {name: value for name, value in said.items() if name in left}
            if self.query_expansion and "query_length" in left - said.keys():
                self.__dict__["query_length"] = EXPANDED_LENGTH
        return self

    def contradictions(self) -> dict[str, tuple[Any, Any]]:
        """Return the settings that differ from what the checkpoint's folder says, with both values."""
        said = read_declared(self.checkpoint).settings
        return {k: (getattr(self, k), v) for k, v in said.items() if getattr(self, k, v) != v}
