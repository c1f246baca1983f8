"""Read run configurations: presets, TOML files, overrides."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Union

from pydantic import Field, TypeAdapter, ValidationError

from engine.config.base import RunHeader
from engine.config.hub import fetch_descriptions
from engine.config.runs import DISTIL, EVALUATE
from engine.counted import counted
from engine.errors import InputError, nearest
from engine.extensions.runs import RUN_KINDS
from engine.paths import assets_folder
from engine.validation import describe_error


def presets() -> dict[str, Path]:
    """Return the presets that ship with the product, by name."""
    folder = assets_folder() / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def preset_settings(name: str) -> dict[str, Any]:
    """Return the settings of preset `name`, which usually does not name its data."""
    known = presets()
    if name not in known:
        raise InputError(f"there is no preset {name!r}{nearest(name, list(known))}")
    return {**_read_toml(known[name]), "preset": name}


def load_config(path: Path | str, overrides: Sequence[str] = (), *, fetch: bool = False) -> RunHeader:
    """Read a run configuration from TOML.

    Parameters
    ----------
    path : path or str
        A TOML file, or the name of a preset. A file with ``preset = "NAME"`` changes settings of that preset.
    overrides : sequence of str
        ``key=value`` with a dotted key; the value is TOML, or text if it is not valid TOML. Items of lists
        are counted from 0, as in errors: ``collections.0.name=tatoeba``. The number after the last item
        adds one.
    fetch : bool
        As in `parse_config`.

    Raises
    ------
    InputError
        If the file is missing or broken, or a key or value is not valid; the message names the key and, if
        it is unknown, the nearest one.
    """
    source = presets().get(str(path), Path(path))
    return parse_config(read_settings(source, overrides), source, fetch=fetch)


def read_settings(path: Path | str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings in a TOML file or preset, over those of the preset it names, without validation.

    The parameters and errors are those of `load_config`.
    """
    known = presets()
    source = known.get(str(path), Path(path))
    settings = _read_toml(source)
    settings = overridden(settings, overrides, _base(settings, overrides))
    if source in known.values():
        return {**settings, "preset": source.stem}
    return over_preset(settings)


def _base(settings: Mapping[str, Any], overrides: Sequence[str]) -> Mapping[str, Any]:
    """Return the settings of the preset that `settings` are over; none if there is no such preset."""
    named = dict(override.partition("=")[::2] for override in overrides)
    name = str(named.get("preset", settings.get("preset"))).strip("'\"")
    return {} if name not in presets() else preset_settings(name)


def over_preset(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` over those of the preset that their key ``preset`` names, if they have one.

    Raises
    ------
    InputError
        If there is no such preset.
    """
    name = settings.get("preset")
    return merge_settings({} if name is None else preset_settings(str(name)), settings)


def merge_settings(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `top`; tables in both are merged, all other values replaced."""
    merged = dict(base)
    for key, value in top.items():
        under = merged.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            merged[key] = merge_settings(under, value)
        else:
            merged[key] = value
    return merged


def parse_config(
    settings: Mapping[str, Any], source: Path | str | None = None, *, fetch: bool = False
) -> RunHeader:
    """Validate `settings`; errors name `source`.

    With `fetch`, the files that describe checkpoints of a hub are fetched first, because settings of an
    encoder that are left out follow them. Otherwise only the local cache is read.

    Raises
    ------
    InputError
        As `load_config`.
    """
    settings = dict(settings)
    if fetch:
        fetch_descriptions(settings)
    kind = str(settings.setdefault("kind", DISTIL.name if "bitext" in settings else EVALUATE.name))
    try:
        model = RUN_KINDS.get_entry(kind).settings
    except InputError as error:
        raise InputError(str(error), path=source) from error
    try:
        config: RunHeader = model.model_validate(settings)
    except ValidationError as error:
        raise InputError(describe_error(error, model), path=source) from error
    return config


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of the configurations of all kinds of run."""
    models = tuple(kind.settings for kind in RUN_KINDS.values())
    any_kind: Any = Annotated[Union[models], Field(discriminator="kind")]  # noqa: UP007
    return TypeAdapter(any_kind).json_schema()


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"there is no such file or preset{nearest(str(path), list(presets()))}", path=path
        ) from None
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8 text", path=path) from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(str(getattr(error, "strerror", None) or error), path=path) from error


def overridden(
    settings: Mapping[str, Any], overrides: Sequence[str], base: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return `settings`, which are over those of `base`, with the values of ``key=value``.

    Raises
    ------
    InputError
        If an override has no key or no value, or names no item of a list.
    """
    changed = copy.deepcopy(dict(settings))
    for override in overrides:
        _override(changed, override, base or {})
    return changed


def _override(settings: dict[str, Any], override: str, base: Mapping[str, Any]) -> None:
    """Set one ``key=value`` in `settings`, which are over those of `base`."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set takes key=value, not {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    try:
        set_value(settings, key.strip(), value, base)
    except InputError as error:
        raise InputError(f"--set {error}") from error


def set_value(settings: dict[str, Any], key: str, value: Any, base: Mapping[str, Any] | None = None) -> None:
    """Set the setting with the dotted `key` in `settings`, which are over those of `base`.

    A list of `base` is copied when one of its items is changed, because lists are replaced as a whole.

    Raises
    ------
    InputError
        If the key names no item of a list, or a key inside a value.
    """
    parts = key.split(".")
    place: Any = settings
    under: Any = base or {}
    for depth, part in enumerate(parts[:-1]):
        inherited = under.get(part) if isinstance(under, Mapping) else None
        if isinstance(place, dict) and place.get(part) is None:
            new: Any = [] if parts[depth + 1].isdecimal() else {}
            place[part] = copy.deepcopy(inherited) if isinstance(inherited, list) else new
        place = place[part] if isinstance(place, dict) else _item(place, part, key, {})
        under = inherited if isinstance(place, dict) else None
        if not isinstance(place, dict | list):
            raise InputError(f"{key}: {part!r} holds no further keys")
    if isinstance(place, dict):
        place[parts[-1]] = value
    else:
        _item(place, parts[-1], key, value)
        place[int(parts[-1])] = value


def _item(items: list[Any], number: str, key: str, new: Any) -> Any:
    """Return an item of a list; the number after the last one adds `new`."""
    if not number.isdecimal() or int(number) > len(items):
        raise InputError(
            f"{key}: {number!r} is not an item of a list of {counted(len(items), 'item')}; items "
            "are counted from 0, and "
            f"{len(items)} adds one"
        )
    if int(number) == len(items):
        items.append(new)
    return items[int(number)]
