"""Base classes of settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
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


_Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.,:/=@+%\[\]-]+$")]


class ClusterConfig(Settings):
    """What a run with ``--on slurm`` asks of the cluster."""

    partition: _Word | None = None
    """The partition; none takes the cluster's own."""
    time: int = Field(60, ge=1)
    """The longest time in minutes. A job that reaches it is stopped, queued again and resumed, up to
    `requeues` times."""
    memory: int = Field(16, ge=1)
    """Memory in GiB."""
    cpus: int = Field(4, ge=1)
    """CPU cores."""
    gpus: int = Field(0, ge=0)
    """GPUs. With several, a run whose kind can be shared is trained by a process for each."""
    account: _Word | None = None
    """The account that pays; none takes the user's own."""
    requeues: int = Field(20, ge=0)
    """How often a job that reached its longest time is queued again. Pre-empted jobs always are."""
    options: dict[str, _Word | int] = Field(default_factory=dict)
    """Further options of sbatch, such as ``qos = "low"``."""

    @field_validator("options")
    @classmethod
    def _names(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in options:
            if not re.fullmatch(r"[a-z][a-z-]*", name):
                raise ValueError(f"{name!r} is not the name of an option of sbatch, such as qos")
        return options


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
    cluster: ClusterConfig | None = None
    """What ``--on slurm`` asks of the cluster; it does not change the result. None takes the defaults."""

    @classmethod
    def fields_for(cls, values: Mapping[str, Any] | None = None) -> dict[str, FieldInfo]:
        """Return the settings by name, those of the cluster last."""
        found = super().fields_for(values)
        return {
            **{name: info for name, info in found.items() if name != "cluster"},
            "cluster": found["cluster"],
        }
