"""Copying: rows, cells and sentences, by the sequence OSC 52, also inside tmux and GNU screen."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from workbench.app import Workbench
from workbench.shell.terminal import LONGEST_COPY, clipboard_sequence, give_to_tmux, notification_sequence
from workbench.widgets.dialogs import ChoiceDialog, TableDialog
from workbench.widgets.table import Cell, Column, Table

TEXT = "maji safi\tالمكتبة 👩‍🔬"


def copied(sequence: str) -> str:
    """The text that a terminal copies for one OSC 52 sequence (xterm, ctlseqs)."""
    found = re.fullmatch(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07", sequence)
    assert found is not None, sequence
    return base64.b64decode(found[1]).decode("utf-8")


def test_the_terminal_is_asked_to_copy() -> None:
    assert copied(clipboard_sequence(TEXT, {})) == TEXT


def test_tmux_and_screen_pass_the_sequence_on() -> None:
    inside = clipboard_sequence(TEXT, {"TMUX": "/tmp/tmux-1/default,1,0"})
    # tmux(1), allow-passthrough: DCS tmux; with every ESC doubled.
    found = re.fullmatch(r"\x1bPtmux;(.*)\x1b\\", inside, re.DOTALL)
    assert found is not None and copied(found[1].replace("\x1b\x1b", "\x1b")) == TEXT
    text = "x" * 2000
    blocks = re.findall(r"\x1bP(.*?)\x1b\\", clipboard_sequence(text, {"STY": "1.pts"}), re.DOTALL)
    assert len(blocks) > 1 and max(map(len, blocks)) <= 768 and copied("".join(blocks)) == text


def test_a_notification_holds_no_sequence_of_the_text() -> None:
    for environment in ({}, {"VTE_VERSION": "7"}):
        sequence = notification_sequence("run; 1", "failed\x07\x1b]0;x", environment)
        assert sequence.startswith("\x1b]") and sequence.endswith("\x07")
        assert not re.search(r"[\x00-\x1f\x7f]", sequence[2:-1])


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_a_real_tmux_has_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = tmp_path / "tmux"
    tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
    environment = {name: value for name, value in os.environ.items() if name != "TMUX"}
    subprocess.run([*tmux, "new-session", "-d", "cat"], check=True, env=environment, timeout=30)
    try:
        monkeypatch.setenv("TMUX", f"{socket},0,0")
        assert give_to_tmux(TEXT)
        shown = subprocess.run([*tmux, "show-buffer"], check=True, capture_output=True, timeout=30)
        assert shown.stdout.decode("utf-8") == TEXT
    finally:
        subprocess.run([*tmux, "kill-server"], check=True, timeout=30)
    assert not give_to_tmux(TEXT)  # the server has ended
    monkeypatch.delenv("TMUX")
    assert not give_to_tmux(TEXT)


async def test_row_cell_and_sentence_are_copied_whole(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(80, 30)) as pilot:
        await tools.settled(pilot)
        note = "a note that is much longer than the column of a table can ever be " * 3
        row = ("", 1 / 3, Cell(f"{note}\x1b[31m", "dim"), None, datetime(2026, 5, 4, 1, 2), "two\nlines")
        app.push_screen(TableDialog("Table", [Column(str(place)) for place in range(6)], [row]))
        await tools.until(pilot, lambda: isinstance(app.focused, Table) and app.screen.is_modal)
        await pilot.press("ctrl+c")
        expected = ["", "0.3333333333333333", f"{note}\\x1b[31m", "", "2026-05-04 01:02:00", "two\\nlines"]
        assert app.clipboard == "\t".join(expected)
        await pilot.press("C")
        await tools.until(pilot, lambda: isinstance(app.screen, ChoiceDialog))
        await pilot.press(*"lines", "enter")
        await tools.until(pilot, lambda: app.clipboard == "two\nlines")
        await pilot.press("escape")
        app.screen.show_status("the run failed: no such file")  # type: ignore[attr-defined]
        await pilot.press("ctrl+y")
        assert app.clipboard == "the run failed: no such file"
        app.copy_to_clipboard("x" * (LONGEST_COPY + 1))
        assert app.clipboard == "the run failed: no such file"


@pytest.mark.slow
async def test_the_cell_of_a_plan_is_copied(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await tools.settled(pilot)
        await pilot.press("4")
        await tools.until(pilot, lambda: app.screen.query_one("#left").plan)  # type: ignore[attr-defined]
        await pilot.press("right", "ctrl+c")
        await tools.until(pilot, lambda: app.clipboard)
        side = app.screen.query_one("#left")
        assert app.clipboard.replace("\u200e", "") == side.cell_text.replace("\u200e", "")  # type: ignore[attr-defined]
        assert side.plan.target_tokens[side.heatmap.column] in app.clipboard  # type: ignore[attr-defined]
