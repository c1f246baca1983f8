"""Settings of the fusion of finished runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from engine.config.base import RunHeader, Settings
from engine.config.inputs import rankings_input
from engine.extensions.runs import Input, RunKind


class FusedSystem(Settings):
    """A ranking that is fused."""

    run: str
    """A finished run with the same results: its id, the beginning of its id, or its name (the newest run)."""
    scoring: str | None = None
    """The scoring of the rankings, such as ``maxsim`` or ``dense``; none takes the only one of the run."""


class FuseConfig(RunHeader):
    """Fuse the stored rankings of finished runs by reciprocal rank (Cormack et al. 2009)."""

    kind: Literal["fuse"] = "fuse"
    """The kind of run."""
    preset: str | None = None
    """The preset that this configuration is based on; recorded with the run."""
    systems: list[FusedSystem] = Field(min_length=2)
    """The rankings; collections that all of them have (same revision, protocol and direction) are fused."""
    k: int = Field(60, ge=0)
    """Added to every rank: the larger it is, the less the first ranks count."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        seen = set()
        for system in self.systems:
            if (system.run, system.scoring) in seen:
                raise ValueError(f"systems names {system.run!r} twice; name each ranking once")
            seen.add((system.run, system.scoring))
        return self


def _read_by_fuse(config: FuseConfig) -> Iterator[Input]:
    for place, system in enumerate(config.systems):
        yield rankings_input(f"systems.{place}", system.run, system.scoring)
    named = [(system.run, system.scoring) for system in config.systems]
    yield Input("systems", "engine.runs.checks:check_fused", named, of_runs=True)


FUSE = RunKind(
    settings=FuseConfig,
    execute="engine.runs.fuse:fuse_run",
    collections_of=lambda config: config.systems[0].run,
    inputs=_read_by_fuse,
    placeholders={"systems": [{"run": "any"}, {"run": "other"}]},
)
