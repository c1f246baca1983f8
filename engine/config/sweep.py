"""Settings of a sweep: runs that differ in some settings and in the seed."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from engine.config.base import RunHeader, Settings
from engine.config.choices import check_choices, combinations, describe_choice, leaves
from engine.config.load import over_preset, parse_config, read_settings, set_value
from engine.errors import InputError
from engine.extensions.runs import RUN_KINDS, Input, RunKind
from engine.validation import validate_settings

#: The most runs of a sweep.
MOST_RUNS = 10_000

#: Samplers of Optuna, which choose the next combination by the values of those before.
OPTUNA = ("tpe", "gp")


class Span(Settings):
    """Values between two ends, from which ``random`` and Optuna's samplers draw."""

    low: float
    """The lowest value."""
    high: float
    """The highest value."""
    log: bool = False
    """Whether values are drawn on a logarithmic scale."""
    whole: bool = False
    """Whether values are whole numbers."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.low < self.high or not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"low must be below high, and {self.low:g} is not below {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic scale needs a low above 0, not {self.low:g}")
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError("low and high must be whole numbers, as the values are")
        return self

    def value(self, share: float) -> float | int:
        """Return the value at `share` (between 0 and 1) of the way from low to high."""
        if self.whole:
            low, high = (self.low - 0.5, self.high + 0.5)
            low = max(low, 0.5) if self.log else low
        else:
            low, high = self.low, self.high
        if self.log:
            found = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            found = low + share * (high - low)
        if self.whole:
            return int(min(max(round(found), self.low), self.high))
        return float(f"{min(max(found, low), high):.6g}")


class SweepConfig(RunHeader):
    """Execute a run with several values of its settings, each with every seed, and compare the results.

    Each combination with each seed is a run of its own. A finished run with the same settings is used
    instead of a new one.
    """

    kind: Literal["sweep"] = "sweep"
    """The kind of run."""
    preset: str | None = None
    """The preset that this configuration is based on; recorded with the run."""
    base: dict[str, Any]
    """The settings that all runs share: a table such as a run's file has, or the path of a run's file or the
    name of a preset."""
    choices: dict[str, Any] = Field(min_length=1)
    """What is tried for each setting: a list of values, such as ``"transport.epsilon" = [0.02, 0.1]``, or
    two ends, such as ``"training.learning_rate" = {low = 1e-5, high = 1e-3, log = true}`` (``whole = true``
    draws whole numbers). Where several settings change together, the values are tables."""
    seeds: list[Annotated[int, Field(ge=0, le=2**32 - 1)]] = Field([0, 1, 2], min_length=1)
    """Every combination is run once with each seed."""
    sampler: Literal["grid", "random", "tpe", "gp"] = "grid"
    """What chooses the combinations: ``grid`` takes all of them; ``random`` draws `tries` of them; ``tpe``
    (tree-structured Parzen estimator) and ``gp`` (Gaussian process) are Optuna's, and choose each of `tries`
    combinations by the values of those before (extra ``sweeps``)."""
    tries: int = Field(24, ge=1, le=1000)
    """The combinations that are tried, other than by ``grid``."""
    measure: str | None = None
    """The measure that Optuna's samplers maximise, on the first collection, averaged over languages and
    seeds; none takes the measure of the run's headline."""

    @model_validator(mode="before")
    @classmethod
    def _read_base(cls, values: Any) -> Any:
        """Replace the path of a run's file, or the name of a preset, by its settings."""
        if isinstance(values, Mapping) and isinstance(values.get("base"), str):
            try:
                return {**values, "base": read_settings(values["base"])}
            except InputError as error:
                raise ValueError(f"base: {error}") from error
        return values

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Refuse choices that cannot be tried."""
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds holds a seed twice; name each once")
        for name in ("seed", "name"):
            if name in self.choices:
                instead = "seeds" if name == "seed" else "name of the sweep"
                raise ValueError(f"choices.{name} is set by the sweep, from its {instead}; leave it out")
        lists: dict[str, Sequence[Any]] = {}
        for key, span in self.spans().items():
            if self.sampler == "grid":
                raise ValueError(
                    f"choices.{key} has two ends, and sampler = 'grid' takes lists; give a list, or set "
                    "sampler = 'random'"
                )
            lists[key] = [span.value(0.0)]
        for key, values in self.choices.items():
            if key not in lists:
                if not isinstance(values, list):
                    raise ValueError(f"choices.{key} must be a list of values or a table with low and high")
                lists[key] = values
        check_choices(lists)
        checked = self.checked()
        if len(checked) * len(self.seeds) > MOST_RUNS:
            raise ValueError(
                f"{len(checked):,} combinations with {len(self.seeds)} seeds are more than {MOST_RUNS:,} "
                "runs; leave some out, or set sampler = 'random'"
            )
        for settings in checked:
            member(self, settings, self.seeds[0])
        return self

    def spans(self) -> dict[str, Span]:
        """Return the choices that have two ends, by key.

        Raises
        ------
        ValueError
            If an end is missing or impossible.
        """
        found = {}
        for key, value in self.choices.items():
            if isinstance(value, Mapping):
                try:
                    found[key] = validate_settings(Span, value, f"choices.{key}")
                except InputError as error:
                    raise ValueError(str(error)) from error
        return found

    def checked(self) -> list[dict[str, Any]]:
        """Return the combinations that are checked before the sweep starts.

        For Optuna's samplers these are combinations in which every value and both ends of every choice occur.
        """
        if self.sampler not in OPTUNA:
            return self.drawn()
        spans = self.spans()
        tried = {
            key: [spans[key].value(0.0), spans[key].value(1.0)] if key in spans else values
            for key, values in self.choices.items()
        }
        return [
            dict(leaf for key, values in tried.items() for leaf in leaves(key, values[place % len(values)]))
            for place in range(max(map(len, tried.values())))
        ]

    def drawn(self) -> list[dict[str, Any]]:
        """Return the combinations of ``grid`` or ``random``, each by dotted key."""
        if self.sampler == "grid":
            return combinations(self.choices)
        spans = self.spans()
        if not spans:
            return combinations(self.choices, self.tries, self.seed)
        found: dict[str, dict[str, Any]] = {}
        for number in range(self.tries):
            settings: dict[str, Any] = {}
            for key, values in self.choices.items():
                share = _share(self.seed, number, key)
                value = spans[key].value(share) if key in spans else values[int(share * len(values))]
                settings.update(leaves(key, value))
            found.setdefault(json.dumps(settings, sort_keys=True), settings)
        return list(found.values())


def _share(seed: int, number: int, key: str) -> float:
    """Return the number between 0 and 1 that is drawn for a choice: the same for the same try and key."""
    digest = hashlib.blake2b(f"{seed} {number} {key}".encode(), digest_size=8).digest()
    return float(np.random.default_rng(int.from_bytes(digest, "little")).random())


def member(config: SweepConfig, settings: Mapping[str, Any], seed: int) -> RunHeader:
    """Return the configuration of the run with `settings` (by dotted key) and `seed`.

    Raises
    ------
    ValueError
        If it is no valid configuration, or one that has no seed of its own.
    """
    try:
        values = copy.deepcopy(over_preset(config.base))
        for key, value in settings.items():
            set_value(values, key, value)
        values = {**values, "seed": seed, "name": _name(config.name, settings, seed)}
        values["tags"] = [*values.get("tags", []), *config.tags]
        if config.cluster is not None:
            values["cluster"] = config.cluster.model_dump()
        parsed = parse_config(values)
    except InputError as error:
        raise ValueError(f"base with {describe_choice(settings)}: {error}") from error
    if RUN_KINDS[parsed.kind].several:
        raise ValueError(f"base is of kind {parsed.kind!r}, which is several runs; give the settings of one")
    return parsed


def _name(sweep: str, settings: Mapping[str, Any], seed: int) -> str:
    """Return a name such as ``sweep-epsilon0.1-s0``, of at most 80 characters."""
    parts = []
    for key, value in settings.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        parts.append(f"{key.rpartition('.')[2]}{text}")
    begin, end = "-".join([sweep, *parts]), f"-s{seed}"
    if len(begin) + len(end) > 80:
        digest = hashlib.blake2b(begin.encode(), digest_size=3).hexdigest()
        begin = f"{begin[: 80 - len(end) - 7]}-{digest}"
    return begin + end


def _read_by_sweep(config: SweepConfig) -> Iterator[Input]:
    seen: set[str] = set()
    for number, settings in enumerate(config.checked(), 1):
        one = member(config, settings, config.seeds[0])
        inputs = list(RUN_KINDS[one.kind].inputs(one))
        for place, entry in enumerate(getattr(one, "collections", ())):
            inputs.append(Input(f"collections.{place}", "engine.collections.load:load_collections", entry))
        for read in inputs:
            if (text := f"{read.key} {read.value}") not in seen:
                seen.add(text)
                yield replace(read, key=f"{read.key} of combination {number}")
    if config.sampler in OPTUNA:
        yield Input("sampler", "engine.runs.sweep:check_optuna", config.sampler)


SWEEP = RunKind(
    settings=SweepConfig,
    execute="engine.runs.sweep:sweep_run",
    estimate="engine.estimate.several:estimate_sweep",
    inputs=_read_by_sweep,
    several=True,
)
