"""The keys that a user chose for the app's actions, checked against the table of actions."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key

from engine.errors import InputError, nearest
from workbench.actions import ACTIONS, Action, binding_id, is_function_key, key_text

PRESETS: dict[str, dict[str, str]] = {
    "hjkl": {
        "table.right": "right,l",
        "table.page_down": "pagedown,ctrl+d",
        "table.page_up": "pageup,ctrl+u",
        "heatmap.right": "right,l",
        "heatmap.log_scale": "L",
        "curves.log_axis": "L",
        "ask.choose_language": "L",
        "solver.next": "right,space,l",
        "solver.previous": "left,h",
    }
}
"""Key maps by name. ``hjkl``: these letters move in every table and heatmap, as in vi."""

_TOGETHER = (
    ("runs", "curves", "table"),
    ("launch",),
    ("results", "table"),
    ("queries", "table"),
    ("study", "table"),
    ("plan", "heatmap"),
    ("plan", "solver"),
    ("plan", "pair"),
    ("ask", "table"),
    ("sql", "table"),
)
"""Scopes whose keys work at the same time, besides those of the app."""

_MODIFIERS = ("ctrl", "shift", "alt")
_NAMED = {key.value for key in Keys} | set(KEY_NAME_REPLACEMENTS.values())


class KeyMap:
    """The keys of all actions.

    Parameters
    ----------
    chosen : mapping
        Keys by action (``runs.stop``), several separated by commas. Other actions have their default keys.
    """

    def __init__(self, chosen: Mapping[str, str] | None = None) -> None:
        self._chosen = dict(chosen or {})

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> KeyMap:
        """Return the key map of the table ``[keys]`` of the user's settings.

        Raises
        ------
        InputError
            If an action or a key does not exist, or two actions that work at the same time have one key. The
            sentence names both.
        """
        chosen: dict[str, str] = {}
        for name, value in _flat(settings):
            if name == "preset":
                if value not in PRESETS:
                    raise InputError(f"keys.preset: {value!r} is not one of {', '.join(PRESETS)}")
                chosen = {**PRESETS[value], **chosen}
                continue
            if name not in _actions():
                raise InputError(f"keys.{name} is not an action{nearest(name, list(_actions()))}")
            texts = value.split(",") if isinstance(value, str) else value
            if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
                raise InputError(f'keys.{name}: write a key, such as "x" or "ctrl+x", or a list of keys')
            chosen[name] = ",".join(_key(name, text.strip()) for text in texts)
        keys = cls(chosen)
        keys._check()
        return keys

    def keys(self, scope: str, action: Action) -> str:
        """Return the keys of an action, separated by commas."""
        chosen = self._chosen.get(f"{scope}.{action.id}")
        if chosen is None:
            return action.keys
        if scope == "app" and not any(map(is_function_key, chosen.split(","))):
            # The function keys of the app work in every text field, so they stay.
            return ",".join([chosen, *filter(is_function_key, action.keys.split(","))])
        return chosen

    def bindings(self) -> dict[str, str]:
        """Return the keys by the ids of `workbench.actions.bindings`, for Textual's ``set_keymap``."""
        found: dict[str, list[str]] = {}
        for name, chosen in self._chosen.items():
            scope, action = _actions()[name]
            own = {binding_id(scope, action, key) for key in action.keys.split(",")}
            for key in chosen.split(","):
                id = binding_id(scope, action, key)
                found.setdefault(id if id in own else min(own), []).append(key)
        return {id: ",".join(keys) for id, keys in found.items()}

    def _check(self) -> None:
        """Raise if two actions that work at the same time have the same key."""
        for scopes in _TOGETHER:
            owners: dict[str, str] = {}
            for scope in ("app", *scopes):
                for action in ACTIONS[scope]:
                    name = f"{scope}.{action.id}"
                    for key in self.keys(scope, action).split(","):
                        other = owners.setdefault(key, name)
                        if other != name:
                            wrong, free = (name, other) if name in self._chosen else (other, name)
                            raise InputError(
                                f"keys.{wrong}: {key_text(key)} is also the key of {free}; choose another "
                                "key for one of them"
                            )


def _actions() -> dict[str, tuple[str, Action]]:
    """Return scope and action by the name that the user's key map has for it."""
    return {f"{scope}.{action.id}": (scope, action) for scope in ACTIONS for action in ACTIONS[scope]}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the settings with dotted names, the preset first."""
    for name, value in sorted(settings.items(), key=lambda item: item[0] != "preset"):
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _key(action: str, text: str) -> str:
    """Return Textual's name of a key that a user wrote.

    Raises
    ------
    InputError
        If there is no such key.
    """
    *modifiers, base = text.split("+") if len(text) > 1 else [text]
    if len(base) == 1:
        base = _character_to_key(base)
    known = base in _NAMED or len(base) == 1 or _is_character(base)
    if not base or not known or set(modifiers) - set(_MODIFIERS):
        advice = nearest(base, sorted(_NAMED)) if base else ""
        raise InputError(f"keys.{action}: {text!r} is not a key{advice}")
    if len(base) == 1 and "shift" in modifiers:
        raise InputError(f"keys.{action}: terminals send {base.upper()} for {text!r}; write that")
    if len(base) == 1 and "ctrl" in modifiers:
        base = base.lower()
    return "+".join([*modifiers, base])


def _is_character(name: str) -> bool:
    """Return whether `name` is the name of a character, such as ``question_mark``."""
    try:
        unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return False
    return True
