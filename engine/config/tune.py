"""Settings of tuning: choices for an evaluation that are made on held-out queries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from engine.config.choices import check_choices, combinations, describe_choice
from engine.config.collections import CollectionConfig
from engine.config.inputs import ANY_COLLECTION
from engine.config.runs import EncodersConfig, EvaluateConfig, read_by_evaluate
from engine.extensions.runs import Input, RunKind
from engine.validation import describe_error

CHOSEN_FILE = "chosen.json"
"""The file of the chosen configuration in a run's ``checkpoints/``."""


class TuneConfig(EncodersConfig):
    """Choose settings of an evaluation on held-out queries, then evaluate with the best.

    Systems are compared fairly if each had the same choices on the same held-out queries, with the same
    number of tries.
    """

    kind: Literal["tune"] = "tune"
    """The kind of run."""
    preset: str | None = None
    """The preset that this configuration is based on; recorded with the run."""
    held_out: list[CollectionConfig] = Field(min_length=1)
    """Collections on which settings are chosen. Their queries whose topics are also in `collections` are left
    out, and a run without any others is refused."""
    choices: dict[str, list[Any]] = Field(min_length=1)
    """The values that are tried for each setting, such as ``"encoder.query_length" = [64, 192]``. Where
    several settings change together, the values are tables, such as
    ``encoder = [{query_prefix = "", passage_prefix = ""}]``."""
    tries: int = Field(24, ge=1, le=1000)
    """The most combinations that are tried; of more, that many are drawn by a hash of `seed` and their
    values."""
    measure: str | None = None
    """The measure that decides, averaged over languages and collections; none takes the first measure of the
    first held-out collection."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Refuse choices that cannot be tried."""
        check_choices(self.choices)
        for key in self.choices:
            if key.partition(".")[0] not in _CHOOSABLE:
                raise ValueError(
                    f"choices.{key} is no setting of an evaluation; choose from {', '.join(_CHOOSABLE)}"
                )
        for one in tried(self):
            if len(one.config.evaluation.scoring) != 1:
                raise ValueError(
                    "a try has one scoring: set evaluation.scoring to one, or choose it with "
                    'choices."evaluation.scoring" = [["maxsim"], ["dense"]]'
                )
        return self


#: The settings that can be chosen.
_CHOOSABLE = (
    "encoder",
    "teacher",
    "evaluation",
    "language_components",
    "language_shift",
    "fitted",
    "translation",
)


@dataclass(frozen=True)
class Try:
    """A combination of choices.

    Attributes
    ----------
    settings : dict
        The chosen values, by dotted key.
    config : EvaluateConfig
        The evaluation of the held-out collections with them.
    """

    settings: dict[str, Any]
    config: EvaluateConfig

    @property
    def text(self) -> str:
        """The chosen values as JSON."""
        return json.dumps(self.settings, ensure_ascii=False, sort_keys=True)


def tried(config: TuneConfig) -> list[Try]:
    """Return the combinations that are tried, in the order of the choices.

    Raises
    ------
    ValueError
        If a combination is no valid evaluation.
    """
    found = combinations(config.choices, config.tries, config.seed)
    return [Try(settings, _with(config, settings)) for settings in found]


def _with(config: TuneConfig, settings: Mapping[str, Any]) -> EvaluateConfig:
    fields = EvaluateConfig.model_fields.keys() & TuneConfig.model_fields.keys() - {"kind", "preset"}
    values = config.model_dump(include=set(fields), exclude_unset=True)
    values["collections"] = [entry.model_dump() for entry in config.held_out]
    for key, value in settings.items():
        *parents, last = key.split(".")
        target = values
        for parent in parents:
            if target.get(parent) is None:
                target[parent] = {}
            target = target[parent]
        target[last] = value
    try:
        return EvaluateConfig.model_validate(values)
    except ValidationError as error:
        raise ValueError(
            f"choices: with {describe_choice(settings)}: {describe_error(error, EvaluateConfig)}"
        ) from error


def _read_by_tune(config: TuneConfig) -> Iterator[Input]:
    seen: set[str] = set()
    for number, one in enumerate(tried(config)):
        for read in read_by_evaluate(one.config):
            text = f"{read.key} {read.value}"
            if text not in seen:
                seen.add(text)
                yield replace(read, key=f"{read.key} of try {number + 1}")
    for place, entry in enumerate(config.held_out):
        yield Input(f"held_out.{place}", "engine.collections.load:load_collections", entry)


TUNE = RunKind(
    settings=TuneConfig,
    execute="engine.runs.tune:tune_run",
    chosen=CHOSEN_FILE,
    inputs=_read_by_tune,
    placeholders={"collections": ANY_COLLECTION, "held_out": ANY_COLLECTION},
)
