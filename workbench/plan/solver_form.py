"""The solver's settings without a screen: lines made from their model, as the launch form makes its own."""

from __future__ import annotations

import math
from typing import Any

from pydantic import ValidationError

from engine.config import TransportConfig
from workbench.data.fields import SettingRow, parse_value, setting_row

#: Settings of the loss alone: what is solved here is the plan of the token vectors that retrieval uses.
_OF_TRAINING = ("layers", "teacher_layers", "layer_weights")


class SolverForm:
    """Settings of a transport problem, and those its run recorded.

    Parameters
    ----------
    recorded : dict
        The run's own settings; what is missing has the model's default.
    settings : dict, optional
        The settings as they are now; none takes the run's.
    """

    def __init__(self, recorded: dict[str, Any], settings: dict[str, Any] | None = None) -> None:
        self.recorded = TransportConfig.model_validate(recorded).model_dump()
        self.settings = dict(self.recorded if settings is None else settings)

    @property
    def changed(self) -> bool:
        """Whether a setting is not the run's."""
        return self.settings != self.recorded

    def lines(self) -> list[SettingRow]:
        """Return a line for each setting, in the model's order."""
        return [
            setting_row((name,), info, self.settings[name], self.recorded[name])
            for name, info in TransportConfig.model_fields.items()
            if name not in _OF_TRAINING
        ]

    def line(self, name: str) -> SettingRow:
        """Return the line of one setting."""
        return next(line for line in self.lines() if line.name == name)

    def put(self, name: str, value: Any) -> str:
        """Set `name` if the model takes `value`; else return the model's own message and change nothing."""
        try:
            self.settings = TransportConfig.model_validate({**self.settings, name: value}).model_dump()
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            return f"{message[:1].lower()}{message[1:]}"
        return ""

    def check(self, name: str, text: str) -> str:
        """Return the model's message for typed text, empty if it will do."""
        return SolverForm(self.recorded, self.settings).put(name, self.parsed(name, text))

    def parsed(self, name: str, text: str) -> Any:
        """Return typed text as a value of `name`."""
        return parse_value(text, (name,), TransportConfig)

    def restore(self, name: str) -> None:
        """Put a setting back to the run's."""
        self.settings[name] = self.recorded[name]

    def step(self, name: str, way: int) -> str:
        """Take the next choice, or the next number of the row 1, 2, 5, 10, ...; say why it would not do."""
        line = self.line(name)
        if line.choices:
            place = line.choices.index(line.value)
            return self.put(name, line.choices[(place + way) % len(line.choices)])
        value = line.value
        if value is None:
            if way < 0:
                return ""
            value = self.settings["epsilon"]  # which annealing ends at
        return self.put(name, type(value)(neighbour(value, way)))


def neighbour(value: float, way: int) -> float:
    """Return the next larger (`way` 1) or smaller (-1) number of the row ..., 0.1, 0.2, 0.5, 1, 2, 5, ..."""
    decade = math.floor(math.log10(value))
    row = [float(f"{digit}e{power}") for power in range(decade - 1, decade + 2) for digit in (1, 2, 5)]
    further = [number for number in row if (number - value) * way > 1e-9 * value]
    return further[0] if way > 0 else further[-1]
