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


def with_defaults(model: type[BaseModel], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return recorded settings with the defaults of settings that `model` has and the record lacks.

    A record lacks a setting that a later version of the program introduced. Nothing is validated or read.

    Parameters
    ----------
    model : type
        The settings model.
    settings : mapping
        Settings as plain values.
    """
    filled = dict(settings)
    for name, info in model.model_fields.items():
        if name not in filled:
            if not info.is_required():
                filled[name] = field_default(info)
        elif (inner := settings_model(info.annotation)) is not None:
            filled[name] = _items_with_defaults(inner, filled[name])
    return filled


def _items_with_defaults(model: type[BaseModel], value: Any) -> Any:
    if isinstance(value, list):
        return [_items_with_defaults(model, item) for item in value]
    return with_defaults(model, value) if isinstance(value, Mapping) else value


def meaning(info: FieldInfo) -> str:
    """Return what a setting does, on one line."""
    return " ".join((info.description or "").split())
