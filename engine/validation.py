"""Validate settings against a model, and describe what is wrong with them in one sentence."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from engine.errors import InputError, nearest
from engine.visible import visible

Model = TypeVar("Model", bound=BaseModel)


def validate_settings(model: type[Model], settings: Mapping[str, Any], key: str = "") -> Model:
    """Return `settings` as an instance of `model`.

    Parameters
    ----------
    model : type
        The settings model.
    settings : mapping
        The values by name.
    key : str
        The key of the table that holds the settings; names in errors begin with it.

    Raises
    ------
    InputError
        If a name is unknown or missing, or a value is not what the model declares.
    """
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        raise InputError(describe_error(error, model, key=key)) from error


def describe_error(
    error: ValidationError, model: type[BaseModel], *, key: str = "", skip: Sequence[str] = ()
) -> str:
    """Return the first of the errors that `model` found, as a sentence.

    Parameters
    ----------
    error : ValidationError
        What pydantic raised.
    model : type
        The settings model; the names of its fields are suggested for an unknown one.
    key : str
        The key of the table that holds the settings.
    skip : sequence of str
        Names that are left out where a location begins with them, such as the tags of a union.
    """
    first, more = error.errors()[0], error.error_count() - 1
    location = list(first["loc"][1:] if first["loc"] and first["loc"][0] in skip else first["loc"])
    name = ".".join(visible(str(part)) for part in ([key] if key else []) + location) or "the configuration"
    if first["type"] == "extra_forbidden":
        text = f"{name} is not a setting{nearest(str(location[-1]), _fields(model, location[:-1]))}"
    elif first["type"] == "missing":
        text = f"{name} is missing"
    else:
        message = first["msg"].removeprefix("Value error, ")
        text = f"{name}: {message[:1].lower()}{message[1:]}"
        if not isinstance(first["input"], dict | list):
            text += f", not {first['input']!r}"
    return text + (f" (and {more} more)" if more else "")


def _fields(model: Any, location: Sequence[str | int]) -> list[str]:
    """Return the settings' names at `location` under `model`."""
    for part in location:
        if isinstance(part, int):
            continue
        model = settings_model(model.model_fields[part].annotation)
    return list(model.model_fields)


def settings_model(annotation: Any) -> Any:
    """Return the settings class inside an annotation such as ``list[X]`` or ``X | None``."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for part in typing.get_args(annotation) if (found := settings_model(part))), None)
