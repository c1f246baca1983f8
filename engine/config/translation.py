"""Settings of translate-test evaluation: queries are translated before they are encoded."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from engine.config.base import Settings

#: The value of `checkpoint` that selects human translations.
GOLD = "gold"


class TranslationConfig(Settings):
    """How queries are translated; queries in the target language are not changed."""

    checkpoint: str
    """A sequence-to-sequence checkpoint (Marian, NLLB, M2M100, mBART, T5 and others), folder or hub id; or
    ``gold`` for the human translations of a collection, which are an upper bound for machine translation."""
    target_language: str = "en"
    """ISO 639 code of the language to translate into."""
    prefix: str = ""
    """Text before every query, for models that need a task description (T5): ``{source}`` and ``{target}``
    are replaced by the languages' English names."""
    beams: int = Field(4, ge=1, le=64)
    """Number of beams; 1 is greedy search."""
    batch_size: int = Field(16, ge=1)
    """Number of queries per batch."""
    max_length: int = Field(128, ge=4, le=1024)
    """Maximum length of a query and of a translation in tokens; longer ones are truncated."""

    @model_validator(mode="after")
    def _human(self) -> Self:
        if self.checkpoint == GOLD:
            for name in ("prefix", "beams", "batch_size", "max_length"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"translation.{name} belongs to a checkpoint; remove it with 'gold'")
        return self
