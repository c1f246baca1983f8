"""Settings of the fusion of finished runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.config.base import RunHeader, Settings
from engine.config.inputs import rankings_input
from engine.extensions.runs import Input, RunKind
from engine.extensions.scorings import FUSED_SCORINGS
from engine.registry import OneOf, describe


class FusedSystem(Settings):
    """A ranking that is fused."""

    run: str
    """A finished run with the same results: its id, the beginning of its id, or its name (the newest run)."""
    scoring: str | None = None
    """The scoring of the rankings, such as ``maxsim`` or ``dense``; none takes the only one of the run."""
    weight: float = Field(1.0, ge=0)
    """The factor of this ranking's share in the score; leave it out with `choose_on`."""


class FuseConfig(RunHeader):
    """Fuse the stored rankings of finished runs, by their scores or by their ranks.

    Only what the runs stored (their ``depth``) is fused. A document that a run did not store gets that run's
    lowest score for the query; below a lexical run's complete ranking that is 0.
    """

    kind: Literal["fuse"] = "fuse"
    """The kind of run."""
    preset: str | None = None
    """The preset that this configuration is based on; recorded with the run."""
    method: Annotated[str, OneOf(FUSED_SCORINGS)] = Field(
        "rrf", description=describe("How shares in the new score are computed.", FUSED_SCORINGS)
    )
    systems: list[FusedSystem] = Field(min_length=2)
    """The rankings; collections that all of them have (same revision, protocol and direction) are fused."""
    k: int = Field(60, ge=0)
    """Added to every rank by ``rrf``: the larger it is, the less the first ranks count."""
    depth: int | None = Field(None, ge=1)
    """Ranks of each run that are fused; none takes all that are stored. Good weights depend on it: the deeper
    the rankings, the smaller a weak system's weight has to be."""
    choose_on: str | None = None
    """Label of a collection of held-out queries that all runs searched. The weights are chosen on it, and it
    is not reported. None uses the weights of `systems`."""
    measure: str | None = None
    """The measure by which weights are chosen, such as ``nDCG@10``; none takes the collection's first."""
    grid: list[Annotated[float, Field(ge=0)]] = Field(
        [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0], min_length=1
    )
    """Weights that are tried with `choose_on` for all systems but the first, whose weight is 1."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        seen = set()
        for system in self.systems:
            if (system.run, system.scoring) in seen:
                raise ValueError(f"systems names {system.run!r} twice; name each ranking once")
            seen.add((system.run, system.scoring))
        if self.choose_on is not None and any(system.weight != 1.0 for system in self.systems):
            raise ValueError(
                f"the weights are chosen on {self.choose_on!r}; leave out weight in systems, or choose_on"
            )
        if self.choose_on is None and not any(system.weight for system in self.systems):
            raise ValueError("systems: all weights are 0, so nothing would be ranked; raise one")
        if self.choose_on is None and self.measure is not None:
            raise ValueError("measure chooses weights, which needs choose_on; set that, or leave measure out")
        return self


def _read_by_fuse(config: FuseConfig) -> Iterator[Input]:
    for place, system in enumerate(config.systems):
        yield rankings_input(f"systems.{place}", system.run, system.scoring)
    named = [(system.run, system.scoring) for system in config.systems]
    yield Input("systems", "engine.runs.checks:check_fused", named, of_runs=True)


FUSE = RunKind(
    settings=FuseConfig,
    execute="engine.runs.fuse:fuse_run",
    searcher="engine.inspect.fused:FusedSearcher",
    collections_of=lambda config: config.systems[0].run,
    inputs=_read_by_fuse,
    placeholders={"systems": [{"run": "any"}, {"run": "other"}]},
)
