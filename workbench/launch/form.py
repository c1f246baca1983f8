"""The launch form without a screen: settings as lines, made from the run configurations' own models.

No setting is listed here: names, types, defaults, meanings and messages are pydantic's.
"""

from __future__ import annotations

import copy
import json
import tomllib
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from engine.cli.toml import dump
from engine.config import BitextConfig, RunHeader, load_config, presets
from engine.config.runs import DISTIL
from engine.errors import InputError
from engine.extensions.runs import RUN_KINDS

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Line:
    """One line of the form: a setting, the heading of a group, or the heading of a list's item."""

    path: Path_
    name: str
    value: Any = None
    default: Any = None
    meaning: str = ""
    choices: tuple[Any, ...] = ()
    heading: bool = False
    item: bool = False
    error: str = ""

    @property
    def changed(self) -> bool:
        """Whether the value is not the default."""
        return not self.heading and self.value != self.default


@dataclass
class Form:
    """The settings of a run to be: a tree of plain values that need not be valid."""

    kind: str = DISTIL.name
    settings: dict[str, Any] = field(default_factory=dict)
    errors: dict[Path_, str] = field(default_factory=dict)
    preset: str | None = None
    recipe: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def start(cls, source: str | None = None) -> Form:
        """Return the form of a preset, or of an empty run.

        Raises
        ------
        InputError
            If there is no such preset.
        """
        recipe: dict[str, Any] = {}
        if source is not None:
            known = presets()
            try:
                recipe = tomllib.loads(Path(known.get(str(source), source)).read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise InputError(f"cannot be read: {error}", path=source) from error
        settings = copy.deepcopy(recipe)
        kind = settings.pop("kind", DISTIL.name)
        # A recipe leaves open what it is applied to.
        for name, info in RUN_KINDS[kind].settings.model_fields.items():
            if info.is_required() and name not in settings and _is_list(info.annotation):
                settings[name] = [_blank(_model(info.annotation))]
        form = cls(kind, settings, preset=str(source) if source else None, recipe=recipe)
        form.validate()
        return form

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Form:
        """Return the form of `settings`, a whole configuration such as a run records."""
        settings = copy.deepcopy(settings)
        settings.pop("preset", None)
        kind = settings.pop("kind", DISTIL.name)
        form = cls(kind if kind in RUN_KINDS else DISTIL.name, settings)
        form.validate()
        return form

    @property
    def model(self) -> type[RunHeader]:
        """The configuration's class."""
        return RUN_KINDS[self.kind].settings

    def validate(self) -> RunHeader | None:
        """Return the configuration if it is one; else keep the models' messages, by setting."""
        self.errors = {}
        try:
            return self.model.model_validate(_given(self.model, self.settings))
        except ValidationError as error:
            for found in error.errors():
                message = found["msg"].removeprefix("Value error, ")
                self.errors.setdefault(tuple(found["loc"]), f"{message[:1].lower()}{message[1:]}")
            return None

    def lines(self) -> list[Line]:
        """Return all lines, in the models' order."""
        first = Line(("kind",), "kind", self.kind, DISTIL.name, _doc(self.model), tuple(RUN_KINDS))
        return [first, *self._group(self.model, self.settings, (), {})]

    def _group(
        self, model: type[BaseModel], values: dict[str, Any], prefix: Path_, usual: dict[str, Any]
    ) -> Iterator[Line]:
        """Yield the lines of a group; `usual` holds what the group as a whole defaults to."""
        own: list[tuple[str, FieldInfo]] = []
        groups: list[tuple[str, FieldInfo]] = []
        for name, info in model.model_fields.items():
            if prefix or name not in ("kind", "preset"):
                (groups if _model(info.annotation) else own).append((name, info))
        for name, info in own:
            path = (*prefix, name)
            default = _default(info)
            value = values.get(name, default)
            default = usual.get(name, default)
            meaning = " ".join((info.description or "").split())
            yield Line(path, name, value, default, meaning, choices(info.annotation), error=self.error(path))
        for name, info in groups:
            inner = _model(info.annotation)
            assert inner is not None
            path = (*prefix, name)
            meaning = " ".join((info.description or "").split())
            value = values.get(name, _default(info))
            if _is_list(info.annotation):
                yield Line(path, f"[[{name}]]", len(value or ()), meaning=meaning, heading=True, item=True,
                           error=self.errors.get(path, ""))  # fmt: skip
                for place, item in enumerate(value or ()):
                    here = (*path, place)
                    yield Line(
                        here, f"{name} {place + 1}", heading=True, item=True, error=self.errors.get(here, "")
                    )
                    yield from self._group(inner, item, here, {})
            else:
                optional = _default(info) is None
                state = "none; Enter sets it" if optional and value is None else None
                yield Line(
                    path, f"[{name}]", state, meaning=meaning, heading=True, error=self.errors.get(path, "")
                )
                if value is not None:
                    yield from self._group(inner, value, path, _default(info) or {})

    def is_bitext(self, path: Path_) -> bool:
        """Tell whether the group at `path` is a source of sentence pairs."""
        info = field_at(self.model, path)
        return info is not None and _model(info.annotation) is BitextConfig

    def error(self, path: Path_) -> str:
        """Return what is wrong at `path` or within, or nothing."""
        return next((text for place, text in self.errors.items() if place[: len(path)] == path), "")

    def get(self, path: Path_) -> Any:
        """Return the value at `path`, or None where nothing was set."""
        value: Any = self.settings
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def put(self, path: Path_, value: Any) -> None:
        """Set the value at `path`, making the groups it lies in, and validate."""
        if path == ("kind",):
            self.kind = value
            known = self.model.model_fields
            self.settings = {name: found for name, found in self.settings.items() if name in known}
            self.validate()
            return
        target: Any = self.settings
        for place, part in enumerate(path[:-1]):
            if isinstance(target, dict) and (part not in target or target[part] is None):
                target[part] = self._whole(path[: place + 1])
            target = target[part]
        target[path[-1]] = value
        self.validate()

    def _whole(self, path: Path_) -> Any:
        """Return what a group holds before anything in it is set: its own default."""
        info = field_at(self.model, path)
        default = _default(info) if info is not None else None
        return {} if default is None else default

    def restore(self, path: Path_) -> None:
        """Put a setting back to its default."""
        if path == ("kind",):
            self.put(path, DISTIL.name)
            return
        target = self.get(path[:-1]) if path[:-1] else self.settings
        if isinstance(target, dict):
            target.pop(str(path[-1]), None)
        self.validate()

    def add(self, path: Path_) -> Path_ | None:
        """Add an item to the list that `path` lies in, like its last; return the item's path."""
        name = self._list(path)
        if name is None:
            return None
        items = self.get(name) or []
        info = field_at(self.model, name)
        item = copy.deepcopy(items[-1]) if items else _blank(_model(info.annotation if info else None))
        self.put(name, [*items, item])
        return (*name, len(items))

    def remove(self, path: Path_) -> bool:
        """Remove the item that `path` lies in; tell whether there was one."""
        name = self._list(path)
        if name is None or len(path) <= len(name):
            return False
        items = list(self.get(name) or [])
        del items[int(path[len(name)])]
        self.put(name, items)
        return True

    def _list(self, path: Path_) -> Path_ | None:
        """Return the innermost list of groups that `path` lies in."""
        for end in range(len(path), 0, -1):
            info = field_at(self.model, path[:end]) if isinstance(path[end - 1], str) else None
            if info is not None and _is_list(info.annotation) and _model(info.annotation):
                return path[:end]
        return None

    def toml(self) -> str:
        """Return the configuration as TOML, without what is as the defaults have it.

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
        whose = self.recipe.get("kind", DISTIL.name)
        if self.preset and self.kind == whose and "preset" in self.model.model_fields:
            # The file is laid over the preset when it is read, so what the preset sets is said in any case.
            settings = _with(settings, config.model_dump(mode="json", exclude_none=True), self.recipe)
            settings["preset"] = self.preset
        return dump({"kind": self.kind, **settings})

    def save(self, path: Path) -> None:
        """Write the configuration to `path`, a new file.

        Raises
        ------
        InputError
            If it is not valid, cannot be written, or would be read back as something else.
        """
        text = self.toml()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", path=path) from error
        read, meant = load_config(path), self.validate()
        if read.model_copy(update={"preset": None}) != meant.model_copy(update={"preset": None}):  # type: ignore[union-attr]
            raise InputError("the preset sets what this run leaves open; start from an empty run", path=path)


def parse(text: str, line: Line, model: type[BaseModel]) -> Any:
    """Return typed text as a value: nothing is none, numbers and lists as TOML has them, all else is text."""
    info = field_at(model, line.path)
    kinds = _kinds(info.annotation) if info is not None else {str}
    text = text.strip() if kinds != {str} else text
    if type(None) in kinds and not text:
        return None
    if list in kinds:
        return [part for part in text.replace(",", " ").split() if part]
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text.replace("_", ""))
            except ValueError:
                continue
    return text


def shown(value: Any) -> str:
    """Return a value as the form shows it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "(empty)"
    if isinstance(value, str) and value.strip() != value:
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def choices(annotation: Any) -> tuple[Any, ...]:
    """Return the values that a setting can be chosen from; none when it is typed."""
    if annotation is bool:
        return (False, True)
    if typing.get_origin(annotation) is Literal:
        return typing.get_args(annotation)
    return ()


def field_at(model: type[BaseModel], path: Path_) -> FieldInfo | None:
    """Return the field at `path` under `model`."""
    info: FieldInfo | None = None
    inner: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int):
            continue
        if inner is None or part not in inner.model_fields:
            return None
        info = inner.model_fields[part]
        inner = _model(info.annotation)
    return info


def _given(model: type[BaseModel], values: Any) -> Any:
    """Return `values` without the empty texts of required settings, so that the models call them missing."""
    if not isinstance(values, dict):
        return values
    given: dict[str, Any] = {}
    for name, value in values.items():
        info = model.model_fields.get(name)
        inner = _model(info.annotation) if info is not None else None
        if inner is not None and isinstance(value, list):
            given[name] = [_given(inner, item) for item in value]
        elif inner is not None:
            given[name] = _given(inner, value)
        elif value != "" or info is None or not info.is_required():
            given[name] = value
    return given


def _doc(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _default(info: FieldInfo) -> Any:
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return None
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for part in typing.get_args(annotation) if (found := _model(part))), None)


def _is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) is list


def _kinds(annotation: Any) -> set[Any]:
    origin = typing.get_origin(annotation)
    if origin is list:
        return {list}
    if origin is typing.Annotated:
        return _kinds(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return {kind for part in typing.get_args(annotation) for kind in _kinds(part)}
    return {annotation}


def _with(changed: Any, whole: Any, recipe: dict[str, Any]) -> Any:
    """Return `changed` and, of `whole`, also what `recipe` speaks of."""
    kept = {}
    for name, value in whole.items():
        both = isinstance(value, dict) and isinstance(recipe.get(name), dict)
        if both:
            kept[name] = _with(changed.get(name, {}), value, recipe[name])
        elif name in changed or name in recipe:
            kept[name] = changed.get(name, value)
    return kept


def _blank(model: type[BaseModel] | None) -> dict[str, Any]:
    """Return an item with its required texts empty, so that they have lines and messages."""
    if model is None:
        return {}
    blank: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if info.is_required():
            options = choices(info.annotation)
            blank[name] = options[0] if options else ""
    return blank
