"""The settings that a model declares, by name or dotted key, for forms and explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from engine.config.base import Settings
from engine.validation import settings_model


def fields_of(model: type[BaseModel], values: Mapping[str, Any] | None = None) -> dict[str, FieldInfo]:
    """Return the settings of `model` by name: those that `values` make possible, or all without `values`."""
    return model.fields_for(values) if issubclass(model, Settings) else dict(model.model_fields)


def field_at(model: type[BaseModel], path: Sequence[str | int]) -> FieldInfo | None:
    """Return the field at `path` under `model`, or None if there is none.

    Parameters
    ----------
    model : type
        The settings model.
    path : sequence of str or int
        The names of the groups and of the setting; numbers, which count items of lists, are passed over.
    """
    info: FieldInfo | None = None
    inner: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int):
            continue
        info = fields_of(inner).get(part) if inner is not None else None
        if info is None:
            return None
        inner = settings_model(info.annotation)
    return info


def field_default(info: FieldInfo) -> Any:
    """Return the default of a setting as a plain value; None when it is required."""
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return None
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def meaning(info: FieldInfo) -> str:
    """Return what a setting does, on one line."""
    return " ".join((info.description or "").split())
