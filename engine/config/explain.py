"""What is known of a setting: its meaning, values and default in each kind of run, and who sets it."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from engine.config.fields import field_at, field_default, fields_of, meaning
from engine.config.load import overridden, preset_settings, presets, read_settings
from engine.errors import InputError, nearest
from engine.extensions.runs import RUN_KINDS
from engine.registry import OneOf
from engine.validation import settings_model


@dataclass(frozen=True)
class Explanation:
    """A setting as some kinds of run have it.

    Attributes
    ----------
    key : str
        The dotted key, without numbers of list items.
    kinds : list of str
        The kinds of run with this setting, meaning and default.
    meaning : str
        What it does, with its unit if it has one.
    type : str
        The values that it can have, in words.
    default : object
        Its default; `required` settings have none.
    required : bool
    choices : dict of str to str
        The values that can be chosen, with their meaning if it is known.
    """

    key: str
    kinds: list[str]
    meaning: str
    type: str
    default: Any
    required: bool
    choices: dict[str, str] = field(default_factory=dict)


def explain(key: str) -> list[Explanation]:
    """Return what is known of the setting `key`, such as ``transport.epsilon``: one item for each meaning.

    Numbers of list items, as in ``bitext.0.limit``, may be left out.

    Raises
    ------
    InputError
        If no kind of run has such a setting; the message names the most similar one.
    """
    parts = _parts(key)
    found: dict[tuple[str, str, str], Explanation] = {}
    for name, kind in RUN_KINDS.items():
        info = field_at(kind.settings, parts)
        if info is None:
            continue
        default = field_default(info)
        said = meaning(info), type_text(info), repr(default)
        if said in found:
            found[said].kinds.append(name)
        else:
            found[said] = Explanation(
                ".".join(parts), [name], said[0], said[1], default, info.is_required(), _choices(info)
            )
    if not found:
        known = sorted({known for kind in RUN_KINDS.values() for known in keys_of(kind.settings)})
        last = [name for name in known if name.split(".")[-1:] == parts[-1:]]
        advice = f"; did you mean {min(last, key=len)!r}?" if last else nearest(".".join(parts), known)
        raise InputError(f"there is no setting {key!r}{advice}")
    return list(found.values())


def presets_with(key: str) -> dict[str, Any]:
    """Return the presets that set `key`, with their values; of a list, the values of its items."""
    parts = _parts(key)
    values = {name: list(_values(preset_settings(name), parts)) for name in presets()}
    return {name: found[0] if len(found) == 1 else found for name, found in values.items() if found}


def origin(
    key: str, source: Path | str, whole: Mapping[str, Any], overrides: Sequence[str] = ()
) -> tuple[Any, Literal["--set", "file", "preset", "default"]]:
    """Return the value of `key` in a configuration, and what gives it.

    Parameters
    ----------
    key : str
        A dotted key.
    source : path or str
        The file or preset.
    whole : mapping
        All settings of the configuration, with `overrides` and defaults.
    overrides : sequence of str
        ``key=value``, as `engine.config.load.load_config` takes them.

    Raises
    ------
    InputError
        If runs of its kind have no such setting.
    """
    parts = _parts(key)
    kind = str(whole["kind"])
    if field_at(RUN_KINDS[kind].settings, parts) is None:
        raise InputError(f"a run of kind {kind!r} has no setting {key!r}", path=source)
    found = list(_values(whole, parts))
    value = found[0] if len(found) == 1 else found
    if list(_values(overridden({}, [one for one in overrides if _is_new(one)]), parts)):
        return value, "--set"
    settings = read_settings(source)
    own = list(_values(settings, parts))
    if not own:
        return value, "default"
    name = settings.get("preset")
    inherited = list(_values(preset_settings(str(name)), parts)) if name in presets() else []
    return value, "preset" if str(source) in presets() or inherited == own else "file"


def keys_of(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Yield the dotted keys of all settings of `model`, groups included."""
    for name, info in fields_of(model).items():
        yield before + name
        inner = settings_model(info.annotation)
        if inner is not None:
            yield from keys_of(inner, f"{before}{name}.")


def type_text(info: FieldInfo) -> str:
    """Return in words what values a setting can have, such as ``number, above 0``."""
    if _choices(info):
        return "one of the names below"
    limits = _limits(info.metadata)
    return ", ".join([_kind_text(info.annotation), *limits])


_NAMES = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "none"}
_LIMITS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_LIMITS |= {"min_length": "length at least", "max_length": "length at most"}


def _kind_text(annotation: Any) -> str:
    begin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if begin is Literal:
        return "one of " + ", ".join(map(str, parts))
    if begin is typing.Annotated:
        limits = [text for part in parts[1:] for text in _limits(getattr(part, "metadata", [part]))]
        return ", ".join([_kind_text(parts[0]), *limits])
    if begin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind_text(part) for part in parts))
    if begin is list:
        return f"list of {_kind_text(parts[0])}"
    if begin is dict:
        return "table"
    if settings_model(annotation) is not None:
        return "table of settings"
    return _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _limits(metadata: Sequence[Any]) -> list[str]:
    return [
        f"{word} {getattr(item, name):g}"
        for item in metadata
        for name, word in _LIMITS.items()
        if isinstance(getattr(item, name, None), int | float)
    ]


def _choices(info: FieldInfo) -> dict[str, str]:
    for item in (*info.metadata, *_annotated(info.annotation)):
        if isinstance(item, OneOf):
            meanings = {name: getattr(entry, "meaning", "") for name, entry in item.registry.items()}
            return {name: " ".join(str(meanings.get(name, "")).split()) for name in item.choices}
    return {}


def _annotated(annotation: Any) -> Iterator[Any]:
    for part in typing.get_args(annotation):
        if isinstance(part, OneOf):
            yield part
        else:
            yield from _annotated(part)


def _parts(key: str) -> list[str]:
    return [part for part in key.strip().split(".") if not part.isdecimal()]


def _values(settings: Any, parts: Sequence[str]) -> Iterator[Any]:
    if not parts:
        yield settings
    elif isinstance(settings, Mapping):
        if parts[0] in settings:
            yield from _values(settings[parts[0]], parts[1:])
    elif isinstance(settings, list):
        for item in settings:
            yield from _values(item, parts)


def _is_new(override: str) -> bool:
    """Return whether an override can be read without the lists that it changes items of."""
    return not any(part.isdecimal() and part != "0" for part in override.partition("=")[0].split("."))
