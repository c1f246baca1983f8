"""Base classes of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Settings(BaseModel):
    """Base class of all settings: unknown keys are errors, and values are validated on assignment."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, use_attribute_docstrings=True)

    @classmethod
    def fields_for(cls, values: Mapping[str, Any] | None = None) -> dict[str, FieldInfo]:
        """Return the settings by name, for a form.

        Parameters
        ----------
        values : mapping, optional
            Values of some settings, since these may decide which others there are. Without it, all settings
            that there can be.
        """
        return dict(cls.model_fields)


class RunHeader(Settings):
    """Settings that every run has.

    The settings of each kind of run are a subclass with a field ``kind: Literal[NAME] = NAME``.
    """

    if TYPE_CHECKING:
        kind: str

    name: str = Field("run", min_length=1, max_length=80)
    """A short name of the run."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of every random choice of the run."""
    tags: list[str] = Field(default_factory=list)
    """Words to find the run by."""
    note: str = ""
    """A remark that is kept with the run."""
