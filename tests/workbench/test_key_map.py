"""The user's key map and settings: one file, checked, and shown wherever keys are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Footer

from engine.errors import InputError
from workbench.actions import ACTIONS
from workbench.app import Workbench
from workbench.data.key_map import PRESETS, KeyMap
from workbench.data.user_settings import UserSettings, read_user_settings, settings_file
from workbench.shell.help import function_keys
from workbench.widgets.table import Table


def write(text: str) -> UserSettings:
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text(text, "utf-8")
    return read_user_settings()


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTICAL_CONFIG", str(tmp_path / "settings"))


def test_without_a_file_there_are_the_default_keys() -> None:
    keys = read_user_settings().keys
    assert keys.bindings() == {}
    for scope, actions in ACTIONS.items():
        assert [keys.keys(scope, action) for action in actions] == [action.keys for action in actions]


@pytest.mark.parametrize("preset", ["", *PRESETS])
def test_no_two_actions_that_work_at_the_same_time_share_a_key(preset: str) -> None:
    KeyMap.from_settings({"preset": preset} if preset else {})


def test_ids_of_actions_are_unique() -> None:
    for scope, actions in ACTIONS.items():
        assert len({action.id for action in actions}) == len(actions), scope


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keys.runs.stopp = 'x'", "keys.runs.stopp is not an action (did you mean 'runs.stop'?)"),
        ("keys.runs.stop = 'f5x'", "keys.runs.stop: 'f5x' is not a key"),
        ("keys.runs.stop = ''", "keys.runs.stop: '' is not a key"),
        ("keys.runs.stop = 'meta+x'", "keys.runs.stop: 'meta+x' is not a key"),
        ("keys.runs.stop = 'shift+x'", "keys.runs.stop: terminals send X for 'shift+x'; write that"),
        ("keys.runs.stop = 3", "keys.runs.stop: write a key"),
        ("keys.runs.stop = []", "keys.runs.stop: write a key"),
        ("keys.runs.stop = 'r'", "keys.runs.stop: r is also the key of runs.resume"),
        ("keys.runs.stop = '?'", "keys.runs.stop: ? is also the key of app.key_map"),
        ("keys.curves.smooth = 'k'", "keys.curves.smooth: k is also the key of table.up"),
        ("keys.preset = 'emacs'", "keys.preset: 'emacs' is not one of hjkl"),
        ("key.runs.stop = 'x'", "key is not a setting (did you mean 'keys'?)"),
        ("keys = 3", "keys: write a table, [keys]"),
        ("keys.runs", "is not valid TOML"),
        ("alerts.bel = true", "alerts.bel is not a setting (did you mean 'bell'?)"),
        ("alerts.bell = 'yes'", "alerts.bell: write true or false, not 'yes'"),
        ("alerts.on = ['ended']", "alerts.on: 'ended' is not one of finished, failed, stopped"),
        ("alerts.command = 'curl x'", "alerts.command: write a list of texts in quotes, not 'curl x'"),
        ("alerts.command = ['./hook']", "alerts.command: './hook': write the name of a program on the PATH"),
        ("alerts.command = ['']", "alerts.command: ''"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        write(text)
    assert str(caught.value).startswith(f"{settings_file()}: {said}")
    assert "\n" not in str(caught.value)


def test_a_preset_is_changed_by_single_keys() -> None:
    keys = write('[keys]\npreset = "hjkl"\n[keys.runs]\nstop = ["X", "ctrl+x"]\n').keys
    assert keys.bindings()["runs.stop"] == "X,ctrl+x"
    assert keys.bindings()["curves.log_axis"] == "L"


async def test_chosen_keys_work_and_are_shown(made: Path, monkeypatch: Any, tools: Any) -> None:
    settings = write(
        '[keys]\npreset = "hjkl"\nruns.filter = "Z"\napp.go_sql = "ctrl+b"\napp.help_here = "f5"\n'
        'sql.run = "ctrl+j"\n'
    )
    monkeypatch.chdir(made)
    app = Workbench(Path("results.duckdb"), settings)
    async with app.run_test(size=(80, 30)) as pilot:
        await tools.settled(pilot)
        table = app.screen.query_one("#runs-table", Table)
        await pilot.press("slash")
        assert table.has_focus
        await pilot.press("l")
        await pilot.pause()
        assert table.scroll_offset.x > 0 and not app.screen.details.query("CurveGrid").first().log_loss
        await pilot.press("L")
        assert app.screen.details.query("CurveGrid").first().log_loss
        await pilot.press("Z")
        assert app.screen.query_one("#filter").has_focus
        await pilot.press("escape")
        footer = str(app.screen.query_one(Footer).query("FooterKey").first().key_display)
        assert "Z" in [str(key.key_display) for key in app.screen.query("FooterKey")], footer
        await pilot.press("question_mark")
        rows = [
            [str(getattr(cell, "text", cell)) for cell in row] for row in app.screen.query_one(Table).rows
        ]
        assert ["Z", "Filter the runs"] in rows and ["Ctrl+B F11", "Go to the SQL editor"] in rows
        await pilot.press("escape", "ctrl+b")
        await tools.until(pilot, lambda: app.screen.scope == "sql")  # type: ignore[attr-defined]
        await pilot.press("f5")  # has priority in the editor, too
        await tools.until(pilot, lambda: app.screen.is_modal)
        await pilot.press("escape", "f2")
        await tools.until(pilot, lambda: app.screen.scope == "runs")  # type: ignore[attr-defined]


def test_function_keys_of_the_app_stay_unless_they_are_replaced() -> None:
    keys = KeyMap.from_settings({"app": {"go_sql": "ctrl+b"}})
    assert "F11 SQL" in function_keys(keys)
    assert keys.bindings() == {"app.go_sql": "ctrl+b"}
