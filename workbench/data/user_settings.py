"""The user's settings of the app: keys and alerts, from ``app.toml`` in the user's configuration folder.

No other file has such settings. A file in the working folder or in a run's folder could otherwise start
programs, or give keys another meaning.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from engine.errors import InputError, nearest
from engine.paths import settings_home
from workbench.data.key_map import KeyMap

ENDS = ("finished", "failed", "stopped")
"""The ends of a run that alerts can be given for. Training that diverged, and a run that crashed, failed."""


@dataclass(frozen=True)
class AlertSettings:
    """What happens when a run ends that was queued or running while the app was open: ``[alerts]``.

    Attributes
    ----------
    on : list of str
        The ends of which you are told: ``finished``, ``failed`` (also training that diverged and a process
        that was killed), ``stopped``. By default the first two.
    bell : bool
        Ring the terminal's bell. By default true.
    desktop : bool
        Show a notification on the desktop: with ``notify-send`` on the machine's own screen, otherwise
        through the terminal, also through ssh. By default true.
    command : list of str
        A program and its arguments, which is started without a shell, such as
        ``["curl", "-d", "@-", "https://example.org/hook"]``. It reads the run's id, name, state and failure
        as one JSON object. By default empty: nothing is started.
    """

    on: list[str] = field(default_factory=lambda: ["finished", "failed"])
    bell: bool = True
    desktop: bool = True
    command: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class UserSettings:
    """The settings of ``app.toml``."""

    keys: KeyMap = field(default_factory=KeyMap)
    alerts: AlertSettings = field(default_factory=AlertSettings)


def settings_file() -> Path:
    """Return the file of the user's settings, which may not exist."""
    return settings_home() / "app.toml"


def read_user_settings() -> UserSettings:
    """Read the user's settings; a file that does not exist has none.

    Raises
    ------
    InputError
        If the file cannot be read, is not TOML, or has a setting that does not exist or a value that is not
        valid. The sentence names the file and the key.
    """
    path = settings_file()
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return UserSettings()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"is not valid TOML: {error}", path=path) from error
    known = [field.name for field in fields(UserSettings)]
    for name, table in found.items():
        if name not in known:
            raise InputError(f"{name} is not a setting{nearest(name, known)}", path=path)
        if not isinstance(table, dict):
            raise InputError(f"{name}: write a table, [{name}]", path=path)
    try:
        return UserSettings(KeyMap.from_settings(found.get("keys", {})), _alerts(found.get("alerts", {})))
    except InputError as error:
        raise InputError(str(error), path=path) from None


def _alerts(table: dict[str, Any]) -> AlertSettings:
    default = AlertSettings()
    known = [field.name for field in fields(default)]
    for name, value in table.items():
        if name not in known:
            raise InputError(f"alerts.{name} is not a setting{nearest(name, known)}")
        if isinstance(getattr(default, name), bool):
            if not isinstance(value, bool):
                raise InputError(f"alerts.{name}: write true or false, not {value!r}")
        elif not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InputError(f"alerts.{name}: write a list of texts in quotes, not {value!r}")
    settings = AlertSettings(**table)
    for end in settings.on:
        if end not in ENDS:
            raise InputError(f"alerts.on: {end!r} is not one of {', '.join(ENDS)}")
    program = settings.command[0] if settings.command else "/"
    if not program or ("/" in program and not Path(program).is_absolute()):
        raise InputError(
            f"alerts.command: {program!r}: write the name of a program on the PATH, or its whole path"
        )
    return settings
