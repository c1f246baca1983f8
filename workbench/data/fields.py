"""Settings as rows of a form, read from the configuration models.

Names, types, defaults, meanings and choices are those of the models; no setting is listed here.
Imports pydantic, which is slow; modules of the first screen import this one inside functions.
"""

from __future__ import annotations

import json
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from engine.config.fields import field_at, meaning
from engine.registry import OneOf

SettingPath = tuple[str | int, ...]
"""Where a setting lies in a configuration: the names of its groups, and numbers in lists of groups."""


@dataclass(frozen=True)
class SettingRow:
    """A row of a form: a setting, the heading of a group, or the heading of an item of a list of groups.

    Attributes
    ----------
    path : SettingPath
        Where the setting lies.
    name : str
        The setting's name, or the text of the heading.
    value, default : object
        Its value and its default.
    meaning : str
        What the setting does.
    choices : tuple
        The values of a setting that is chosen; empty when it is typed.
    allowed : tuple of str
        The values that the items of a list may have; empty when any may be typed.
    heading : bool
        Whether the row is a heading.
    item : bool
        Whether the heading is that of a list of groups or of one of its items.
    error : str
        Why the value is not valid.
    """

    path: SettingPath
    name: str
    value: Any = None
    default: Any = None
    meaning: str = ""
    choices: tuple[Any, ...] = ()
    allowed: tuple[Any, ...] = ()
    heading: bool = False
    item: bool = False
    error: str = ""

    @property
    def changed(self) -> bool:
        """Whether the value differs from the default."""
        return not self.heading and self.value != self.default


def setting_row(
    path: SettingPath, info: FieldInfo, value: Any, default: Any, *, error: str = ""
) -> SettingRow:
    """Return the row of the setting that `info` declares."""
    return SettingRow(
        path,
        str(path[-1]),
        value,
        default,
        meaning(info),
        field_choices(info),
        list_choices(info),
        error=error,
    )


def field_choices(info: FieldInfo) -> tuple[Any, ...]:
    """Return the values from which a setting is chosen; empty when it is typed."""
    return _registered(info.metadata) or _choices(info.annotation)


def list_choices(info: FieldInfo) -> tuple[Any, ...]:
    """Return the values that the items of a list may have; empty when any may be typed or it is no list."""
    if typing.get_origin(info.annotation) is not list:
        return ()
    return _choices(typing.get_args(info.annotation)[0])


def _choices(annotation: Any) -> tuple[Any, ...]:
    if annotation is bool:
        return (False, True)
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return parts
    if origin is typing.Annotated:
        return _registered(parts[1:]) or _choices(parts[0])
    if origin in (typing.Union, types.UnionType) and type(None) in parts:
        chosen = [_choices(part) for part in parts if part is not type(None)]
        return (None, *(value for values in chosen for value in values)) if all(chosen) else ()
    return ()


def _registered(metadata: typing.Iterable[Any]) -> tuple[Any, ...]:
    """Return the names in the registry that an annotation refers to."""
    return next((item.choices for item in metadata if isinstance(item, OneOf)), ())


def is_list(info: FieldInfo) -> bool:
    """Return whether a setting is a list."""
    return typing.get_origin(info.annotation) is list


def parse_value(text: str, path: SettingPath, model: type[BaseModel]) -> Any:
    """Return typed text as a value of the setting at `path` under `model`.

    No text is None where the setting may be None; ``""`` is the empty text. Numbers are written as in TOML;
    the items of a list are separated by spaces or commas.
    """
    info = field_at(model, path)
    kinds = _types(info.annotation) if info is not None else {str}
    text = text.strip() if kinds != {str} else text
    if type(None) in kinds and not text:
        return None
    if text == '""' and str in kinds:
        return ""
    if list in kinds:
        return [part for part in text.replace(",", " ").split() if part]
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text.replace("_", ""))
            except ValueError:
                continue
    return text


def _types(annotation: Any) -> set[Any]:
    origin = typing.get_origin(annotation)
    if origin is list:
        return {list}
    if origin is typing.Annotated:
        return _types(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return {kind for part in typing.get_args(annotation) for kind in _types(part)}
    return {annotation}


def value_text(value: Any) -> str:
    """Return a value as a form shows it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "(empty)"
    if isinstance(value, str) and (value.strip() != value or not value):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
