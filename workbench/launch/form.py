"""The launch form without a screen: a tree of settings, its rows, and the TOML file that it makes."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from engine.cli.toml import dump
from engine.config import BitextConfig, RunHeader, load_config, presets
from engine.config.fields import field_at, field_default, fields_of, meaning
from engine.config.runs import DISTIL
from engine.errors import InputError
from engine.extensions.losses import LOSSES
from engine.extensions.runs import RUN_KINDS
from engine.validation import settings_model
from workbench.data.fields import (
    SettingPath,
    SettingRow,
    field_choices,
    is_list,
    parse_value,
    setting_row,
)


@dataclass
class Form:
    """The settings of a run that is being configured: a tree of plain values that need not be valid.

    Attributes
    ----------
    kind : str
        The kind of run.
    settings : dict
        The values that were set; what is missing has the model's default.
    errors : dict
        The messages of the models, by setting.
    preset : str or None
        The preset that the form started from.
    preset_settings : dict
        What that preset sets.
    """

    kind: str = DISTIL.name
    settings: dict[str, Any] = field(default_factory=dict)
    errors: dict[SettingPath, str] = field(default_factory=dict)
    preset: str | None = None
    preset_settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_preset(cls, source: str | None = None) -> Form:
        """Return the form of a preset, or of an empty run.

        Raises
        ------
        InputError
            If there is no such preset.
        """
        preset_settings: dict[str, Any] = {}
        if source is not None:
            known = presets()
            try:
                preset_settings = tomllib.loads(Path(known.get(str(source), source)).read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise InputError(f"cannot be read: {error}", path=source) from error
        settings = copy.deepcopy(preset_settings)
        kind = settings.pop("kind", DISTIL.name)
        # A preset does not name its data.
        for name, info in RUN_KINDS[kind].settings.model_fields.items():
            if info.is_required() and name not in settings and is_list(info):
                settings[name] = [_blank(settings_model(info.annotation))]
        _write_out_losses(settings)
        form = cls(kind, settings, preset=str(source) if source else None, preset_settings=preset_settings)
        form.validate()
        return form

    @classmethod
    def from_config(cls, settings: dict[str, Any]) -> Form:
        """Return the form of `settings`, a whole configuration such as the record of a run holds."""
        settings = copy.deepcopy(settings)
        settings.pop("preset", None)
        kind = settings.pop("kind", DISTIL.name)
        _write_out_losses(settings)
        form = cls(kind if kind in RUN_KINDS else DISTIL.name, settings)
        form.validate()
        return form

    @property
    def model(self) -> type[RunHeader]:
        """The configuration's model."""
        return RUN_KINDS[self.kind].settings

    def validate(self) -> RunHeader | None:
        """Return the configuration if it is valid; if not, set `errors` and return None."""
        self.errors = {}
        try:
            return self.model.model_validate(_given(self.model, self.settings))
        except ValidationError as error:
            for found in error.errors():
                message = found["msg"].removeprefix("Value error, ")
                self.errors.setdefault(tuple(found["loc"]), f"{message[:1].lower()}{message[1:]}")
            return None

    def rows(self) -> list[SettingRow]:
        """Return the rows of all settings, in the order of the models."""
        first = SettingRow(("kind",), "kind", self.kind, DISTIL.name, _doc(self.model), tuple(RUN_KINDS))
        return [first, *self._group(self.model, self.settings, (), {})]

    def _group(
        self, model: type[BaseModel], values: dict[str, Any], prefix: SettingPath, defaults: dict[str, Any]
    ) -> Iterator[SettingRow]:
        """Yield the rows of a group; `defaults` holds the values in the default of the group as a whole."""
        settings: list[tuple[str, FieldInfo]] = []
        groups: list[tuple[str, FieldInfo, type[BaseModel]]] = []
        for name, info in fields_of(model, values).items():
            inner = settings_model(info.annotation)
            if inner is not None:
                groups.append((name, info, inner))
            elif prefix or name not in ("kind", "preset"):
                settings.append((name, info))
        for name, info in settings:
            path, default = (*prefix, name), field_default(info)
            value = values.get(name, default)
            yield setting_row(path, info, value, defaults.get(name, default), error=self.error(path))
        for name, info, inner in groups:
            path, default = (*prefix, name), field_default(info)
            value = values.get(name, default)
            heading = partial(SettingRow, path, meaning=meaning(info), heading=True)
            if is_list(info):
                error = self.errors.get(path, "")
                yield heading(name=f"[[{name}]]", value=len(value or ()), item=True, error=error)
                for place, item in enumerate(value or ()):
                    item_path = (*path, place)
                    error = self.errors.get(item_path, "")
                    yield SettingRow(item_path, f"{name} {place + 1}", heading=True, item=True, error=error)
                    yield from self._group(inner, item, item_path, {})
            else:
                state = "none; Enter sets it" if default is None and value is None else None
                yield heading(name=f"[{name}]", value=state, error=self.errors.get(path, ""))
                if value is not None:
                    yield from self._group(inner, value, path, default or {})

    def is_bitext(self, path: SettingPath) -> bool:
        """Return whether the group at `path` is a source of sentence pairs."""
        info = field_at(self.model, path)
        model = None if info is None else settings_model(info.annotation)
        return model is not None and issubclass(model, BitextConfig)

    def error(self, path: SettingPath) -> str:
        """Return the message on `path` or on a setting within it; empty if there is none."""
        return next((text for place, text in self.errors.items() if place[: len(path)] == path), "")

    def get_value(self, path: SettingPath) -> Any:
        """Return the value at `path`, or None if it was not set."""
        value: Any = self.settings
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def set_value(self, path: SettingPath, value: Any) -> None:
        """Set the value at `path`, create the groups that it lies in, and validate."""
        if path == ("kind",):
            self.kind = value
            known = self.model.model_fields
            self.settings = {name: found for name, found in self.settings.items() if name in known}
            self.validate()
            return
        target: Any = self.settings
        for place, part in enumerate(path[:-1]):
            if isinstance(target, dict) and (part not in target or target[part] is None):
                target[part] = self._group_default(path[: place + 1])
            target = target[part]
        before = self._fields_at(path[:-1], target)
        target[path[-1]] = value
        # Settings that belonged to the previous value have no row any more.
        for name in before.keys() - self._fields_at(path[:-1], target).keys():
            target.pop(name, None)
        self.validate()

    def _fields_at(self, path: SettingPath, values: Any) -> dict[str, FieldInfo]:
        """Return the settings of the group at `path` that its `values` make possible."""
        info = field_at(self.model, path) if path else None
        model = settings_model(info.annotation) if info is not None else self.model
        return fields_of(model, values) if model is not None and isinstance(values, dict) else {}

    def check_text(self, path: SettingPath, text: str) -> str | None:
        """Return why typed text is not a valid value of the setting at `path`, or None if it is valid."""
        other = Form(self.kind, copy.deepcopy(self.settings))
        other.set_value(path, parse_value(text, path, self.model))
        return other.error(path) or None

    def _group_default(self, path: SettingPath) -> Any:
        """Return what a group holds before a setting in it is changed: the group's default."""
        info = field_at(self.model, path)
        default = field_default(info) if info is not None else None
        return {} if default is None else default

    def restore(self, path: SettingPath) -> None:
        """Set a setting to its default."""
        if path == ("kind",):
            self.set_value(path, DISTIL.name)
            return
        target = self.get_value(path[:-1]) if path[:-1] else self.settings
        if isinstance(target, dict):
            target.pop(str(path[-1]), None)
        self.validate()

    def add_item(self, path: SettingPath) -> SettingPath | None:
        """Append a copy of the last item to the list that `path` lies in, and return the new item's path."""
        name = self._list_at(path)
        if name is None:
            return None
        items = self.get_value(name) or []
        info = field_at(self.model, name)
        item = (
            copy.deepcopy(items[-1]) if items else _blank(settings_model(info.annotation) if info else None)
        )
        self.set_value(name, [*items, item])
        return (*name, len(items))

    def remove_item(self, path: SettingPath) -> bool:
        """Remove the item that `path` lies in, and return whether there was one."""
        name = self._list_at(path)
        if name is None or len(path) <= len(name):
            return False
        items = list(self.get_value(name) or [])
        del items[int(path[len(name)])]
        self.set_value(name, items)
        return True

    def _list_at(self, path: SettingPath) -> SettingPath | None:
        """Return the innermost list of groups that `path` lies in."""
        for end in range(len(path), 0, -1):
            info = field_at(self.model, path[:end]) if isinstance(path[end - 1], str) else None
            if info is not None and is_list(info) and settings_model(info.annotation):
                return path[:end]
        return None

    def to_toml(self) -> str:
        """Return the configuration as TOML, without settings that have their default.

        Raises
        ------
        InputError
            If it is not valid.
        """
        config = self.validate()
        if config is None:
            path, message = next(iter(self.errors.items()))
            raise InputError(f"{'.'.join(map(str, path)) or 'the configuration'}: {message}")
        settings = config.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        preset_kind = self.preset_settings.get("kind", DISTIL.name)
        if self.preset and self.kind == preset_kind and "preset" in self.model.model_fields:
            # The file is read over the preset, so it must repeat each setting of the preset that was put
            # back to its default.
            whole = config.model_dump(mode="json", exclude_none=True)
            settings = _with_preset_keys(settings, whole, self.preset_settings)
            settings["preset"] = self.preset
        return dump({"kind": self.kind, **settings})

    def save(self, path: Path) -> None:
        """Write the configuration to `path`, a new file.

        Raises
        ------
        InputError
            If it is not valid, cannot be written, or would be read back with other values.
        """
        text = self.to_toml()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", path=path) from error
        read, meant = load_config(path), self.validate()
        if read.model_copy(update={"preset": None}) != meant.model_copy(update={"preset": None}):  # type: ignore[union-attr]
            raise InputError(
                "the preset has settings that this run must not have; start from an empty run", path=path
            )


def _given(model: type[BaseModel], values: Any) -> Any:
    """Return `values` without empty texts of required settings, so that the models report them as missing."""
    if not isinstance(values, dict):
        return values
    given: dict[str, Any] = {}
    for name, value in values.items():
        info = model.model_fields.get(name)
        inner = settings_model(info.annotation) if info is not None else None
        if inner is not None and isinstance(value, list):
            given[name] = [_given(inner, item) for item in value]
        elif inner is not None:
            given[name] = _given(inner, value)
        elif value != "" or info is None or not info.is_required():
            given[name] = value
    return given


def _write_out_losses(settings: dict[str, Any]) -> None:
    """Write losses with settings of their own as tables; in TOML a number may stand for their weight."""
    losses = settings.get("loss")
    if not isinstance(losses, dict):
        return
    for name, value in losses.items():
        declared = LOSSES.get(name)
        if declared is not None and declared.settings is not None and not isinstance(value, dict):
            losses[name] = {"weight": value}


def _doc(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _with_preset_keys(changed: Any, whole: Any, preset: dict[str, Any]) -> Any:
    """Return `changed` together with those settings of `whole` that `preset` sets."""
    kept = {}
    for name, value in whole.items():
        if isinstance(value, dict) and isinstance(preset.get(name), dict):
            kept[name] = _with_preset_keys(changed.get(name, {}), value, preset[name])
        elif name in changed or name in preset:
            kept[name] = changed.get(name, value)
    return kept


def _blank(model: type[BaseModel] | None) -> dict[str, Any]:
    """Return an item whose required settings are empty texts, so that they have rows and messages."""
    if model is None:
        return {}
    blank: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if info.is_required():
            options = field_choices(info)
            blank[name] = options[0] if options else ""
    return blank
