"""Settings of translate-test: queries are translated before they are encoded."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from engine.config.base import Settings

#: The checkpoint's name that stands for human translations.
GOLD = "gold"


class TranslationConfig(Settings):
    """How queries are translated; those in the target language already stay as they are."""

    checkpoint: str
    """A sequence-to-sequence checkpoint (Marian, NLLB, M2M100, mBART, T5 and others), folder or hub id; or
    ``gold``, human translations where a collection has them, which bound what translating can reach."""
    target_language: str = "en"
    """ISO 639 code of the language to translate into."""
    prefix: str = ""
    """Text put in front of every query, for models that need to be told their task (T5): ``{source}`` and
    ``{target}`` become the languages' English names."""
    beams: int = Field(4, ge=1, le=64)
    """Width of the beam search; 1 is greedy."""
    batch_size: int = Field(16, ge=1)
    """Queries translated at once."""
    max_length: int = Field(128, ge=4, le=1024)
    """Longest query and longest translation in tokens; what is longer is cut off."""

    @model_validator(mode="after")
    def _human(self) -> Self:
        if self.checkpoint == GOLD:
            for name in ("prefix", "beams", "batch_size", "max_length"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"translation.{name} belongs to a checkpoint; leave it out with 'gold'")
        return self
