"""The settings of the solver as rows of a form, read from their configuration model."""

from __future__ import annotations

import math
from typing import Any

from pydantic import ValidationError

from engine.config import TransportConfig
from workbench.data.fields import SettingRow, parse_value, setting_row

#: Settings that only the loss uses. The plans shown here are those of the token vectors of retrieval.
_TRAINING_ONLY = ("layers", "teacher_layers", "layer_weights")


class SolverForm:
    """The settings of a transport problem next to those that its run recorded.

    Parameters
    ----------
    recorded : dict
        The settings that the run recorded; the others have the defaults of the model.
    settings : dict, optional
        The current settings; None for those of the run.
    """

    def __init__(self, recorded: dict[str, Any], settings: dict[str, Any] | None = None) -> None:
        self.recorded = TransportConfig.model_validate(recorded).model_dump()
        self.settings = dict(self.recorded if settings is None else settings)

    @property
    def changed(self) -> bool:
        """Whether a setting differs from the run's."""
        return self.settings != self.recorded

    def rows(self) -> list[SettingRow]:
        """Return a row for each setting, in the order of the model."""
        return [
            setting_row((name,), info, self.settings[name], self.recorded[name])
            for name, info in TransportConfig.model_fields.items()
            if name not in _TRAINING_ONLY
        ]

    def row(self, name: str) -> SettingRow:
        """Return the row of one setting."""
        return next(row for row in self.rows() if row.name == name)

    def set_value(self, name: str, value: Any) -> str:
        """Set `name` to `value`, and return "". If it is not valid, change nothing and return the reason."""
        try:
            self.settings = TransportConfig.model_validate({**self.settings, name: value}).model_dump()
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            return f"{message[:1].lower()}{message[1:]}"
        return ""

    def check(self, name: str, text: str) -> str:
        """Return why typed text is not valid; "" if it is valid."""
        return SolverForm(self.recorded, self.settings).set_value(name, self.parse(name, text))

    def parse(self, name: str, text: str) -> Any:
        """Return typed text as a value of the setting `name`."""
        return parse_value(text, (name,), TransportConfig)

    def restore(self, name: str) -> None:
        """Reset a setting to the run's value."""
        self.settings[name] = self.recorded[name]

    def step(self, name: str, step: int) -> str:
        """Set `name` to the next (`step` 1) or previous (-1) value, and return "" or why it is not valid.

        The values are the choices of the setting, or for a number the series 1, 2, 5, 10, ...
        """
        row = self.row(name)
        if row.choices:
            place = row.choices.index(row.value)
            return self.set_value(name, row.choices[(place + step) % len(row.choices)])
        value = row.value
        if value is None:
            if step < 0:
                return ""
            value = self.settings["epsilon"]  # annealing ends at this value
        return self.set_value(name, type(value)(neighbour(value, step)))


def neighbour(value: float, step: int) -> float:
    """Return the next larger (`step` 1) or smaller (-1) number of the series ..., 0.1, 0.2, 0.5, 1, 2, ..."""
    decade = math.floor(math.log10(value))
    series = [float(f"{digit}e{power}") for power in range(decade - 1, decade + 2) for digit in (1, 2, 5)]
    candidates = [number for number in series if (number - value) * step > 1e-9 * value]
    return candidates[0] if step > 0 else candidates[-1]
