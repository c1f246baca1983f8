"""Settings of the fusion of finished runs."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from engine.config.base import RunHeader, Settings
from engine.extensions.runs import RunKind


class FusedSystem(Settings):
    """One of the rankings that are fused."""

    run: str
    """A finished run beside this one: its id, the beginning of one id, or a name (its newest run)."""
    scoring: str | None = None
    """Which of the run's rankings, such as ``maxsim`` or ``dense``; none takes the only one it has."""


class FuseConfig(RunHeader):
    """Fuse the stored rankings of finished runs by reciprocal rank (Cormack et al. 2009)."""

    kind: Literal["fuse"] = "fuse"
    """The kind of run."""
    preset: str | None = None
    """Recipe this configuration started from; recorded with the run."""
    systems: list[FusedSystem] = Field(min_length=2)
    """What is fused; all that the systems have in common is: collection, revision, protocol, direction."""
    k: int = Field(60, ge=0)
    """Added to every rank: the larger, the less the first ranks stand out."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        seen = set()
        for system in self.systems:
            if (system.run, system.scoring) in seen:
                raise ValueError(f"systems has {system.run!r} twice; name each ranking once")
            seen.add((system.run, system.scoring))
        return self


FUSE = RunKind(
    settings=FuseConfig,
    execute="engine.runs.fuse:fuse_run",
    collections_of=lambda config: config.systems[0].run,
    placeholders={"systems": [{"run": "any"}, {"run": "other"}]},
)
